//! Tests an oplog that rolls over while nothing reads it: the gap is reported, everything before it
//! stays restorable, and a new window begins by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, Timestamp, doc};
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::replica_set::{first_timestamp, last_timestamp};
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, SetOptions};
use mongodb::Client;
use serde_json::{Value, json};

use crate::capture_checks::{
    Stored, equal_to_oplog, restores_exactly, spelled, status, stored_entries, timestamp,
    wait_durable,
};

const PATIENCE: Duration = Duration::from_secs(90);
const BATCH: i32 = 64;
const PAYLOAD_BYTES: usize = 16 << 10;

/// A time, and what the source held then.
struct Held {
    at: Timestamp,
    snapshot: Snapshot,
}

impl Held {
    async fn now(client: &Client) -> Result<Self> {
        let snapshot = dbhash::snapshot(client).await?;
        Ok(Self { at: last_timestamp(client).await?, snapshot })
    }
}

async fn write_batch(client: &Client, batch: i32) -> Result<()> {
    let lines = client.database("shop").collection::<Document>("lines");
    let payload = "x".repeat(PAYLOAD_BYTES);
    let line = |i: i32| doc! {"_id": batch * BATCH + i, "payload": &payload};
    lines.insert_many((0..BATCH).map(line)).await?;
    // The collection stays small, but the oplog grows.
    lines.delete_many(doc! {"_id": {"$lt": (batch - 1) * BATCH}}).await?;
    Ok(())
}

/// Writes until the oplog has rolled over. Returns the time of an operation that can no longer be
/// read.
async fn roll_over(client: &Client) -> Result<Timestamp> {
    let deadline = Instant::now() + PATIENCE;
    write_batch(client, 1).await?;
    let lost = last_timestamp(client).await?;
    for batch in 2.. {
        write_batch(client, batch).await?;
        if first_timestamp(client).await? > lost {
            println!("rolled over after {} MB", (batch - 1) * BATCH / 64);
            break;
        }
        ensure!(Instant::now() < deadline, "the oplog does not roll over within {PATIENCE:?}");
    }
    Ok(lost)
}

/// Makes the oplog keep everything from now on (990 MB is the smallest size that the server takes),
/// so that the rest of the test is about one gap, however slow the machine is.
async fn keep_everything(client: &Client) -> Result<()> {
    let resize = doc! {"replSetResizeOplog": 1, "size": 990.0};
    client.database("admin").run_command(resize).await?;
    Ok(())
}

async fn windows(data: &Path) -> Result<Value> {
    run_json(data, &["windows"]).await?.expect_success()?.json()
}

