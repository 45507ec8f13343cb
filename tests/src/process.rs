//! Child processes that cannot outlive the test that started them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(10);

/// Signals that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
    Stop,
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        }
    }
}

/// A child process. When dropped, it is killed by its id and reaped.
#[derive(Debug)]
pub struct OwnedProcess {
    name: String,
    child: Child,
    exit: Option<ExitStatus>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl OwnedProcess {
    /// Starts `command` with both outputs appended to files, which may be the same file.
    pub fn spawn(name: &str, command: &mut Command, stdout: &Path, stderr: &Path) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(append_to(stdout)?)
            .stderr(append_to(stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        watchdog_line(&format!("+{}", child.id()));
        Ok(Self {
            name: name.to_owned(),
            child,
            exit: None,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        })
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the file of standard output.
    pub fn stdout_path(&self) -> &Path {
        &self.stdout
    }

    /// Returns the file of standard error.
    pub fn stderr_path(&self) -> &Path {
        &self.stderr
    }

    /// Returns how the process ended, or `None` while it runs.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait()?;
            if self.exit.is_some() {
                watchdog_line(&format!("-{}", self.child.id()));
            }
        }
        Ok(self.exit)
    }

    /// Sends a signal; an error when the process has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(exit) = self.try_exit()? {
            bail!("{} has ended ({exit}) and takes no signal", self.name);
        }
        send(signal, self.child.id())
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(exit) = self.try_exit()? {
                return Ok(exit);
            }
            if Instant::now() >= deadline {
                bail!("{} (pid {}) still runs after {timeout:?}", self.name, self.child.id());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks the process to stop (SIGTERM) and waits. After `timeout`, the process is killed and an
    /// error is returned.
    pub async fn stop(&mut self, timeout: Duration) -> Result<ExitStatus> {
        if let Some(exit) = self.try_exit()? {
            return Ok(exit);
        }
        send(Signal::Terminate, self.child.id())?;
        let stopped = self.wait(timeout).await;
        if stopped.is_err() {
            self.kill()?;
        }
        stopped
    }

    /// Sends SIGKILL and reaps the process. Does nothing when the process has ended.
    pub fn kill(&mut self) -> Result<()> {
        if self.try_exit()?.is_none() {
            self.child.kill()?;
            self.exit = Some(self.child.wait()?);
            watchdog_line(&format!("-{}", self.child.id()));
        }
        Ok(())
    }
}

impl Drop for OwnedProcess {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and a panic would hide the test's own failure.
        let _ = self.kill();
    }
}

fn append_to(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Sends a signal with the shell's `kill`, which exists everywhere; this crate has no `unsafe`.
fn send(signal: Signal, pid: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal.name(), &pid.to_string()])
        .status()
        .context("cannot run sh")?;
    anyhow::ensure!(status.success(), "cannot send SIG{} to process {pid}", signal.name());
    Ok(())
}

/// Returns the last `lines` lines of a file, for messages.
pub fn tail(path: &Path, lines: usize) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The script of a shell that cleans up after a killed test process, which drops nothing. The shell
/// notices because its input ends, and kills, by id, the processes that are still registered.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
pids=' '
while read -r line; do
    pid=${line#?}
    case $line in
        +*) pids="$pids$pid " ;;
        -*) pids="${pids%% "$pid" *} ${pids#* "$pid" }" ;;
    esac
done
for pid in $pids; do kill -s KILL "$pid" 2>/dev/null; done
"#;

fn watchdog_line(line: &str) {
    static WATCHDOG_INPUT: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let input = WATCHDOG_INPUT.get_or_init(|| {
        let child = Command::new("sh")
            .args(["-c", WATCHDOG])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.ok().and_then(|mut child| child.stdin.take()).map(Mutex::new)
    });
    if let Some(input) = input {
        let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(input, "{line}");
    }
}
