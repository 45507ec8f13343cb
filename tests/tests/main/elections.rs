//! Tests a set whose members step down, die and hang under load: capture continues at another
//! member, and nothing is lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions, dbhash};
use mongodb::Client;
use mongodb::options::WriteConcern;
use tokio::task::JoinHandle;

use crate::capture_checks::{
    equal_to_oplog, restores_exactly, status, stored_entries, wait_durable,
};
use crate::settings::setting;

/// Reading must continue at another member within this time.
const SWITCH: Duration = Duration::from_secs(15);
const ELECTION: Duration = Duration::from_secs(60);

/// Writes one document after another, each acknowledged by a majority, until it is stopped.
struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
    task: JoinHandle<Result<()>>,
}

impl Writer {
    fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicI64::new(0));
        let task =
            tokio::spawn(write_until_stopped(client, Arc::clone(&stop), Arc::clone(&acknowledged)));
        Self { stop, acknowledged, task }
    }

    fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits for writes that began after this call.
    async fn wait_progress(&self) -> Result<()> {
        let wanted = self.acknowledged() + 5;
        let written = async {
            while self.acknowledged() < wanted && !self.task.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(ELECTION, written).await.context("the source takes no writes")?;
        ensure!(!self.task.is_finished(), "the writer gave up");
        Ok(())
    }

    async fn stop(self) -> Result<i64> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await??;
        Ok(self.acknowledged.load(Ordering::SeqCst))
    }
}

async fn write_until_stopped(
    client: Client,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
) -> Result<()> {
    let orders = client.database("shop").collection::<Document>("orders");
    let mut failures = 0;
    while !stop.load(Ordering::SeqCst) {
        let number = acknowledged.load(Ordering::SeqCst);
        // An update with upsert can be repeated after its answer was lost.
        let write = orders
            .update_one(doc! {"_id": number}, doc! {"$set": {"total": number * 3, "state": "new"}})
            .upsert(true)
            .write_concern(WriteConcern::majority());
        match write.await {
            Ok(_) => {
                acknowledged.fetch_add(1, Ordering::SeqCst);
                failures = 0;
            }
            Err(error) => {
                failures += 1;
                ensure!(failures < 20, "the set takes no writes any more: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// Waits until a member is being read, and returns it. Between two members, for instance after the
/// member that was read became the primary, none is read.
async fn read_member(set: &ReplicaSet, data: &Path) -> Result<usize> {
    let deadline = Instant::now() + SWITCH;
    loop {
        let now = status(data).await?;
        if let Some(host) = now["member"].as_str() {
            return (0..set.len())
                .find(|member| set.server(*member).address() == host)
                .with_context(|| format!("{host} is no member"));
        }
        ensure!(Instant::now() < deadline, "no member is read for {SWITCH:?}: {now:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that writes committed after the failure, which happens now, are durable within
/// [`SWITCH`].
async fn goes_on(what: &str, set: &mut ReplicaSet, writer: &Writer, data: &Path) -> Result<()> {
    let failure = Instant::now();
    writer.wait_progress().await?;
    let writable = failure.elapsed();
    let primary = set.wait_for_primary(ELECTION).await?;
    let wanted = last_timestamp(&set.member_client(primary).await?).await?;
    let patience = SWITCH.saturating_sub(failure.elapsed());
    wait_durable(data, wanted, patience).await.with_context(|| what.to_owned())?;
    let took = failure.elapsed();
    let member = read_member(set, data).await?;
    println!(
        "{what}: writable after {writable:.1?}, durable after {took:.1?}, from member {member}"
    );
    Ok(())
}

async fn fail_members(set: &mut ReplicaSet, writer: &Writer, data: &Path) -> Result<()> {
    goes_on("before", set, writer, data).await?;
    for _ in 0..setting("HINDSIGHT_TEST_ELECTIONS", 1)? {
        set.step_down().await?;
        goes_on("primary stepped down", set, writer, data).await?;

        let member = read_member(set, data).await?;
        set.kill_member(member)?;
        goes_on(&format!("member {member} killed"), set, writer, data).await?;
        ensure!(read_member(set, data).await? != member, "member {member} is dead and still read");
        set.restart_member(member).await?;
        goes_on(&format!("member {member} started again"), set, writer, data).await?;
        set.wait_replicated().await?;

        let member = read_member(set, data).await?;
        set.pause_member(member)?;
        let went_on = goes_on(&format!("member {member} hangs"), set, writer, data).await;
        let next = read_member(set, data).await;
        set.resume_member(member)?;
        went_on?;
        ensure!(next? != member, "member {member} hangs and is still read");
        goes_on(&format!("member {member} answers again"), set, writer, data).await?;
        set.wait_replicated().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_goes_on_at_another_member() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    let writer = Writer::start(set.client().await?);
    let failed = fail_members(&mut set, &writer, &data).await;
    let written = writer.stop().await;
    failed.with_context(|| format!("messages of up:\n{}", up.stderr()))?;
    let written = written?;

    set.wait_replicated().await?;
    let primary = set.wait_for_primary(ELECTION).await?;
    let client = set.member_client(primary).await?;
    let held = dbhash::snapshot(&client).await?;
    let at = last_timestamp(&client).await?;
    let documents = held.collections["shop.orders"].documents;
    ensure!(documents >= Some(u64::try_from(written)?), "the source lost a write: {documents:?}");
    wait_durable(&data, at, SWITCH).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    restores_exactly(&data, at, &held).await?;
    let ended = up.stop().await?;
    ensure!(ended.success(), "up ended with {ended}");

    let entries = stored_entries(&data).await?;
    equal_to_oplog(&entries, &client).await?;
    println!("{written} acknowledged writes, {} entries equal to the source's", entries.len());
    Ok(())
}