/// Waits for the window that a new base opens after the gap.
async fn wait_for_second_window(data: &Path) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = windows(data).await?;
        if now["windows"].as_array().map(Vec::len) == Some(2) {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "no second window after {PATIENCE:?}: {now:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Checks that the gap's ends are exactly the entries on both sides of it.
fn check_gap(windows: &Value, entries: &[Stored], last: &Stored) -> Result<usize> {
    let gaps = windows["gaps"].as_array().context("no gaps")?;
    ensure!(gaps.len() == 1, "not one gap: {windows:#}");
    let gap = &gaps[0];
    let at = entries.iter().position(|entry| entry == last).context("the last entry is lost")?;
    let next = entries.get(at + 1).context("nothing was stored after the gap")?;
    for (name, entry) in [("after", last), ("before", next)] {
        let ts = entry.optime.ts;
        let wanted = Timestamp { time: ts.seconds(), increment: ts.increment() };
        ensure!(
            timestamp(&gap[name]) == Some(wanted),
            "the gap's {name:?} is not {wanted}: {gap:#}"
        );
    }
    let reason = gap["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("rolled over"), "the gap has no reason: {gap:#}");
    Ok(at + 1)
}

/// Checks that a restore into the gap is refused, with the gap named, before anything is written.
async fn refuses_the_gap(data: &Path, lost: Timestamp, gap: &Value) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let restore = ["restore", "--until", &spelled(lost), "--to", &target.uri()];
    let refused = run_json(data, &restore).await?.expect_code(3)?;
    let words = ["gap".to_owned(), number(&gap["after"]["t"]), number(&gap["before"]["t"])];
    for word in words {
        ensure!(refused.stderr.contains(&word), "{word:?} is missing in: {}", refused.stderr);
    }
    println!("refused: {}", refused.stderr.trim());
    let written = dbhash::snapshot(&target.client().await?).await?;
    ensure!(written.collections.is_empty(), "a refused restore wrote something");
    Ok(())
}

fn number(json: &Value) -> String {
    json.to_string()
}

/// Runs `hindsight wait`, and then checks every answer that a gap must not change.
async fn check_answers(data: &Path, lost: Timestamp, held: &[&Held]) -> Result<Value> {
    let now = wait_for_second_window(data).await?;
    run_json(data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    refuses_the_gap(data, lost, &now["gaps"][0]).await?;
    let waited = run_json(data, &["wait", "--for", &spelled(lost)]).await?.expect_code(3)?;
    ensure!(waited.stderr.contains("gap"), "a wait for what is lost: {}", waited.stderr);
    // What was never captured cannot be found, which is not the same as "did not happen".
    for command in ["find", "timeline"] {
        let answer = run_json(data, &[command]).await?.expect_success()?;
        ensure!(answer.stderr.contains("was never captured"), "{command}: {}", answer.stderr);
    }
    for point in held {
        restores_exactly(data, point.at, &point.snapshot).await?;
    }
    Ok(now)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_told_and_survived() -> Result<()> {
    let options = SetOptions::members(1).mongod(|mongod| mongod.oplog_mb(1).arg("--syncdelay=1"));
    let mut set = ReplicaSet::start(options).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");

    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let customers = client.database("shop").collection::<Document>("customers");
    customers.insert_many((0..100).map(|i| doc! {"_id": i, "name": "early"})).await?;
    write_batch(&client, 0).await?;
    let early = Held::now(&client).await?;
    customers.delete_many(doc! {"_id": {"$gte": 50}}).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let ended = up.stop().await?;
    ensure!(ended.success(), "up ended with {ended}");
    let before = stored_entries(&data).await?;
    let last = before.last().context("nothing was stored")?;
    let ts = last.optime.ts;

    let end = Timestamp { time: ts.seconds(), increment: ts.increment() };
    ensure!(end >= early.at, "the log ends at {end}, before what was waited for");
    let lost = roll_over(&client).await?;
    keep_everything(&client).await?;
    customers.update_many(doc! {}, doc! {"$set": {"name": "late"}}).await?;

    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    wait_for_second_window(&data).await?;
    customers.insert_one(doc! {"_id": "after the gap"}).await?;
    let late = Held::now(&client).await?;
    let now = check_answers(&data, lost, &[&early, &late]).await?;
    let entries = stored_entries(&data).await?;
    ensure!(entries.starts_with(&before), "what was stored before the gap has changed");
    let next = check_gap(&now, &entries, last)?;
    equal_to_oplog(&entries[next..], &client).await?;

    up.kill()?;
    up.wait_exit(Duration::from_secs(10)).await?;
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let again = check_answers(&data, lost, &[&early, &late]).await?;
    ensure!(again["gaps"] == now["gaps"], "another gap after a restart: {again:#}");
    ensure!(again["windows"][0] == now["windows"][0], "another first window: {again:#}");
    ensure!(again["windows"][1]["from"] == now["windows"][1]["from"], "another base: {again:#}");
    let ended = up.stop().await?;
    ensure!(ended.success(), "up ended with {ended}");
    // Without a running process, the files alone give the same answer.
    let offline = windows(&data).await?;
    ensure!(offline["gaps"] == now["gaps"], "other gaps when it is stopped: {offline:#}");
    Ok(())
}

/// Waits until the status reports an error with all of these words.
async fn wait_until_told(data: &Path, words: &[&str]) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = status(data).await?;
        let errors = now["errors"].as_array().context("no errors")?;
        let mut errors = errors.iter().filter_map(Value::as_str);
        if errors.any(|error| words.iter().all(|word| error.contains(word))) {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "nothing says {words:?}: {now:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn has_no_gap(data: &Path) -> Result<()> {
    let now = windows(data).await?;
    ensure!(now["gaps"].as_array().is_some_and(Vec::is_empty), "there is a gap: {now:#}");
    Ok(())
}

/// Tests a set whose only secondary is resynced while nothing captures: its oplog begins again, and
/// the primary's does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_primary_still_has_is_no_gap() -> Result<()> {
    let arbiter = doc! {"arbiterOnly": true, "priority": 0};
    let mut set = ReplicaSet::start(SetOptions::members(3).member(2, arbiter)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    ensure!(up.stop().await?.success(), "up ended badly:\n{}", up.stderr());
    let held = stored_entries(&data).await?.last().context("nothing was stored")?.optime.ts;
    let held = Timestamp { time: held.seconds(), increment: held.increment() };

    let things = client.database("shop").collection::<Document>("things");
    things.insert_many((0..100).map(|i| doc! {"_id": i})).await?;
    set.resync_member(1).await?;
    let begins = first_timestamp(&set.member_client(1).await?).await?;
    ensure!(begins > held, "the resynced member still has what the log ends with");

    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let primary = set.server(0).address();
    let told = wait_until_told(&data, &[&primary, "allow reading from the primary"]).await?;
    ensure!(told["remedies"] == json!(["allow_primary"]), "{told:#}");
    let path = data.to_str().context("a UTF-8 path")?;
    let shown = run(&["status", "--data", path]).await?.expect_success()?.stdout;
    ensure!(shown.contains("--allow-primary"), "no flag: {shown}");
    // Capture does not give in after a few attempts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    has_no_gap(&data).await?;
    ensure!(up.stop().await?.success(), "up ended badly:\n{}", up.stderr());

    let mut up = HindsightProcess::up(&set.uri(), &data, &["--allow-primary"]).await?;
    wait_durable(&data, last_timestamp(&client).await?, PATIENCE).await?;
    has_no_gap(&data).await?;
    ensure!(up.stop().await?.success(), "up ended badly:\n{}", up.stderr());
    let entries = stored_entries(&data).await?;
    equal_to_oplog(&entries, &set.member_client(0).await?).await
}
