//! Tests that a process that is killed at random moments loses nothing, invents nothing, and
//! derives the same parts again.
//!
//! `HINDSIGHT_TEST_KILLS` sets how often the process is killed (default 200).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, doc};
use hindsight_history::{History, Settings};
use hindsight_index::Index;
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_segment::Sequence;
use hindsight_tests::hindsight::{run_json, run_json_within};
use hindsight_tests::{HindsightProcess, MongodOptions, ReplicaSet, SetOptions};
use mongodb::ClientSession;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::capture_checks::{equal_to_oplog, stored_entries};
use crate::settings::setting;

/// A fixed seed, so that a failure can be run again with the same moments.
const SEED: u64 = 20_261_122;
const REBUILD_PATIENCE: Duration = Duration::from_secs(1800);
const DEFAULT_KILLS: usize = 200;
/// Enough documents that copying the first base takes a while, in which the process can be killed.
const DOCUMENTS_BEFORE: i32 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_invent_nothing() -> Result<()> {
    let kills = setting("HINDSIGHT_TEST_KILLS", DEFAULT_KILLS)?;
    // The oplog has room for everything that is written, because the comparison needs all of it.
    let options = SetOptions::members(1).mongod(|m: MongodOptions| m.oplog_mb(2_000));
    let mut set = ReplicaSet::start(options).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    fill(&client).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");

    let (stop, stopped) = watch::channel(false);
    let writer = tokio::spawn(write_until(client.clone(), stopped));
    let seen = kill_again_and_again(&set.uri(), &data, kills).await?;
    println!("{kills} kills, {seen} of them after the process was ready");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    stop.send(true)?;
    let written = writer.await?.context("the load")?;
    run_json(&data, &["wait", "--timeout", "120s"]).await?.expect_success()?;
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");

    let compared = compare_with_source(&client, &data).await?;
    println!("{compared} entries equal byte for byte; {written} rounds of load");
    ensure!(compared as u64 > written, "{compared} entries cannot hold {written} rounds of load");
    let some = ("crash.new", "1");
    derived_parts_are_the_same_built_again(&data, &directory.path().join("again"), some).await
}

async fn fill(client: &mongodb::Client) -> Result<()> {
    let collection = client.database("crash").collection::<Document>("old");
    for chunk in (0..DOCUMENTS_BEFORE).collect::<Vec<_>>().chunks(1_000) {
        let documents = chunk.iter().map(|i| doc! {"_id": i, "text": "x".repeat(200)});
        collection.insert_many(documents).await?;
    }
    Ok(())
}

/// Writes inserts, updates, deletes, transactions and commands, one round every few milliseconds.
async fn write_until(client: mongodb::Client, stopped: watch::Receiver<bool>) -> Result<u64> {
    let mut session = client.start_session().await?;
    let database = client.database("crash");
    let (old, new) = (database.collection::<Document>("old"), database.collection("new"));
    let mut round: u64 = 0;
    while !*stopped.borrow() {
        let id = i64::try_from(round)?;
        new.insert_one(doc! {"_id": id, "n": 0, "list": []}).await?;
        let change = doc! {"$inc": {"n": 1}, "$push": {"list": id}, "$set": {"last": "ä\u{1F600}"}};
        new.update_one(doc! {"_id": id / 2}, change).await?;
        let slot = i32::try_from(round)? % DOCUMENTS_BEFORE;
        old.update_one(doc! {"_id": slot}, doc! {"$set": {"seen": id}}).await?;
        if round.is_multiple_of(7) {
            old.delete_one(doc! {"_id": (slot * 31) % DOCUMENTS_BEFORE}).await?;
        }
        if round.is_multiple_of(5) {
            transaction(&client, &mut session, id).await?;
        }
        if round.is_multiple_of(50) {
            let collection = database.collection::<Document>(&format!("c{}", round % 300));
            collection.drop().await?;
            collection.insert_one(doc! {"_id": id}).await?;
        }
        round += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(round)
}

async fn transaction(client: &mongodb::Client, session: &mut ClientSession, id: i64) -> Result<()> {
    let collection = client.database("crash").collection::<Document>("accounts");
    session.start_transaction().await?;
    for account in 0..3 {
        let filter = doc! {"_id": (id + account) % 50};
        let change = doc! {"$inc": {"balance": account - 1}};
        collection.update_one(filter, change).upsert(true).session(&mut *session).await?;
    }
    // One transaction in ten is aborted.
    if id % 50 == 0 {
        Ok(session.abort_transaction().await?)
    } else {
        Ok(session.commit_transaction().await?)
    }
}

/// Kills the process again and again. Returns how many kills found it ready; the others found it
/// starting.
async fn kill_again_and_again(uri: &str, data: &Path, kills: usize) -> Result<usize> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut ready = 0;
    for kill in 0..kills {
        // Two kills of three happen while the process runs, and one while it starts.
        let while_running = kill % 3 != 0;
        let mut up = HindsightProcess::spawn_up(uri, data, &[])?;
        if while_running {
            up.wait_ready(Duration::from_secs(60)).await.with_context(|| format!("kill {kill}"))?;
            ready += 1;
        }
        let moment = Duration::from_micros(rng.random_range(0..1_200_000));
        tokio::time::sleep(moment).await;
        if let Some(exit) = up.try_exit()? {
            bail!("kill {kill}: up ended by itself ({exit}):\n{}", up.stderr());
        }
        up.kill()?;
    }
    Ok(ready)
}

