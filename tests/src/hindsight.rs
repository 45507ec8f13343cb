//! Runs the built `hindsight` binary: as a long-running process, or for one command.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::Api;
use crate::process::{OwnedProcess, Signal, tail};
use crate::tools;

/// How long `up` may take until it reports that it is ready, including a first copy of a base.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// The word in the line that a long-running command prints when it serves.
const READY_WORD: &str = "ready";

/// A `hindsight` that runs until it is stopped.
#[derive(Debug)]
pub struct HindsightProcess {
    process: OwnedProcess,
    data: PathBuf,
}

impl HindsightProcess {
    /// Starts `hindsight up` on a data directory and a free port, and waits until it is ready.
    pub async fn up(uri: &str, data: &Path, extra_args: &[&str]) -> Result<Self> {
        let mut started = Self::spawn_up(uri, data, extra_args)?;
        started.wait_ready(READY_TIMEOUT).await?;
        Ok(started)
    }

    /// Starts `hindsight up` without waiting: for tests of what it refuses, and of early crashes.
    pub fn spawn_up(uri: &str, data: &Path, extra_args: &[&str]) -> Result<Self> {
        let args: Vec<_> = ["up", "--uri", uri].iter().chain(extra_args).copied().collect();
        Self::spawn(data, &args)
    }

    /// Starts a command that runs until it is stopped on a data directory and a free port, and
    /// waits until it is ready.
    pub async fn start(data: &Path, args: &[&str]) -> Result<Self> {
        let mut started = Self::spawn(data, args)?;
        started.wait_ready(READY_TIMEOUT).await?;
        Ok(started)
    }

    /// As [`Self::start`], without waiting.
    pub fn spawn(data: &Path, args: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let mut command = Command::new(tools::hindsight()?);
        command.args(args).args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
        // The files lie beside the data directory, not in it. They are appended to, so that the
        // messages of a restart follow the earlier ones.
        let stdout = data.with_extension("stdout.log");
        let stderr = data.with_extension("stderr.log");
        for file in [&stdout, &stderr] {
            let note = format!("--- {command:?}\n");
            append(file, &note)?;
        }
        let process = OwnedProcess::spawn("hindsight", &mut command, &stdout, &stderr)?;
        Ok(Self { process, data: data.to_owned() })
    }

    /// Waits for the ready line on either output.
    pub async fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.said_ready() {
                return Ok(());
            }
            if let Some(exit) = self.process.try_exit()? {
                bail!("hindsight ended ({exit}) before it was ready:\n{}", self.last_messages());
            }
            if Instant::now() >= deadline {
                bail!("hindsight is not ready after {timeout:?}:\n{}", self.last_messages());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn said_ready(&self) -> bool {
        [self.process.stdout_path(), self.process.stderr_path()]
            .iter()
            .any(|path| output_of_this_start(path).lines().any(says_ready))
    }

    /// Returns the messages so far, including those of earlier starts on the same directory.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.process.stderr_path()).unwrap_or_default())
            .into_owned()
    }

    fn last_messages(&self) -> String {
        tail(self.process.stderr_path(), 20)
    }

    /// Returns the data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the address from the ready line: `http://…` or `https://…`.
    pub fn url(&self) -> Result<String> {
        let text = output_of_this_start(self.process.stderr_path());
        let line = text.lines().rfind(|line| says_ready(line)).context("it is not ready")?;
        let at = line.find("http").context("the ready line has no address")?;
        let rest = &line[at..];
        Ok(rest.split(['"', ' ']).next().unwrap_or(rest).to_owned())
    }

    /// Connects to the API of a process that requires neither TLS nor tokens.
    pub async fn api(&self) -> Result<Api> {
        Api::connect(&self.url()?).await
    }

    /// Returns the status code and the text of a page of the process, such as `/readyz`.
    pub async fn page(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.exchange(&format!("GET {path} HTTP/1.1"), b"").await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        let code = head.split_whitespace().nth(1).context("a status")?.parse()?;
        Ok((code, body.to_owned()))
    }

