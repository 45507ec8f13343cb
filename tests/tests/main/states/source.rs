//! A source that holds states, and what was captured of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Timestamp, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::set_feature_version;
use hindsight_tests::{HindsightProcess, ReplicaSet, RunOutput, SetOptions};
use mongodb::Client;

use super::make::take;
use super::recipe::{Side, State};
use crate::capture_checks::{spelled, timestamp};

/// The versions that a source ran before and runs now, oldest first, each with its feature
/// compatibility version.
pub(super) type Chain = [(&'static str, &'static str)];

/// A source whose states are made and captured.
pub(super) struct Source {
    set: ReplicaSet,
    client: Client,
    up: HindsightProcess,
    directory: tempfile::TempDir,
    /// The states that the source still holds.
    pub states: Vec<State>,
    /// The copies of each state.
    pub sides: &'static [Side],
}

impl Source {
    /// Makes the states, each with the first version of the chain that takes it, in databases that
    /// the base will hold. If the chain has only one version, that version makes all states a
    /// second time once the base is copied.
    pub(super) async fn start(chain: &Chain, states: &[State]) -> Result<Self> {
        let (first, _) = chain.first().context("a version")?;
        let mut set = ReplicaSet::start(server(first)).await?;
        let mut made = BTreeSet::new();
        for (version, feature_version) in chain {
            if version != first {
                set.change_version(0, version).await?;
            }
            let client = set.client().await?;
            set_feature_version(&client, feature_version).await?;
            for state in states.iter().filter(|state| state.exists_on(version)) {
                if made.insert(state.name()) {
                    take(&client, &state.database(Side::Base), &state.steps()?).await?;
                }
            }
        }
        let client = set.client().await?;
        let directory = tempfile::tempdir()?;
        let up = HindsightProcess::up(&set.uri(), &directory.path().join("data"), &[]).await?;
        let states = states.iter().filter(|state| made.contains(&state.name())).cloned().collect();
        // States that only older versions make are only in the base.
        let sides: &[Side] =
            if chain.len() == 1 { &[Side::Base, Side::Log] } else { &[Side::Base] };
        let source = Self { set, client, up, directory, states, sides };
        source.wait().await.context("after the states that the base holds")?;
        for state in &source.states {
            take(&source.client, &state.database(Side::Base), &state.later).await?;
            if sides.contains(&Side::Log) {
                take(&source.client, &state.database(Side::Log), &state.steps()?).await?;
            }
        }
        source.wait().await.context("after the states that the log holds")?;
        Ok(source)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Waits until everything that the source holds now can be restored, and returns the time,
    /// because the server itself goes on writing.
    async fn wait(&self) -> Result<Timestamp> {
        let waited = run_json(&self.data(), &["wait", "--timeout", "120s"]).await?;
        let through = waited.expect_success()?.json()?;
        timestamp(&through["restorable_through"]).context("wait tells no time")
    }

    /// Restores what the source holds now. The target's feature compatibility version is first set
    /// to the source's.
    pub(super) async fn restore(&self, target: &ReplicaSet, more: &[&str]) -> Result<RunOutput> {
        let version = feature_version(&self.client).await?;
        let target_client = target.client().await?;
        if feature_version(&target_client).await? != version {
            set_feature_version(&target_client, &version).await?;
        }
        let at = spelled(self.wait().await?);
        let uri = target.uri();
        let args = [&["restore", "--until", &at, "--to", &uri], more].concat();
        run_json(&self.data(), &args).await
    }

    /// Drops what belongs to some states, so that the other states can be examined.
    pub(super) async fn drop_states(&mut self, names: &BTreeSet<String>) -> Result<()> {
        for database in self.client.list_database_names().await? {
            if owner(&self.states, &database).is_some_and(|owner| names.contains(&owner.name())) {
                let database = self.client.database(&database);
                for command in
                    ["dropAllUsersFromDatabase", "dropAllRolesFromDatabase", "dropDatabase"]
                {
                    database.run_command(doc! {command: 1}).await?;
                }
            }
        }
        self.states.retain(|state| !names.contains(&state.name()));
        self.wait().await?;
        Ok(())
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        let status = self.up.stop().await?;
        ensure!(status.success(), "up ended with {status}");
        drop(self.set);
        Ok(())
    }
}

/// Returns the state whose database a text names; of several such states, the one with the longest
/// name.
pub(super) fn owner<'a>(states: &'a [State], text: &str) -> Option<&'a State> {
    let named = |state: &State| {
        [Side::Base, Side::Log].iter().any(|side| text.contains(&state.database(*side)))
    };
    states.iter().filter(|state| named(state)).max_by_key(|state| state.name().len())
}

/// Returns the options of a server of that version on which nothing expires while it is compared.
pub(super) fn server(version: &str) -> SetOptions {
    let options = |mongod: hindsight_tests::MongodOptions| {
        mongod.version(version).parameter("ttlMonitorEnabled", "false")
    };
    SetOptions::members(1).mongod(options)
}

/// Starts a fresh target.
pub(super) async fn target(version: &str) -> Result<ReplicaSet> {
    let mut set = ReplicaSet::start(server(version)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    Ok(set)
}

async fn feature_version(client: &Client) -> Result<String> {
    let ask = doc! {"getParameter": 1, "featureCompatibilityVersion": 1};
    let reply = client.database("admin").run_command(ask).await?;
    Ok(reply.get_document("featureCompatibilityVersion")?.get_str("version")?.to_owned())
}
