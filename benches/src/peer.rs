//! Runs the tools that are commonly used for restores, if they are on PATH.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::process::Command;

/// `mongorestore`, and the dump that it reads.
#[derive(Debug)]
pub struct Peer {
    program: PathBuf,
    dump: PathBuf,
}

impl Peer {
    /// Dumps a database. Returns `None` if the tools are not on PATH.
    pub async fn find(uri: &str, database: &str, directory: &Path) -> Result<Option<Self>> {
        let (Some(dumper), Some(program)) = (on_path("mongodump"), on_path("mongorestore")) else {
            println!("mongodump and mongorestore are not on PATH: they are not compared with");
            return Ok(None);
        };
        let dump = directory.join("dump");
        let mut command = Command::new(dumper);
        command.args(["--uri", uri, "--db", database, "--out"]).arg(&dump);
        run(&mut command).await?;
        Ok(Some(Self { program, dump }))
    }

    /// Restores the dump, four collections at a time. Returns how long this took.
    pub async fn restore(&self, target_uri: &str) -> Result<Duration> {
        let mut command = Command::new(&self.program);
        command.args(["--uri", target_uri, "--numParallelCollections", "4"]).arg(&self.dump);
        run(&mut command).await
    }
}

/// Returns how long `mongodump` takes for the oplog from a time on, or `None` if it is not on PATH.
pub async fn dump_oplog(uri: &str, from: bson::Timestamp) -> Result<Option<Duration>> {
    let Some(dumper) = on_path("mongodump") else {
        println!("mongodump is not on PATH: it is not compared with");
        return Ok(None);
    };
    let directory = tempfile::tempdir()?;
    let time = serde_json::json!({"t": from.time, "i": from.increment});
    let query = serde_json::json!({"ts": {"$gte": {"$timestamp": time}}}).to_string();
    let mut command = Command::new(dumper);
    command.args(["--uri", uri, "--db", "local", "--collection", "oplog.rs", "--query", &query]);
    run(command.arg("--out").arg(directory.path())).await.map(Some)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.is_file())
}

async fn run(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    let output = command.kill_on_drop(true).output().await?;
    let took = started.elapsed();
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}:\n{messages}", output.status);
    Ok(took)
}
