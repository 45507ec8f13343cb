//! Measures how long a write that a majority has committed takes to become durable in the log, at
//! 5,000 writes per second.
//!
//! First, `hindsight up` runs as users run it, with base, index and history; then
//! `hindsight tailer` runs on a Kafka topic of one broker on this machine. A sample is an insert
//! with `w: majority`. Its time runs from the acknowledgement until a reader of the log finds a
//! segment that holds the operation time of the insert. The reader looks every 5 ms, and the
//! numbers include this delay. `HINDSIGHT_BENCH_SECONDS` (30) changes the duration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::doc;
use futures_util::future::try_join_all;
use hindsight_benches::measure::{load, quantile, verdict, wanted};
use hindsight_benches::writes::{COLLECTIONS, DATABASE, Writer};
use hindsight_log::{DirectoryLog, DirectoryOptions, KafkaLog, KafkaOptions, SegmentLog};
use hindsight_oplog::Timestamp;
use hindsight_tests::{
    HindsightProcess, KafkaCluster, KafkaClusterOptions, ReplicaSet, SetOptions,
};
use mongodb::Client;
use tokio::sync::watch;

/// 60 writes to each of 4 collections every 48 ms are 5,000 writes per second.
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
    println!("steady state for {length:?} each; load before {}", load());
    on_files(length).await?;
    on_kafka(length).await?;
    println!("load after {}", load());
    Ok(())
}

async fn on_files(length: Duration) -> Result<()> {
    let set = ReplicaSet::start(SetOptions::members(1)).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let log = DirectoryLog::open_reader(&data.join("log"), DirectoryOptions::default()).await?;
    measure("up, log in files", &set, up, Arc::new(log), length, Some(GOAL_P50)).await
}

async fn on_kafka(length: Duration) -> Result<()> {
    let set = ReplicaSet::start(SetOptions::members(1)).await?;
    let cluster = KafkaCluster::start(KafkaClusterOptions::brokers(1).direct()).await?;
    let directory = tempfile::tempdir()?;
    let (uri, url) = (set.uri(), format!("kafka://{}/bench", cluster.bootstrap()));
    let args = ["tailer", "--uri", &uri, "--log", &url, "--kafka-replicas", "1"];
    let tailer = HindsightProcess::start(&directory.path().join("data"), &args).await?;
    let log = KafkaLog::open_reader(KafkaOptions::new(cluster.bootstrap(), "bench")).await?;
    measure("tailer, log on Kafka", &set, tailer, Arc::new(log), length, None).await
}

async fn measure(
    name: &str,
    set: &ReplicaSet,
    mut process: HindsightProcess,
    log: Arc<dyn SegmentLog>,
    length: Duration,
    goal_p50: Option<Duration>,
) -> Result<()> {
    let client = set.client().await?;
    let (durable, seen) = watch::channel(Timestamp::ZERO);
    let looking = tokio::spawn(look_at_log(log, durable));
    let end = Instant::now() + length;
    let writing = try_join_all((0..COLLECTIONS).map(|it| write(Writer::new(&client, it), end)));
    let (made, samples, memory) =
        tokio::try_join!(writing, sample(&client, seen, end), watch_memory(&process, end))?;

    let mut latencies = try_join_all(samples).await?.into_iter().collect::<Result<Vec<_>>>()?;
    looking.abort();
    latencies.sort_unstable();
    let made: usize = made.iter().sum();
    let rate = made as f64 / length.as_secs_f64();
    let (p50, p99) = (quantile(&latencies, 0.5), quantile(&latencies, 0.99));
    println!(
        "{name}: {rate:.0} writes/s; {} samples of majority commit to durable: p50 {p50:?}{}, p99 {p99:?} (goal {GOAL_P99:?} {}), max {:?}; resident memory: {} MiB after a third, {} MiB at the end",
        latencies.len(),
        goal_p50.map_or(String::new(), |goal| format!(" (goal {goal:?} {})", verdict(p50 <= goal))),
        verdict(p99 <= GOAL_P99),
        quantile(&latencies, 1.0),
        memory.0 >> 20,
        memory.1 >> 20,
    );
    let status = process.stop().await?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// Publishes the time of the last entry of the log, as another process sees it.
async fn look_at_log(log: Arc<dyn SegmentLog>, durable: watch::Sender<Timestamp>) -> Result<()> {
    loop {
        if let Some(end) = log.end().await? {
            durable.send_replace(end.last().ts);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
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

/// Returns the resident bytes of the process after a third of the time, and at the end.
async fn watch_memory(process: &HindsightProcess, end: Instant) -> Result<(u64, u64)> {
    let left = end.saturating_duration_since(Instant::now());
    tokio::time::sleep(left / 3).await;
    let early = process.resident_bytes()?;
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    Ok((early, process.resident_bytes()?))
}
