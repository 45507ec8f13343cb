//! Runs one real mongod.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::doc;
use mongodb::Client;
use mongodb::options::{ClientOptions, WriteConcern};

use crate::process::{OwnedProcess, Signal, tail};
use crate::{ports, tools};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const BIND_ATTEMPTS: usize = 5;
/// The limit of the cache, not what a server takes at once. With a quarter of this limit, 4.4.2
/// hangs for ever in two concurrent transactions of 20 MB, and later versions roll them back:
/// uncommitted updates may fill a tenth of the cache.
const CACHE_GB: &str = "1";
/// The directory of the data, below a server's directory.
const FILES: &str = "db";

/// How a mongod is started.
#[derive(Clone, Debug)]
pub struct MongodOptions {
    /// A version that `deploy/dev/mongod` knows; `None` is the version under test.
    pub version: Option<String>,
    /// The size of the oplog in MB. An oplog that is small from the start rolls over soon.
    pub oplog_mb: u32,
    /// Values for `--setParameter NAME=VALUE`.
    pub parameters: Vec<(String, String)>,
    /// Further arguments of the command line.
    pub extra_args: Vec<String>,
    /// Turns authentication on, with the root user [`crate::replica_set::ROOT_USER`].
    pub auth: bool,
}

impl Default for MongodOptions {
    fn default() -> Self {
        Self {
            version: None,
            oplog_mb: 256,
            parameters: Vec::new(),
            extra_args: Vec::new(),
            auth: false,
        }
    }
}

impl MongodOptions {
    /// Chooses a version that `deploy/dev/mongod` knows.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// Sets the size of the oplog in MB.
    pub fn oplog_mb(mut self, oplog_mb: u32) -> Self {
        self.oplog_mb = oplog_mb;
        self
    }

    /// Adds a server parameter.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument to the command line.
    pub fn arg(mut self, arg: &str) -> Self {
        self.extra_args.push(arg.to_owned());
        self
    }

    /// Turns authentication on.
    pub fn with_auth(mut self) -> Self {
        self.auth = true;
        self
    }
}

/// A mongod on a data directory and a port that it keeps across restarts.
#[derive(Debug)]
pub struct Mongod {
    // Dropped before the directory that it works in.
    process: Option<OwnedProcess>,
    binary: PathBuf,
    args: Vec<String>,
    port: u16,
    /// The port and the arguments as a member of the set, while the server runs outside the set.
    as_member: Option<(u16, Vec<String>)>,
    directory: tempfile::TempDir,
}

impl Mongod {
    /// Starts a server that is not in a replica set, as the target of a restore.
    pub async fn standalone(options: &MongodOptions) -> Result<Self> {
        Self::start(options, &[]).await
    }

    /// Starts a server on a free port with further arguments, and waits until it answers.
    pub async fn start(options: &MongodOptions, args: &[String]) -> Result<Self> {
        Self::start_with_files(options, args, None).await
    }

    /// Starts a server outside any replica set on a copy of another server's files. The other
    /// server must be stopped.
    pub async fn on_copy_of(stopped: &Mongod, options: &MongodOptions) -> Result<Self> {
        Self::start_with_files(options, &[], Some(&stopped.files())).await
    }