/// Compares every captured entry with the source's entry, in order. Returns how many entries there
/// were.
pub(crate) async fn compare_with_source(client: &mongodb::Client, data: &Path) -> Result<usize> {
    let log = DirectoryLog::open_reader(&data.join("log"), DirectoryOptions::default()).await?;
    for segment in log.infos(Sequence::FIRST, usize::MAX).await? {
        ensure!(segment.header.gap.is_none(), "segment {} records a gap", segment.sequence());
    }
    let entries = stored_entries(data).await?;
    equal_to_oplog(&entries, client).await?;
    Ok(entries.len())
}

/// Checks I5: the index and the history that survived the kills equal those that are built at once
/// from log and base. `ns` and `id` name an existing document.
pub(crate) async fn derived_parts_are_the_same_built_again(
    data: &Path,
    again: &Path,
    (ns, id): (&str, &str),
) -> Result<()> {
    let copied = std::process::Command::new("cp").arg("-a").args([data, again]).status()?;
    ensure!(copied.success(), "cp ended with {copied}");
    std::fs::remove_dir_all(again.join("index"))?;
    std::fs::remove_dir_all(again.join("history"))?;
    // Each history takes in what the log holds and the history lacks; for the copy, that is
    // everything.
    let mut digests = Vec::new();
    for directory in [data, again] {
        // This first builds the history again, which is much work after many kills.
        let windows = run_json_within(directory, &["windows"], REBUILD_PATIENCE).await?;
        let windows = windows.expect_success()?;
        let get = run_json(directory, &["get", ns, id]).await?.expect_success()?;
        let history = History::open(&directory.join("history"), Settings::default())?;
        let applied = history.generations().pop().context("no base is loaded")?.applied();
        let applied = applied.context("nothing is applied")?;
        let log = directory.join("log");
        let log = DirectoryLog::open_reader(&log, DirectoryOptions::default()).await?;
        let end = log.end().await?.context("the log is empty")?.last();
        ensure!(applied == end, "applied {applied}, but the log ends at {end}");
        let index = Index::open(directory.join("index"))?.digest()?;
        digests.push((index, history.digest()?, windows.stdout, get.stdout));
    }
    let (kept, rebuilt) = (&digests[0], &digests[1]);
    ensure!(kept.0 == rebuilt.0, "the index differs from the one built again");
    ensure!(kept.1 == rebuilt.1, "the history {} differs from {} built again", kept.1, rebuilt.1);
    ensure!(kept.2 == rebuilt.2, "windows: {} <> {}", kept.2, rebuilt.2);
    ensure!(kept.3 == rebuilt.3, "get: {} <> {}", kept.3, rebuilt.3);
    Ok(())
}
