//! Tests callers that go away: the work for such a caller ends, and the audit file says so.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use bson::{Bson, Document, doc};
use futures_util::StreamExt;
use hindsight_proto::v1 as api;
use hindsight_tests::api::encoded;
use hindsight_tests::{Api, HindsightProcess};

use super::served::{Served, until};

const DOCUMENTS: i32 = 100_000;
const BATCH: i32 = 20_000;
/// How long the work may go on after its caller went away.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clock ticks per second.
const TICKS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_any_more_ends() -> Result<()> {
    let served = Served::start(&[]).await?;
    let before = served.now().await?;
    let orders = served.client.database("shop").collection::<Document>("orders");
    let payload = "x".repeat(300);
    for first in (0..DOCUMENTS).step_by(BATCH as usize) {
        let order = |number: i32| doc! {"_id": number, "payload": &payload};
        orders.insert_many((first..first + BATCH).map(order)).await?;
    }
    served.now().await?;

    let everything = api::ScanCollectionRequest { ns: "shop.orders".into(), ..Default::default() };
    let nothing = api::ScanCollectionRequest { filter: slow_filter()?, ..everything.clone() };
    // This caller reads one message and then stops: the rest of the answer waits for room.
    leaves(&served, "ScanCollection", async |api| {
        let mut answers = api.hindsight.clone().scan_collection(everything).await?.into_inner();
        answers.next().await.context("a first message")??;
        Ok(answers)
    })
    .await?;
    // This caller waits for documents that do not come, while the process looks at every document.
    leaves(&served, "ScanCollection", async |api| {
        Ok(api.hindsight.clone().scan_collection(nothing).await?)
    })
    .await?;
    let filter = Bson::Document(Document::from_reader(&slow_filter()?[..])?);
    let filter = encoded(&filter.into_canonical_extjson().to_string());
    let path = format!("/v1/collections/shop.orders/documents?filter={filter}");
    leaves(&served, "ScanCollection", async |api| {
        let lines = [("accept", "application/x-ndjson")];
        api.open(Method::GET, &path, &lines, "").await
    })
    .await?;
    let diff =
        api::DiffTimesRequest { from: until(before), filter: slow_filter()?, ..Default::default() };
    leaves(&served, "DiffTimes", async |api| Ok(api.hindsight.clone().diff_times(diff).await?))
        .await?;
    leaves(&served, "SearchEntries", async |api| {
        let search = api::SearchEntriesRequest::default();
        let mut answers = api.hindsight.clone().search_entries(search).await?.into_inner();
        answers.next().await.context("a first message")??;
        Ok(answers)
    })
    .await?;
    served.ends_well().await
}

/// Returns a filter that matches nothing, and takes a long time for each document.
fn slow_filter() -> Result<bytes::Bytes> {
    let pattern = |number: i32| doc! {"payload": {"$regex": format!("x+[0-9]{{{number}}}")}};
    let any: Vec<Document> = (1..40).map(pattern).collect();
    Ok(doc! {"$or": any}.to_vec()?.into())
}

/// Begins a call on a new connection, closes the connection, and checks that the work ends.
async fn leaves<T>(
    served: &Served,
    call: &str,
    begin: impl AsyncFnOnce(Api) -> Result<T>,
) -> Result<()> {
    let lines_before = served.audit()?.len();
    let api = served.api().await?;
    let under_way = begin(api).await.with_context(|| format!("begin {call}"))?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let count = in_flight(&served.up).await?;
    ensure!(count == 1, "{call}: {count} calls in flight before its caller left");
    drop(under_way);
    let left = Instant::now();
    while in_flight(&served.up).await? > 0 {
        ensure!(left.elapsed() < PATIENCE, "{call} goes on after {:?}", left.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{call} ended {:?} after its caller left", left.elapsed());
    is_idle(&served.up, call).await?;
    let lines = served.audit()?.split_off(lines_before);
    let ended = lines.iter().find(|line| line["call"] == call && line["phase"] == "ended");
    let ended = ended.with_context(|| format!("no end of {call}: {lines:?}"))?;
    ensure!(ended["code"] == "CANCELLED", "{ended}");
    Ok(())
}

async fn in_flight(up: &HindsightProcess) -> Result<u64> {
    let (_, metrics) = up.page("/metrics").await?;
    let value = metrics.lines().find_map(|it| it.strip_prefix("hindsight_api_calls_in_flight "));
    Ok(value.with_context(|| format!("calls are not counted: {metrics}"))?.trim().parse()?)
}

/// Checks that the call is no longer counted, and that no thread still works for it.
async fn is_idle(up: &HindsightProcess, call: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let before = ticks(up)?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = ticks(up)? - before;
        if used * 2 < TICKS / 4 {
            return Ok(());
        }
        ensure!(started.elapsed() < 2 * PATIENCE, "a thread works on for {call}: {used} ticks");
    }
}

/// Returns the processor time of all threads, in clock ticks.
fn ticks(up: &HindsightProcess) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", up.pid()))?;
    let after_name = stat.rsplit_once(')').context("a name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}