    /// Sends one HTTP/1.1 request with these header lines and this body, and returns the whole
    /// answer as it came.
    pub async fn exchange(&self, head: &str, body: &[u8]) -> Result<String> {
        let address = std::fs::read_to_string(self.data.join("api"))?;
        let mut stream = TcpStream::connect(address.trim()).await?;
        let length = body.len();
        let request = format!(
            "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[request.as_bytes(), body].concat()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Returns how the process ended, or `None` while it runs.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_exit()
    }

    /// Waits until the process ends by itself.
    pub async fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.process.wait(timeout).await
    }

    /// Sends SIGKILL at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Sends SIGTERM; an error when the process does not end by itself.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop(STOP_TIMEOUT).await
    }

    /// Sends a signal to the process.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Returns the resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        Ok(kilobytes.context("the process has no memory")?.parse::<u64>()? * 1024)
    }
}

impl Drop for HindsightProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the last messages of hindsight:\n{}", self.last_messages());
        }
    }
}

const START_MARK: &str = "--- ";

fn output_of_this_start(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let start = text.rfind(&format!("\n{START_MARK}")).map_or(0, |at| at + 1);
    text[start..].to_owned()
}

fn says_ready(line: &str) -> bool {
    !line.starts_with(START_MARK)
        && line
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word.eq_ignore_ascii_case(READY_WORD))
        && !line.to_ascii_lowercase().contains("not ready")
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(std::io::Write::write_all(&mut file, text.as_bytes())?)
}

/// What one command did.
#[derive(Clone, Debug)]
pub struct RunOutput {
    /// The command as typed, for messages.
    pub command: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
    /// How long the command ran.
    pub elapsed: Duration,
}

impl RunOutput {
    /// Returns an error with both outputs unless the exit code is `code`.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        bail!(
            "`{}` ended with {:?}, not {code}\nstdout:\n{}\nstderr:\n{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        )
    }

    /// Returns an error with both outputs unless the exit code is 0.
    pub fn expect_success(self) -> Result<Self> {
        self.expect_code(0)
    }

    /// Parses standard output as one JSON value per line.
    pub fn json_lines(&self) -> Result<Vec<Value>> {
        let parse = |line: &str| {
            serde_json::from_str(line).with_context(|| {
                format!("`{}` printed a line that is no JSON: {line}", self.command)
            })
        };
        self.stdout.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
    }

    /// Parses standard output as one JSON value, however many lines it takes.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("`{}` printed no JSON object: {}", self.command, self.stdout))
    }
}

/// Runs `hindsight ARGS -o json --data DATA` to its end.
pub async fn run_json(data: &Path, args: &[&str]) -> Result<RunOutput> {
    run_json_within(data, args, COMMAND_TIMEOUT).await
}

/// Like [`run_json`], but with a time limit of `patience`, for commands that have much to do.
pub async fn run_json_within(data: &Path, args: &[&str], patience: Duration) -> Result<RunOutput> {
    let data = data.to_str().context("the data directory's name is not UTF-8")?;
    let all: Vec<&str> = args.iter().copied().chain(["-o", "json", "--data", data]).collect();
    run_within(&all, patience).await
}

/// Runs `hindsight ARGS` to its end. A command that takes too long is killed, and is an error.
pub async fn run(args: &[&str]) -> Result<RunOutput> {
    run_within(args, COMMAND_TIMEOUT).await
}

async fn run_within(args: &[&str], patience: Duration) -> Result<RunOutput> {
    let mut command = tokio::process::Command::new(tools::hindsight()?);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let started = Instant::now();
    let typed = format!("hindsight {}", args.join(" "));
    let output = tokio::time::timeout(patience, command.output())
        .await
        .with_context(|| format!("`{typed}` still runs after {patience:?}"))??;
    Ok(RunOutput {
        command: typed,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        elapsed: started.elapsed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_is_told_from_its_like() {
        assert!(says_ready("hindsight is ready: http://127.0.0.1:4000"));
        assert!(says_ready(r#"{"level":"INFO","message":"ready"}"#));
        assert!(!says_ready("base copy already there"));
        assert!(!says_ready("not ready yet"));
        assert!(!says_ready("--- \"hindsight\" \"up\" \"--data\" \"/tmp/ready\""));
    }

    #[test]
    fn a_restart_is_not_ready_because_the_last_one_was() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        append(file.path(), "--- one\nready\n--- two\nstarting\n").expect("a write");
        assert_eq!(output_of_this_start(file.path()), "--- two\nstarting\n");
    }
}