    async fn start_with_files(
        options: &MongodOptions,
        args: &[String],
        files: Option<&Path>,
    ) -> Result<Self> {
        let mut attempts = 0;
        loop {
            let mut server = Self::prepare(options, args)?;
            if let Some(files) = files {
                copy_files(files, &server.files())?;
            }
            attempts += 1;
            match server.launch().await {
                Ok(()) => return Ok(server),
                // Another process took the port between the choice and the bind.
                Err(_) if attempts < BIND_ATTEMPTS && server.port_was_taken() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn prepare(options: &MongodOptions, args: &[String]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("hindsight-mongod-").tempdir()?;
        std::fs::create_dir(directory.path().join(FILES))?;
        let mut all: Vec<String> = [
            "--bind_ip=127.0.0.1",
            "--nounixsocket",
            "--setParameter=diagnosticDataCollectionEnabled=false",
        ]
        .map(str::to_owned)
        .to_vec();
        all.push(format!("--wiredTigerCacheSizeGB={CACHE_GB}"));
        all.extend(options.parameters.iter().map(|(k, v)| format!("--setParameter={k}={v}")));
        all.extend(options.extra_args.iter().cloned());
        all.extend(args.iter().cloned());
        Ok(Self {
            process: None,
            binary: tools::mongod(options.version.as_deref())?,
            args: all,
            port: ports::free_port()?,
            as_member: None,
            directory,
        })
    }

    /// Starts a stopped member on its data, outside its replica set and on another port, as for
    /// maintenance. After [`Mongod::stop`] and [`Mongod::restart`], the server is a member again.
    pub async fn restart_alone(&mut self) -> Result<()> {
        self.restart_alone_on(ports::free_port()?).await
    }

    /// Like [`Mongod::restart_alone`], but on the port on which clients still find the server.
    pub async fn restart_alone_in_place(&mut self) -> Result<()> {
        self.restart_alone_on(self.port).await
    }

    async fn restart_alone_on(&mut self, port: u16) -> Result<()> {
        ensure!(!self.is_running()?, "mongod on port {} still runs", self.port);
        let of_set = ["--replSet", "--oplogSize", "--keyFile"];
        let is_of_set = |arg: &String| of_set.iter().any(|name| arg.starts_with(name));
        let alone = self.args.iter().filter(|arg| !is_of_set(arg)).cloned().collect();
        let args = std::mem::replace(&mut self.args, alone);
        let port = std::mem::replace(&mut self.port, port);
        self.as_member = Some((port, args));
        self.launch().await
    }

    /// Starts the server again after [`Mongod::stop`] or [`Mongod::kill`], on the same data and
    /// port.
    pub async fn restart(&mut self) -> Result<()> {
        if self.is_running()? {
            bail!("mongod on port {} still runs", self.port);
        }
        if let Some((port, args)) = self.as_member.take() {
            (self.port, self.args) = (port, args);
        }
        self.launch().await
    }

    /// Chooses the version that the server runs from its next start on, on the same data. The
    /// server must have been stopped cleanly, because a server does not read the journal of another
    /// version.
    pub fn change_version(&mut self, version: &str) -> Result<()> {
        ensure!(!self.is_running()?, "mongod on port {} still runs", self.port);
        self.binary = tools::mongod(Some(version))?;
        Ok(())
    }

    async fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .arg(format!("--port={}", self.port))
            .arg(format!("--dbpath={}", self.files().display()))
            .args(&self.args);
        let log = self.log_path();
        self.process = Some(OwnedProcess::spawn("mongod", &mut command, &log, &log)?);
        self.wait_until_it_answers().await
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if !self.is_running()? {
                bail!("mongod did not start:\n{}", tail(&self.log_path(), 8));
            }
            // Try a bare connection first, because the driver's own retries are slow.
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                let client = client_of(&self.uri()).await?;
                if client.database("admin").run_command(doc! {"ping": 1}).await.is_ok() {
                    return Ok(());
                }
            }
            if Instant::now() >= deadline {
                bail!("mongod is silent after {START_TIMEOUT:?}:\n{}", tail(&self.log_path(), 8));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn port_was_taken(&self) -> bool {
        tail(&self.log_path(), 200).contains("Address already in use")
    }

    /// Returns the port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the URI of a direct connection, without credentials.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/?directConnection=true", self.address())
    }

    /// Returns a client of a direct connection, without credentials.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.uri()).await
    }

    /// Returns the process id; `None` before the first start.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(OwnedProcess::pid)
    }

    /// Returns the server's temporary directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join(FILES)
    }

    /// Removes everything that the server stored. The server must be stopped.
    pub fn remove_files(&mut self) -> Result<()> {
        ensure!(!self.is_running()?, "mongod on port {} still runs", self.port);
        std::fs::remove_dir_all(self.files())?;
        Ok(std::fs::create_dir(self.files())?)
    }

    /// Returns the path of the server's log.
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("mongod.log")
    }

    /// Returns whether the process runs.
    pub fn is_running(&mut self) -> Result<bool> {
        match &mut self.process {
            Some(process) => Ok(process.try_exit()?.is_none()),
            None => Ok(false),
        }
    }

    /// Shuts the server down cleanly.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            process.stop(STOP_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), OwnedProcess::kill)
    }

    /// Sends SIGSTOP: connections stay open, and nothing answers.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Sends SIGCONT to a paused server.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::Continue)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.as_mut().context("mongod was not started")?.signal(signal)
    }
}

/// Copies files as sparse files: a journal is 300 MB, nearly all of it zeros.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--sparse=always", "--reflink=auto"]).arg(from.join(".")).arg(to);
    let status = command.status().context("cannot run cp")?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Returns a client that gives up after seconds, not after half a minute. Its writes return as soon
/// as the primary has them, whatever the server's default is.
pub async fn client_of(uri: &str) -> Result<Client> {
    let mut options = ClientOptions::parse(uri).await?;
    options.server_selection_timeout = Some(Duration::from_secs(15));
    options.connect_timeout = Some(Duration::from_secs(5));
    options.write_concern = Some(WriteConcern::nodes(1));
    Ok(Client::with_options(options)?)
}

/// Returns the version that a server reports, as (major, minor).
pub async fn server_version(client: &Client) -> Result<(i32, i32)> {
    let info = client.database("admin").run_command(doc! {"buildInfo": 1}).await?;
    let numbers = info.get_array("versionArray")?;
    let number = |i: usize| numbers.get(i).and_then(bson::Bson::as_i32);
    number(0).zip(number(1)).context("buildInfo names no version")
}
