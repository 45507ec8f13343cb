//! Tests that a process that is killed or stopped while large transactions are written continues
//! where it was, with nothing lost.
//!
//! The entries of each transaction lie in several segments, and other transactions are prepared
//! meanwhile, so that most stops find open transactions. `HINDSIGHT_TEST_TRANSACTION_KILLS` sets
//! how many stops there are (default 15).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{Bson, Document, Timestamp, doc};
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_segment::Sequence;
use hindsight_tests::hindsight::run_json_within;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, MongodOptions, ReplicaSet, SetOptions, dbhash};
use mongodb::{Client, ClientSession};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::capture_checks::{Stored, entries_of, equal_to_oplog, restores_exactly, status};
use crate::crash::derived_parts_are_the_same_built_again;
use crate::settings::setting;

/// A fixed seed, so that a failure can be run again with the same choices.
const SEED: u64 = 20_261_130;
const DEFAULT_STOPS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(120);
/// The size of a document. Two documents fit into one entry of 16 MB.
const DOCUMENT_BYTES: usize = 7_500_000;
const DATABASE: &str = "restarts";
const COLLECTION: &str = "large";

#[tokio::test(flavor = "multi_thread")]
async fn stops_amid_large_transactions_neither_hold_the_history_up_nor_change_it() -> Result<()> {
    let stops = setting("HINDSIGHT_TEST_TRANSACTION_KILLS", DEFAULT_STOPS)?;
    // On a plain replica set, only a test command can prepare a transaction. The oplog keeps
    // everything that is written, for the comparison.
    let options = SetOptions::members(1)
        .mongod(|m: MongodOptions| m.oplog_mb(200_000).parameter("enableTestCommands", "1"));
    let mut set = ReplicaSet::start(options).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    client.database(DATABASE).create_collection(COLLECTION).await?;
    client.database(DATABASE).collection("small").insert_one(doc! {"_id": 1}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");

    let (stop, stopped) = watch::channel(false);
    let large = tokio::spawn(write_until(client.clone(), Lane::Large, stopped.clone()));
    let prepared = tokio::spawn(write_until(client.clone(), Lane::Prepared, stopped));
    let killed = stop_again_and_again(&set.uri(), &data, stops).await?;
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    stop.send(true)?;
    let written = (large.await??, prepared.await??);
    println!("{killed} kills and {} clean stops amid {written:?} transactions", stops - killed);
    let (at, wanted) = (last_timestamp(&client).await?, dbhash::snapshot(&client).await?);
    // A kill takes from the history what was not flushed yet, so after many kills much is applied
    // again.
    let patience = Duration::from_secs(120 + 2 * stops as u64);
    let args = ["wait", "--timeout", &format!("{}s", patience.as_secs())];
    run_json_within(&data, &args, patience + PATIENCE).await?.expect_success()?;
    let now = status(&data).await?;
    ensure!(now["errors"].as_array().is_some_and(Vec::is_empty), "{now:#}");

    restores_exactly(&data, at, &wanted).await?;
    ensure!(up.stop().await?.success(), "up failed:\n{}", up.stderr());
    let compared = compare_segment_by_segment(&client, &data).await?;
    println!("{compared} entries equal byte for byte");
    let some = ("restarts.small", "1");
    derived_parts_are_the_same_built_again(&data, &directory.path().join("again"), some).await
}

/// Stops the process again and again. Returns how many of the stops were kills.
async fn stop_again_and_again(uri: &str, data: &Path, stops: usize) -> Result<usize> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut kills = 0;
    for stop in 0..stops {
        let mut up = HindsightProcess::spawn_up(uri, data, &[])?;
        // Of five stops, three are kills while the process runs, one is a clean stop, and one is a
        // kill while the process starts.
        let (starts, clean) = (stop % 5 == 4, stop % 5 == 2);
        if !starts {
            up.wait_ready(PATIENCE).await.with_context(|| format!("stop {stop}"))?;
        }
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..2_000_000))).await;
        if let Some(exit) = up.try_exit()? {
            bail!("stop {stop}: up ended by itself ({exit}):\n{}", up.stderr());
        }
        if clean {
            ensure!(up.stop().await?.success(), "stop {stop}:\n{}", up.stderr());
        } else {
            up.kill()?;
            kills += 1;
        }
        let messages = up.stderr();
        ensure!(!messages.contains("the history stops here"), "before stop {stop}:\n{messages}");
    }
    Ok(kills)
}

/// The two writers. Together they stay within the uncommitted data that the server can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Writes 22 to 60 MB in each transaction.
    Large,
    /// Prepares transactions, and decides them after others have committed.
    Prepared,
}

