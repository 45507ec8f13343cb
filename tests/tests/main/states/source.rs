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
pub type Chain = [(&'static str, &'static str)];

/// A source whose states are made and captured.
pub struct Source {
    set: ReplicaSet,
    client: Client,
    up: HindsightProcess,
    directory: tempfile::TempDir,
    /// The states that it still holds.
    pub states: Vec<State>,
    /// The copies of each.
    pub sides: &'static [Side],
}

impl Source {
    /// Makes the states twice: each version of the chain those that it takes and no later version
    /// is left to make, in databases that the base will hold; then, once the base is copied, the
    /// last version all that it takes.
    pub async fn start(chain: &Chain, states: &[State]) -> Result<Self> {
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
        // What only older versions make is in the base alone.
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

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Waits until all it holds now can be restored, and tells the time: the server itself goes on
    /// writing.
    async fn wait(&self) -> Result<Timestamp> {
        let waited = run_json(&self.data(), &["wait", "--timeout", "120s"]).await?;
        let through = waited.expect_success()?.json()?;
        timestamp(&through["restorable_through"]).context("wait tells no time")
    }

    /// Restores what it holds now; the target's feature compatibility version is set to the
    /// source's before.
    pub async fn restore(&self, target: &ReplicaSet, more: &[&str]) -> Result<RunOutput> {
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

    /// Drops what belongs to some states, so that the others can be looked at.
    pub async fn drop_states(&mut self, names: &BTreeSet<String>) -> Result<()> {
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

    pub async fn stop(mut self) -> Result<()> {
        let status = self.up.stop().await?;
        ensure!(status.success(), "up ended with {status}");
        drop(self.set);
        Ok(())
    }
}

/// The state whose database is named in a text; of several that are, the one with the longest name.
pub fn owner<'a>(states: &'a [State], text: &str) -> Option<&'a State> {
    let named = |state: &State| {
        [Side::Base, Side::Log].iter().any(|side| text.contains(&state.database(*side)))
    };
    states.iter().filter(|state| named(state)).max_by_key(|state| state.name().len())
}

/// A server of that version on which nothing expires while it is compared.
pub fn server(version: &str) -> SetOptions {
    let options = |mongod: hindsight_tests::MongodOptions| {
        mongod.version(version).parameter("ttlMonitorEnabled", "false")
    };
    SetOptions::members(1).mongod(options)
}

/// A fresh target.
pub async fn target(version: &str) -> Result<ReplicaSet> {
    let mut set = ReplicaSet::start(server(version)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    Ok(set)
}

async fn feature_version(client: &Client) -> Result<String> {
    let ask = doc! {"getParameter": 1, "featureCompatibilityVersion": 1};
    let reply = client.database("admin").run_command(ask).await?;
    Ok(reply.get_document("featureCompatibilityVersion")?.get_str("version")?.to_owned())
}
