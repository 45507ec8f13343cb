//! Checks that every answer equals what a server restored to the same time returns, at random times
//! within a random workload, and that answers about the log equal what the source's oplog holds.
//!
//! `HINDSIGHT_TEST_SEED` sets a seed other than the usual one.

mod collections;
mod differences;
mod documents;
mod entries;
mod held;
mod scans;

use anyhow::{Context, Result, ensure};
use bson::{RawDocumentBuf, Timestamp};
use hindsight_tests::Api;
use hindsight_tests::mongod::server_version;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::workload::{self, WorkloadOptions};
use mongodb::Client;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use self::entries::oplog;
use self::held::Held;
use super::served::Served;
use crate::settings::setting;

const SEED: u64 = 20_261_125;
const OPERATIONS: usize = 2_500;
const TIMES: usize = 4;

/// The API that is asked, and what its answers are compared with.
struct Asked {
    api: Api,
    random: StdRng,
    version: (i32, i32),
    /// Servers that are restored to several times, oldest first.
    held: Vec<Held>,
    /// The source's oplog, from the first entry of the log on.
    oplog: Vec<RawDocumentBuf>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_that_of_a_restored_server() -> Result<()> {
    let seed = setting("HINDSIGHT_TEST_SEED", SEED)?;
    println!("seed {seed}");
    let served = Served::start(&[]).await?;
    let begin = served.now().await?;
    let quiet = write(&served.client, seed).await?;
    let last = served.now().await?;
    let api = served.api().await?;
    let mut random = StdRng::seed_from_u64(seed);
    let oplog = oplog(&served.client, entries::first_held(&api).await?, last).await?;
    let version = server_version(&served.client).await?;
    let times = times(&mut random, &oplog, begin, &quiet, version)?;
    println!("times {times:?}");
    let restored = times.iter().map(|at| Held::restore(&served.data, *at));
    let held = futures_util::future::try_join_all(restored).await?;
    let mut asked = Asked { api, random, version, held, oplog };
    let about = || format!("seed {seed}");
    documents::compare(&mut asked).await.with_context(about)?;
    scans::compare(&mut asked).await.with_context(about)?;
    collections::compare(&mut asked, &served.client).await.with_context(about)?;
    differences::compare(&mut asked).await.with_context(about)?;
    entries::compare(&mut asked).await.with_context(about)?;
    served.ends_well().await
}

/// Runs the workload, and returns the times at which nothing was being written.
async fn write(client: &Client, seed: u64) -> Result<Vec<Timestamp>> {
    let mut options = WorkloadOptions::new(seed, OPERATIONS);
    options.quiet_points = TIMES;
    let mut quiet = Vec::new();
    let report = workload::run(client, &options, async |_point| {
        quiet.push(last_timestamp(client).await?);
        Ok(())
    })
    .await?;
    println!("{} operations", report.total());
    Ok(quiet)
}

/// Returns the end and the times of random operations. Below 6.0 there are no random operations,
/// because a target cannot hold every state in between (decision 4).
fn times(
    random: &mut StdRng,
    oplog: &[RawDocumentBuf],
    begin: Timestamp,
    quiet: &[Timestamp],
    version: (i32, i32),
) -> Result<Vec<Timestamp>> {
    if version < (6, 0) {
        return Ok(quiet.to_vec());
    }
    let end = *quiet.last().context("a workload has an end")?;
    let mut all: Vec<Timestamp> = Vec::new();
    for entry in oplog {
        let at = entry.get_timestamp("ts")?;
        if begin < at && at < end && entry.get_str("op")? != "n" {
            all.push(at);
        }
    }
    let mut times: Vec<Timestamp> =
        all.choose_multiple(random, TIMES - 1).copied().chain([end]).collect();
    times.sort_unstable();
    ensure!(times.len() == TIMES, "only {} operations", all.len());
    Ok(times)
}

impl Asked {
    /// Returns some of the ids that any of the servers holds, each as a namespace and `{_id: …}`.
    fn ids(&mut self, most: usize) -> Vec<(String, RawDocumentBuf)> {
        let mut all = std::collections::BTreeMap::new();
        for held in &self.held {
            for (ns, collection) in &held.collections {
                for document in &collection.documents {
                    let key = held::id_key(document);
                    all.insert((ns.clone(), key), (ns.clone(), held::id(document)));
                }
            }
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.shuffle(&mut self.random);
        all.truncate(most);
        all
    }
}
