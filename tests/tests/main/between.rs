//! Tests I9 between quiet points: what is restored as of any operation equals what a mongod makes
//! of the same entries by its own replay.
//!
//! `HINDSIGHT_TEST_POINTS` sets how many operations are chosen at random (default 6), and
//! `HINDSIGHT_TEST_SEED` sets a seed other than the usual one.

mod points;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{RawDocumentBuf, Timestamp};
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::mongod::server_version;
use hindsight_tests::replay::{self, Replay};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::workload::{self, WorkloadOptions};
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use mongodb::Client;
use points::Point;

use crate::capture_checks::restored;
use crate::settings::setting;

/// With a fixed seed, a failure can be run again, as far as two concurrent workers do the same
/// again.
const SEED: u64 = 20_261_123;
const OPERATIONS: usize = 3_000;
const QUIET_POINTS: usize = 4;
const RANDOM_POINTS: usize = 6;

/// The fewest points that are compared. 4.4.2 and 5.0.4 abort in their own replay of some entries
/// of this workload, and can only judge what comes before these entries.
const LEAST_COMPARED: usize = 3;

/// A time at which nothing was being written, and what the source held then.
struct Held {
    at: Timestamp,
    snapshot: Snapshot,
}

#[tokio::test(flavor = "multi_thread")]
async fn restores_between_quiet_points_equal_a_replay_by_the_server() -> Result<()> {
    let seed = setting("HINDSIGHT_TEST_SEED", SEED)?;
    let random_points = setting("HINDSIGHT_TEST_POINTS", RANDOM_POINTS)?;
    // With this limit, even transactions of three statements make chains of entries.
    let options = SetOptions::members(1)
        .mongod(|m| m.parameter("maxNumberOfTransactionOperationsInSingleOplogEntry", "2"));
    let mut set = ReplicaSet::start(options).await?;
    set.stop_member(0).await?;
    let mut replay = Replay::from_files_of(set.server(0)).await?;
    set.restart_member(0).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;

    let client = set.client().await?;
    let version = server_version(&client).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    // The window must begin before the first entry that may be chosen.
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let held = write(&client, seed).await?;
    run_json(&data, &["wait", "--timeout", "120s"]).await?.expect_success()?;

    let end = held.last().context("the workload has no quiet point")?.at;
    let entries = replay::entries(&client, replay.start(), end).await?;
    let quiet: Vec<Timestamp> = held.iter().map(|held| held.at).collect();
    let mut points = points::choose(&entries, &quiet, random_points, seed, version)?;
    let (mut compared, mut told_apart) = (0, 0);
    let mut problems = Vec::new();
    'all: for held in held {
        let (before, after) = points.into_iter().partition(|point: &Point| point.at < held.at);
        points = after;
        for point in before {
            match compare(&data, &entries, &point, &mut replay).await {
                Ok(apart) => {
                    compared += 1;
                    told_apart += usize::from(apart);
                    println!("{point}: equal; the entry before is told apart: {apart}");
                }
                Err(problem) if version < (6, 0) && is_abort(&problem) => {
                    println!("{point}: the server aborts in its own replay; no more is compared");
                    break 'all;
                }
                Err(problem) => problems.push(format!("{point}: {problem:#}")),
            }
        }
        match the_replay_is_right(&held, &entries, &mut replay).await {
            Err(problem) if version < (6, 0) && is_abort(&problem) => {
                println!("{}: the server aborts in its own replay; no more is compared", held.at);
                break;
            }
            right => right?,
        }
    }
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    ensure!(problems.is_empty(), "seed {seed}:\n{}", problems.join("\n"));
    ensure!(compared >= LEAST_COMPARED, "only {compared} points were compared");
    ensure!(told_apart > 0, "no point differs from the entry before");
    Ok(())
}

fn is_abort(problem: &anyhow::Error) -> bool {
    format!("{problem:#}").contains("mongod did not start")
}

async fn write(client: &Client, seed: u64) -> Result<Vec<Held>> {
    let mut options = WorkloadOptions::new(seed, OPERATIONS);
    options.quiet_points = QUIET_POINTS;
    options.big_transactions = 2;
    let mut held = Vec::new();
    let report = workload::run(client, &options, async |_point| {
        let snapshot = dbhash::snapshot(client).await?;
        held.push(Held { at: last_timestamp(client).await?, snapshot });
        Ok(())
    })
    .await?;
    println!("{report}");
    Ok(held)
}

/// Adds the missing entries up to and including a time.
async fn bring_to(replay: &mut Replay, entries: &[RawDocumentBuf], at: Timestamp) -> Result<()> {
    let wanted = entries.iter().position(|entry| points::timestamp(entry) == Some(at));
    let wanted = wanted.with_context(|| format!("the source has no entry at {at}"))?;
    replay.add(&entries[replay.len()..=wanted]).await
}

/// Checks the judge itself: at a quiet point, its replay must hold what the source held.
async fn the_replay_is_right(
    held: &Held,
    entries: &[RawDocumentBuf],
    replay: &mut Replay,
) -> Result<()> {
    bring_to(replay, entries, held.at).await?;
    let replayed = dbhash::snapshot(&replay.server().await?.client().await?).await?;
    let difference = dbhash::diff(&held.snapshot, &replayed);
    ensure!(difference.is_none(), "source <> replay at {}: {difference:?}", held.at);
    println!("{}: the replay of {} entries equals the source", held.at, replay.len());
    Ok(())
}

/// Returns an error unless the replay and the restore are equal. Otherwise returns whether a
/// restore to one entry earlier differs, so that an error by one entry would have been seen.
async fn compare(
    data: &Path,
    entries: &[RawDocumentBuf],
    point: &Point,
    replay: &mut Replay,
) -> Result<bool> {
    bring_to(replay, entries, point.at).await?;
    let (replayed, restored, earlier) =
        tokio::try_join!(replay.server(), restored(data, point.at), restored(data, point.before))?;
    let (replayed, restored) = (replayed.client().await?, restored.client().await?);
    let expected = dbhash::snapshot(&replayed).await?;
    let got = dbhash::snapshot(&restored).await?;
    let earlier = dbhash::snapshot(&earlier.client().await?).await?;
    if let Some(difference) = dbhash::diff(&expected, &got) {
        let documents = explain(&expected, &got, &replayed, &restored).await?;
        bail!("replay <> restore:\n{difference}\n{documents}");
    }
    let told_apart = dbhash::diff(&expected, &earlier).is_some();
    ensure!(told_apart || !point.tells, "a restore to the entry before is the same");
    Ok(told_apart)
}

/// Returns the documents behind hashes that differ: replayed on the left, restored on the right.
async fn explain(
    expected: &Snapshot,
    got: &Snapshot,
    replayed: &Client,
    restored: &Client,
) -> Result<String> {
    let mut text = String::new();
    for (namespace, state) in &expected.collections {
        let other = got.collections.get(namespace);
        if other.is_some_and(|other| other.hash != state.hash)
            && let Some((database, name)) = namespace.split_once('.')
        {
            text += &dbhash::diff_documents(replayed, restored, database, name).await?;
            text.push('\n');
        }
    }
    Ok(text)
}
