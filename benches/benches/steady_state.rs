//! How long a write, once committed by a majority, takes until it is durable in the log, at 5,000 writes a second.
//!
//! `hindsight up` runs as users run it, with base, index and history. A sample is an insert with `w: majority`: from
//! its acknowledgement until a reader of the log directory finds a segment that holds its operation time. The reader
//! looks every 5 ms, which the numbers include. `HINDSIGHT_BENCH_SECONDS` (30) changes the length.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::doc;
use futures_util::future::try_join_all;
use hindsight_benches::measure::{load, quantile, verdict, wanted};
use hindsight_benches::writes::{COLLECTIONS, DATABASE, Writer};
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_oplog::Timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use mongodb::Client;
use tokio::sync::watch;

/// 60 writes to each of 4 collections every 48 ms: 5,000 a second.
const TENS: usize = 6;
const TICK: Duration = Duration::from_millis(48);
const SAMPLE_EVERY: Duration = Duration::from_millis(25);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);
const GOAL_P50: Duration = Duration::from_millis(150);
const GOAL_P99: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<()> {
    let length = Duration::from_secs(wanted("HINDSIGHT_BENCH_SECONDS", 30) as u64);
    let set = ReplicaSet::start(SetOptions::members(1)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    println!("steady state for {length:?}; load before {}", load());

    let (durable, seen) = watch::channel(Timestamp::ZERO);
    let looking = tokio::spawn(look_at_log(data.join("log"), durable));
    let end = Instant::now() + length;
    let writing = try_join_all((0..COLLECTIONS).map(|it| write(Writer::new(&client, it), end)));
    let (made, samples, memory) =
        tokio::try_join!(writing, sample(&client, seen, end), watch_memory(&up, end))?;

    let mut latencies = try_join_all(samples).await?.into_iter().collect::<Result<Vec<_>>>()?;
    looking.abort();
    latencies.sort_unstable();
    let made: usize = made.iter().sum();
    let rate = made as f64 / length.as_secs_f64();
    let (p50, p99) = (quantile(&latencies, 0.5), quantile(&latencies, 0.99));
    println!(
        "{rate:.0} writes/s; {} samples of majority commit to durable: p50 {p50:?} (goal {GOAL_P50:?} {}), \
         p99 {p99:?} (goal {GOAL_P99:?} {}), max {:?}; resident memory of up: {} MiB after a third, {} MiB at the \
         end; load after {}",
        latencies.len(),
        verdict(p50 <= GOAL_P50),
        verdict(p99 <= GOAL_P99),
        quantile(&latencies, 1.0),
        memory.0 >> 20,
        memory.1 >> 20,
        load()
    );
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}

/// Publishes the last entry of the log, as another process sees it.
async fn look_at_log(log: std::path::PathBuf, durable: watch::Sender<Timestamp>) -> Result<()> {
    let log = open(&log).await?;
    loop {
        if let Some(end) = log.end().await? {
            durable.send_replace(end.last().ts);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn open(log: &Path) -> Result<Arc<DirectoryLog>> {
    Ok(Arc::new(DirectoryLog::open_reader(log, DirectoryOptions::default()).await?))
}

async fn write(mut writer: Writer, end: Instant) -> Result<usize> {
    let mut ticks = tokio::time::interval(TICK);
    let mut made = 0;
    while Instant::now() < end {
        ticks.tick().await;
        made += writer.write(TENS).await?;
    }
    Ok(made)
}

type Sample = tokio::task::JoinHandle<Result<Duration>>;

async fn sample(
    client: &Client,
    durable: watch::Receiver<Timestamp>,
    end: Instant,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut number = 0_i64;
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    while Instant::now() < end {
        ticks.tick().await;
        number += 1;
        let insert = doc! {
            "insert": "samples", "documents": [{"_id": number}], "writeConcern": {"w": "majority"},
        };
        let reply = client.database(DATABASE).run_command(insert).await?;
        let committed = Instant::now();
        let time = reply.get_timestamp("operationTime")?;
        let time = Timestamp::new(time.time, time.increment);
        let mut durable = durable.clone();
        samples.push(tokio::spawn(async move {
            let reached = durable.wait_for(|it| *it >= time);
            tokio::time::timeout(PATIENCE, reached).await?.context("the log is not looked at")?;
            Ok(committed.elapsed())
        }));
    }
    Ok(samples)
}

/// Resident bytes of `up` after a third of the time, and at its end.
async fn watch_memory(up: &HindsightProcess, end: Instant) -> Result<(u64, u64)> {
    let left = end.saturating_duration_since(Instant::now());
    tokio::time::sleep(left / 3).await;
    let early = up.resident_bytes()?;
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    Ok((early, up.resident_bytes()?))
}
