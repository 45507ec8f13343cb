//! A TCP proxy on loopback whose connections fail on demand.
//!
//! A fault is set once and waits for certain bytes. The connection that carries these bytes has the
//! fault from then on; all other connections continue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to the connection that carries the awaited bytes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes do not arrive, and nothing after them does.
    LoseRequest,
    /// The bytes arrive, but no answer comes back.
    LoseAnswer,
}

type Laid = Arc<Mutex<Option<(Fault, Vec<u8>)>>>;

/// Forwards connections from one port to another until dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    laid: Laid,
    rate: Rate,
    accepting: JoinHandle<()>,
}

/// Bytes per second that each connection carries from the server. 0 stands for any number.
type Rate = Arc<AtomicU64>;

impl Proxy {
    /// Listens on a free port; `target` need not listen yet.
    pub async fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let laid = Laid::default();
        let rate = Rate::default();
        let accepting =
            tokio::spawn(accept(listener, target, Arc::clone(&laid), Arc::clone(&rate)));
        Ok(Self { port, laid, rate, accepting })
    }

    /// Returns the port that the proxy listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Limits how many bytes per second each connection carries from the server, from now on. None
    /// lifts the limit.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        self.rate.store(bytes_per_second.unwrap_or(0), Ordering::Relaxed);
    }

    /// Sets a fault for the next connection that sends `bytes` to the server.
    pub fn lay(&self, fault: Fault, bytes: &[u8]) {
        *self.laid.lock().unwrap_or_else(PoisonError::into_inner) = Some((fault, bytes.to_vec()));
    }

    /// Takes away a fault that has not happened. Returns whether there was one.
    pub fn clear(&self) -> bool {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: u16, laid: Laid, rate: Rate) {
    while let Ok((client, _)) = listener.accept().await {
        // Dropping the client tells it that nobody listens.
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (lose_answers, answers_lost) = watch::channel(false);
        tokio::spawn(requests(from_client, to_server, Arc::clone(&laid), lose_answers));
        tokio::spawn(answers(from_server, to_client, answers_lost, Arc::clone(&rate)));
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    laid: Laid,
    lose_answers: watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    // The end of what was sent before, in which the awaited bytes may begin.
    let mut seen = Vec::new();
    let mut is_lost = false;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        seen.extend_from_slice(&buffer[..read]);
        match due(&laid, &mut seen) {
            Some(Fault::LoseRequest) => is_lost = true,
            Some(Fault::LoseAnswer) => drop(lose_answers.send(true)),
            None => {}
        }
        if !is_lost && to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// Returns the fault if its bytes are among those seen. Drops the bytes that need not be examined
/// again.
fn due(laid: &Laid, seen: &mut Vec<u8>) -> Option<Fault> {
    let mut laid = laid.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((fault, awaited)) = &*laid else {
        seen.clear();
        return None;
    };
    let fault = *fault;
    let found = seen.windows(awaited.len()).any(|window| window == awaited);
    let kept = seen.len().min(awaited.len().saturating_sub(1));
    seen.drain(..seen.len() - kept);
    if !found {
        return None;
    }
    *laid = None;
    Some(fault)
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    lost: watch::Receiver<bool>,
    rate: Rate,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let limit = rate.load(Ordering::Relaxed);
        if limit > 0 {
            tokio::time::sleep(Duration::from_secs_f64(read as f64 / limit as f64)).await;
        }
        if !*lost.borrow() && to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
