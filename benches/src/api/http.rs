//! HTTP/1.1 over one connection that is kept open: only what the bench needs, and so little that
//! the client is not what is measured.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The longest line of an answer's head, or around a chunk, in bytes.
const MAX_LINE: u64 = 16 << 10;
const MAX_LINES: usize = 100;
const BUFFER: usize = 256 << 10;

/// One connection, for one request after another.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `http://HOST:PORT`.
    pub async fn open(url: &str) -> Result<Self> {
        let host = url.strip_prefix("http://").context("not an http:// address")?;
        let host = host.trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(BUFFER, stream), host })
    }

    /// Sends a GET request, passes the body to `visit` as it arrives, and returns the status code.
    /// After an error, the connection cannot be used again.
    pub async fn get(
        &mut self,
        path: &str,
        accept: &str,
        visit: impl FnMut(&[u8]) + Send,
    ) -> Result<u16> {
        let host = &self.host;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        answer(&mut self.stream, visit).await
    }
}

/// Escapes text for a path or a query.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// How the client finds the end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

async fn answer<R>(stream: &mut R, mut visit: impl FnMut(&[u8]) + Send) -> Result<u16>
where
    R: AsyncBufRead + Unpin + Send,
{
    let (code, framing) = head(stream).await?;
    match framing {
        Framing::Length(length) => exactly(stream, length, &mut visit).await?,
        Framing::Chunked => loop {
            let size = line(stream).await?;
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).context("the size of a chunk")?;
            if size == 0 {
                ensure!(line(stream).await?.is_empty(), "something follows the last chunk");
                break;
            }
            exactly(stream, size, &mut visit).await?;
            ensure!(line(stream).await?.is_empty(), "a chunk is longer than it says");
        },
    }
    Ok(code)
}

async fn head<R: AsyncBufRead + Unpin + Send>(stream: &mut R) -> Result<(u16, Framing)> {
    let first = line(stream).await?;
    let code = first.split(' ').nth(1).context("no status")?.parse()?;
    let mut framing = None;
    for _ in 0..MAX_LINES {
        let header = line(stream).await?;
        let Some((name, value)) = header.split_once(':') else {
            ensure!(header.is_empty(), "not a header: {header}");
            return Ok((code, framing.context("the answer does not say how long it is")?));
        };
        if name.eq_ignore_ascii_case("content-length") {
            framing = Some(Framing::Length(value.trim().parse()?));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            ensure!(value.trim().eq_ignore_ascii_case("chunked"), "encoded: {value}");
            framing = Some(Framing::Chunked);
        }
    }
    bail!("more than {MAX_LINES} headers")
}

/// Reads a line, and returns it without its line end.
async fn line<R: AsyncBufRead + Unpin + Send>(stream: &mut R) -> Result<String> {
    let mut line = String::new();
    stream.take(MAX_LINE).read_line(&mut line).await?;
    let line = line.strip_suffix("\r\n").context("the answer breaks off")?;
    Ok(line.to_owned())
}

async fn exactly<R: AsyncBufRead + Unpin + Send>(
    stream: &mut R,
    length: usize,
    visit: &mut (impl FnMut(&[u8]) + Send),
) -> Result<()> {
    let mut left = length;
    while left > 0 {
        let there = stream.fill_buf().await?;
        ensure!(!there.is_empty(), "the answer breaks off");
        let taken = there.len().min(left);
        visit(&there[..taken]);
        stream.consume(taken);
        left -= taken;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<(u16, Vec<u8>, usize)> {
        let mut body = Vec::new();
        let code = answer(&mut bytes, |some| body.extend_from_slice(some)).await?;
        Ok((code, body, bytes.len()))
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_says() {
        let next = "HTTP/1.1 200 OK\r\n";
        let plain = format!("HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabc{next}");
        assert_eq!(
            read(plain.as_bytes()).await.expect("whole"),
            (404, b"abc".to_vec(), next.len())
        );
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let chunked = format!("{chunks}{next}");
        let expected = (200, b"ab0123456789".to_vec(), next.len());
        assert_eq!(read(chunked.as_bytes()).await.expect("whole"), expected);
        for end in 0..chunks.len() {
            assert!(read(&chunks.as_bytes()[..end]).await.is_err(), "whole after {end} bytes");
        }
    }

    #[test]
    fn nothing_special_is_left() {
        assert_eq!(escaped("{\"n\":1}-a,b"), "%7B%22n%22%3A1%7D-a%2Cb");
    }
}