/// How many transactions were committed, and how many aborted.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    committed: usize,
    aborted: usize,
}

async fn write_until(
    client: Client,
    lane: Lane,
    stopped: watch::Receiver<bool>,
) -> Result<Written> {
    let mut rng = StdRng::seed_from_u64(SEED + lane as u64);
    let mut written = Written::default();
    let mut failures = 0;
    while !*stopped.borrow() || written.committed == 0 {
        let commits = rng.random_range(0..5) > 0;
        let documents = match lane {
            Lane::Large => rng.random_range(3..=8),
            Lane::Prepared => 3,
        };
        let mut session = client.start_session().await?;
        let done = transaction(&client, &mut session, lane, documents, commits).await;
        if let Err(error) = done {
            // The server aborts a transaction when its memory is short, and takes it the next time.
            failures += 1;
            ensure!(failures < 20, "{lane:?}: {error:#}");
            let _ = session.abort_transaction().await;
        } else {
            failures = 0;
            written.committed += usize::from(commits);
            written.aborted += usize::from(!commits);
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..200))).await;
    }
    Ok(written)
}

/// Replaces the documents of the previous transaction.
async fn transaction(
    client: &Client,
    session: &mut ClientSession,
    lane: Lane,
    documents: usize,
    commits: bool,
) -> Result<()> {
    let large = client.database(DATABASE).collection::<Document>(COLLECTION);
    let small = client.database(DATABASE).collection::<Document>("small");
    let name = format!("{lane:?}");
    // Outside the transaction, because uncommitted data must fit into the server's memory.
    large.delete_many(doc! {"lane": &name}).await?;
    session.start_transaction().await?;
    for _ in 0..documents {
        let id = bson::oid::ObjectId::new();
        let filler = id.to_hex().repeat(DOCUMENT_BYTES / 24);
        let document = doc! {"_id": id, "lane": &name, "filler": filler};
        large.insert_one(document).session(&mut *session).await?;
    }
    match (lane, commits) {
        (Lane::Large, true) => session.commit_transaction().await?,
        (Lane::Large, false) => session.abort_transaction().await?,
        (Lane::Prepared, _) => {
            let admin = client.database("admin");
            let prepare = admin.run_command(doc! {"prepareTransaction": 1});
            let reply = prepare.session(&mut *session).await?;
            let prepared = reply.get_timestamp("prepareTimestamp")?;
            // Other writes come between, among them the large transactions.
            small.insert_one(doc! {"prepared": Bson::Timestamp(prepared)}).await?;
            tokio::time::sleep(Duration::from_millis(800)).await;
            decide(client, session, commits.then_some(prepared)).await?;
        }
    }
    Ok(())
}

/// Commits as of that time, or aborts. The driver is not involved, because it does not know
/// prepared transactions.
async fn decide(
    client: &Client,
    session: &mut ClientSession,
    commit: Option<Timestamp>,
) -> Result<()> {
    let command = match commit {
        Some(at) => doc! {"commitTransaction": 1, "commitTimestamp": Bson::Timestamp(at)},
        None => doc! {"abortTransaction": 1},
    };
    let admin = client.database("admin");
    // 4.4 refuses this until a majority has the prepare entry.
    let mut attempts = 0;
    loop {
        match admin.run_command(command.clone()).session(&mut *session).await {
            Ok(_) => return Ok(()),
            Err(_) if attempts < 50 => attempts += 1,
            Err(error) => return Err(error).context("a prepared transaction cannot be decided"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Like [`equal_to_oplog`], but for the whole log, with only one segment in memory at a time.
/// Returns how many entries there are.
async fn compare_segment_by_segment(client: &Client, data: &Path) -> Result<usize> {
    let log = DirectoryLog::open_reader(&data.join("log"), DirectoryOptions::default()).await?;
    let end = log.end().await?.context("the log is empty")?;
    let (mut sequence, mut compared) = (Sequence::FIRST, 0);
    let mut last: Option<Stored> = None;
    while sequence <= end.sequence() {
        let segment = entries_of(&log, sequence).await?;
        compared += segment.len();
        // The last entry of the previous segment comes first, so that nothing is missing between
        // two segments.
        let entries: Vec<Stored> = last.take().into_iter().chain(segment).collect();
        equal_to_oplog(&entries, client).await.with_context(|| format!("segment {sequence}"))?;
        last = entries.into_iter().next_back();
        sequence = sequence.next();
    }
    Ok(compared)
}
