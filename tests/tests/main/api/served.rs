//! What all of these tests begin with: a source, an `up` on it, and a caller of the API.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use bson::Timestamp;
use hindsight_proto::v1::TimeSpec;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{Api, HindsightProcess, ReplicaSet, SetOptions};
use mongodb::Client;
use serde_json::Value;

use crate::capture_checks::spelled;

pub(super) struct Served {
    pub client: Client,
    pub up: HindsightProcess,
    pub data: PathBuf,
    pub set: ReplicaSet,
    pub directory: tempfile::TempDir,
}

impl Served {
    /// Starts a source of one member, and an `up` with these arguments that has a base and answers.
    pub(super) async fn start(args: &[&str]) -> Result<Self> {
        let set = ReplicaSet::start(SetOptions::members(1)).await?;
        Self::on(set, args).await
    }

    pub(super) async fn on(mut set: ReplicaSet, args: &[&str]) -> Result<Self> {
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let client = set.client().await?;
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        let up = HindsightProcess::up(&set.uri(), &data, args).await?;
        let served = Self { client, up, data, set, directory };
        served.wait().await?;
        Ok(served)
    }

    /// Waits until everything that was written so far can be asked for.
    pub(super) async fn wait(&self) -> Result<()> {
        run_json(&self.data, &["wait", "--timeout", "120s"]).await?.expect_success()?;
        Ok(())
    }

    /// Returns the time of the source's last operation, once it can be asked for.
    pub(super) async fn now(&self) -> Result<Timestamp> {
        let at = last_timestamp(&self.client).await?;
        self.wait().await?;
        Ok(at)
    }

    pub(super) async fn api(&self) -> Result<Api> {
        self.up.api().await
    }

    /// Returns the lines of the audit file.
    pub(super) fn audit(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.data.join("audit.jsonl"))?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// Checks that the process still answers, has never panicked, and stops when told to.
    pub(super) async fn ends_well(mut self) -> Result<()> {
        ensure!(self.up.page("/healthz").await?.0 == 200, "it is not healthy");
        ensure!(self.up.try_exit()?.is_none(), "it ended: {}", self.up.stderr());
        ensure!(self.up.stop().await?.success(), "{}", self.up.stderr());
        let said = self.up.stderr();
        ensure!(!said.contains("panicked"), "{said}");
        Ok(())
    }
}

/// Returns a time that is included.
pub(super) fn until(at: Timestamp) -> Option<TimeSpec> {
    Some(TimeSpec { text: spelled(at), exclusive: false })
}
