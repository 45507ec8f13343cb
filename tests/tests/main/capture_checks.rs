//! What tests of capture often ask: how far capture is, whether the log is the source's oplog byte
//! for byte, and whether a restore equals the source.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{RawDocumentBuf, Timestamp, doc};
use futures_util::TryStreamExt;
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_oplog::{Entry, OpTime};
use hindsight_segment::Sequence;
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{Mongod, MongodOptions};
use mongodb::Client;
use serde_json::Value;

const POLL: Duration = Duration::from_millis(100);

/// Returns the output of `hindsight status`.
pub(crate) async fn status(data: &Path) -> Result<Value> {
    run_json(data, &["status"]).await?.expect_success()?.json()
}

/// Reads a `{"t": …, "i": …}` of the JSON contract.
pub(crate) fn timestamp(json: &Value) -> Option<Timestamp> {
    let part = |name: &str| u32::try_from(json.get(name)?.as_u64()?).ok();
    Some(Timestamp { time: part("t")?, increment: part("i")? })
}

/// Writes a time as the command line takes it.
pub(crate) fn spelled(at: Timestamp) -> String {
    format!("{},{}", at.time, at.increment)
}

/// Waits until everything up to `wanted` is durable. Returns how long that took.
pub(crate) async fn wait_durable(
    data: &Path,
    wanted: Timestamp,
    patience: Duration,
) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let now = status(data).await?;
        if timestamp(&now["positions"]["durable"]).is_some_and(|durable| durable >= wanted) {
            return Ok(started.elapsed());
        }
        ensure!(
            started.elapsed() < patience,
            "{wanted} is not durable after {patience:?}; status: {now:#}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// One stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub optime: OpTime,
    pub bytes: Vec<u8>,
}

/// Returns every entry of the log in order. Every segment is checked against its digest and its
/// predecessor.
pub(crate) async fn stored_entries(data: &Path) -> Result<Vec<Stored>> {
    let log = DirectoryLog::open_reader(&data.join("log"), DirectoryOptions::default()).await?;
    let Some(end) = log.end().await? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    let mut sequence = Sequence::FIRST;
    while sequence <= end.sequence() {
        entries.extend(entries_of(&log, sequence).await?);
        sequence = sequence.next();
    }
    Ok(entries)
}

/// Returns the entries of one segment, in order.
pub(crate) async fn entries_of(log: &DirectoryLog, sequence: Sequence) -> Result<Vec<Stored>> {
    let mut entries = Vec::new();
    for frame in log.read(sequence).await?.frames() {
        for bytes in frame.decode()?.entries() {
            let optime = Entry::parse(bytes)?.optime;
            entries.push(Stored { optime, bytes: bytes.to_vec() });
        }
    }
    Ok(entries)
}

/// Checks that a member's oplog holds exactly the stored entries from the first to the last: the
/// same number, in this order, with these bytes.
pub(crate) async fn equal_to_oplog(entries: &[Stored], member: &Client) -> Result<()> {
    let (first, last) = entries.first().zip(entries.last()).context("the log is empty")?;
    let bson = |at: OpTime| Timestamp { time: at.ts.seconds(), increment: at.ts.increment() };
    let oplog = member.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let range = doc! {"ts": {"$gte": bson(first.optime), "$lte": bson(last.optime)}};
    let mut source = oplog.find(range).sort(doc! {"$natural": 1}).await?;
    let mut compared = 0;
    while let Some(entry) = source.try_next().await? {
        let ours = entries.get(compared).with_context(|| {
            format!("the source holds more than the {compared} entries of the log: {entry:?}")
        })?;
        ensure!(
            ours.bytes == entry.as_bytes(),
            "entry {compared} differs: the log has {}, the source {entry:?}",
            ours.optime
        );
        compared += 1;
    }
    ensure!(
        compared == entries.len(),
        "the log has {} entries, the source {compared} in its range",
        entries.len()
    );
    Ok(())
}

/// Starts a fresh server and restores into it what the source held at a time.
pub(crate) async fn restored(data: &Path, at: Timestamp) -> Result<Mongod> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let args = ["restore", "--until", &spelled(at), "--to", &target.uri()];
    let report = run_json(data, &args).await?.expect_success().context("restore")?.json()?;
    ensure!(report["verified"] == true, "the restore says it is not verified: {report}");
    Ok(target)
}

/// Restores into a fresh server, which must then equal `wanted`.
pub(crate) async fn restores_exactly(data: &Path, at: Timestamp, wanted: &Snapshot) -> Result<()> {
    let target = restored(data, at).await?;
    let restored = dbhash::snapshot(&target.client().await?).await?;
    let difference = dbhash::diff(wanted, &restored);
    ensure!(
        difference.is_none(),
        "the restore of {} differs: {}",
        spelled(at),
        difference.unwrap_or_default()
    );
    Ok(())
}
