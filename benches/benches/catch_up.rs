//! Measures how fast capture catches up with a backlog, compared with a bare cursor that only reads
//! it.
//!
//! A: a raw-batch cursor of the same driver reads the range and counts its entries. B: capture
//! reads the same range into durable, compressed, digested and indexed segments, as `hindsight up`
//! does. K: capture reads the same range into a Kafka topic, on one broker of this machine. A, B
//! and K take turns on the same server. C: `mongodump` reads the same range once, if it is on PATH.
//! `HINDSIGHT_BENCH_ENTRIES` (1,000,000) and `HINDSIGHT_BENCH_ROUNDS` (3) change the numbers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, doc};
use futures_util::StreamExt;
use hindsight_benches::measure::{forget_peak, load, median, peak_resident_bytes, verdict, wanted};
use hindsight_benches::peer::dump_oplog;
use hindsight_benches::writes::{write_all, writers};
use hindsight_index::Index;
use hindsight_log::{DirectoryLog, DirectoryOptions, KafkaLog, KafkaOptions, SegmentLog};
use hindsight_oplog::raw::Doc;
use hindsight_oplog::{OpTime, Timestamp};
use hindsight_runtime::CancellationToken;
use hindsight_segment::{Sequence, WriterEpoch};
use hindsight_tailer::{
    Boards, Capture, CaptureSettings, CutSettings, Preference, Source, StartAt,
};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{KafkaCluster, KafkaClusterOptions, ReplicaSet, SetOptions};
use mongodb::Client;
use mongodb::options::ReadConcern;

const GOAL: f64 = 0.7;
/// The share of the directory's rate.
const GOAL_KAFKA: f64 = 0.8;
/// Entries per second: ten times the rate of Debezium and of MongoDB's own connector on two cores
/// (benches/peers).
const GOAL_KAFKA_RATE: f64 = 375_000.0;

/// The entries that every side reads.
struct Backlog {
    first: OpTime,
    last: Timestamp,
    entries: u64,
    bytes: u64,
}

/// One reading of the backlog.
struct Reading {
    entries: u64,
    bytes: u64,
    elapsed: Duration,
}

#[tokio::main]
async fn main() -> Result<()> {
    let wanted_entries = wanted("HINDSIGHT_BENCH_ENTRIES", 1_000_000);
    let rounds = wanted("HINDSIGHT_BENCH_ROUNDS", 3);
    let megabytes = u32::try_from((wanted_entries / 1000).max(990))?;
    let set = ReplicaSet::start(SetOptions::members(1).mongod(|it| it.oplog_mb(megabytes))).await?;
    let backlog = fill(&set, wanted_entries).await?;
    println!(
        "catch-up of {} entries, {} bytes each; load before {}",
        backlog.entries,
        backlog.bytes / backlog.entries,
        load()
    );
    let cluster = KafkaCluster::start(KafkaClusterOptions::brokers(1).direct()).await?;
    let (mut bare, mut captured, mut through_kafka) = (Vec::new(), Vec::new(), Vec::new());
    // A broker that has just started compiles itself, so this reading is not counted, like the
    // first bare reading.
    into_kafka(&set, &backlog, &cluster, 0).await?;
    for round in 1..=rounds {
        let a = read_bare(&set.member_client(0).await?, &backlog).await?;
        forget_peak(std::process::id())?;
        let b = into_directory(&set, &backlog).await?;
        let peak = peak_resident_bytes(std::process::id())? >> 20;
        forget_peak(std::process::id())?;
        let k = into_kafka(&set, &backlog, &cluster, round).await?;
        let peak_kafka = peak_resident_bytes(std::process::id())? >> 20;
        for (rates, reading) in [(&mut bare, &a), (&mut captured, &b), (&mut through_kafka, &k)] {
            rates.push(reading.entries as f64 / reading.elapsed.as_secs_f64());
        }
        println!(
            "round {round}: bare cursor {:.0} entries/s ({:?}), capture {:.0} entries/s ({:?}), peak {peak} MiB, \
             through Kafka {:.0} entries/s ({:?}), peak {peak_kafka} MiB",
            bare[round - 1],
            a.elapsed,
            captured[round - 1],
            b.elapsed,
            through_kafka[round - 1],
            k.elapsed
        );
    }
    let (bare, captured) = (median(&bare), median(&captured));
    let kafka = median(&through_kafka);
    let ratio = captured / bare;
    println!(
        "medians: bare cursor {bare:.0} entries/s, capture {captured:.0} entries/s; ratio {ratio:.2}, goal {GOAL} {}; \
         load after {}",
        verdict(ratio >= GOAL),
        load()
    );
    let ratio = kafka / captured;
    println!(
        "through Kafka {kafka:.0} entries/s (goal {GOAL_KAFKA_RATE:.0} {}); of the directory's {ratio:.2}, goal \
         {GOAL_KAFKA} {}",
        verdict(kafka >= GOAL_KAFKA_RATE),
        verdict(ratio >= GOAL_KAFKA)
    );
    if let Some(took) = dump_oplog(&set.uri(), bson_of(backlog.first.ts)).await? {
        let dumped = backlog.entries as f64 / took.as_secs_f64();
        println!("mongodump {dumped:.0} entries/s; faster than it {}", verdict(captured > dumped));
    }
    Ok(())
}

fn bson_of(ts: Timestamp) -> bson::Timestamp {
    bson::Timestamp { time: ts.seconds(), increment: ts.increment() }
}

async fn fill(set: &ReplicaSet, wanted_entries: usize) -> Result<Backlog> {
    let client = set.client().await?;
    let before = last_timestamp(&client).await?;
    let started = Instant::now();
    write_all(&mut writers(&client), wanted_entries).await?;
    println!("filled the oplog in {:?}", started.elapsed());
    let last = last_timestamp(&client).await?;
    let first = client
        .database("local")
        .collection::<Document>("oplog.rs")
        .find_one(doc! {"ts": {"$gt": before}})
        .sort(doc! {"$natural": 1})
        .await?
        .context("nothing was written")?;
    let ts = first.get_timestamp("ts")?;
    let first = OpTime::new(ts.time, ts.increment, first.get_i64("t")?);
    let last = Timestamp::new(last.time, last.increment);
    let mut backlog = Backlog { first, last, entries: 0, bytes: 0 };
    // The first reading warms the server's cache and is not counted.
    let found = read_bare(&set.member_client(0).await?, &backlog).await?;
    ensure!(found.entries >= wanted_entries as u64, "only {} entries are there", found.entries);
    (backlog.entries, backlog.bytes) = (found.entries, found.bytes);
    Ok(backlog)
}

/// A: walks the batches and counts the entries.
async fn read_bare(client: &Client, backlog: &Backlog) -> Result<Reading> {
    let from = bson_of(backlog.first.ts);
    let started = Instant::now();
    // There is no upper bound, because the server would compare it with every entry.
    let mut cursor = client
        .database("local")
        .collection::<Document>("oplog.rs")
        .find(doc! {"ts": {"$gte": from}})
        .read_concern(ReadConcern::majority())
        .batch()
        .await?;
    let (mut entries, mut bytes) = (0, 0);
    while let Some(batch) = cursor.next().await {
        let batch = batch?;
        let array = batch.doc_slices()?;
        let mut last = None;
        for element in Doc::new(array.as_bytes())?.elements() {
            let element = element?;
            entries += 1;
            bytes += element.value.len() as u64;
            last = Some(element);
        }
        let Some(last) = last.and_then(|it| Doc::new(it.value).ok()) else { continue };
        let ts = last.get(b"ts")?.and_then(|it| it.as_timestamp());
        if ts.is_some_and(|ts| ts >= backlog.last) {
            return Ok(Reading { entries, bytes, elapsed: started.elapsed() });
        }
    }
    bail!("the oplog ended before {:?}", backlog.last)
}

/// B: captures into a log of files.
async fn into_directory(set: &ReplicaSet, backlog: &Backlog) -> Result<Reading> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("log");
    let log = DirectoryLog::open_writer(&path, DirectoryOptions::default()).await?;
    capture(set, backlog, Arc::new(log), None).await
}

/// K: captures into a separate topic.
async fn into_kafka(
    set: &ReplicaSet,
    backlog: &Backlog,
    cluster: &KafkaCluster,
    round: usize,
) -> Result<Reading> {
    let mut options = KafkaOptions::new(cluster.bootstrap(), format!("hindsight.round{round}"));
    options.replicas = 1;
    let log = KafkaLog::open_writer(options).await?;
    let epoch = log.epoch();
    capture(set, backlog, Arc::new(log), epoch).await
}

/// Captures from the first entry until the last one is durable and indexed.
async fn capture(
    set: &ReplicaSet,
    backlog: &Backlog,
    log: Arc<dyn SegmentLog>,
    epoch: Option<WriterEpoch>,
) -> Result<Reading> {
    let directory = tempfile::tempdir()?;
    let source = Source::parse(&set.uri()).await?;
    let survey = source.survey(&source.hosts()).await?;
    let index = Arc::new(Index::open(directory.path().join("index"))?);
    let settings = CaptureSettings {
        source,
        identity: survey.identity,
        preference: Preference { member: None, tags: Vec::new(), allow_primary: true },
        cut: CutSettings::default(),
        catalog_check_every: std::time::Duration::ZERO,
    };
    let start = Some(StartAt(backlog.first));
    let capture =
        Capture::prepare(settings, Arc::clone(&log), Arc::clone(&index), start, Boards::default())
            .await?;
    let capture = match epoch {
        Some(epoch) => capture.with_epoch(epoch),
        None => capture,
    };
    let mut positions = capture.positions().watch();
    let shutdown = CancellationToken::new();

    let started = Instant::now();
    let running = tokio::spawn(capture.run(None, shutdown.clone()));
    positions
        .wait_for(|it| it.durable.is_some_and(|durable| durable.ts >= backlog.last))
        .await
        .context("capture ended early")?;
    let elapsed = started.elapsed();
    shutdown.cancel();
    running.await?.context("capture failed")?;

    let segments = log.infos(Sequence::FIRST, usize::MAX).await?;
    let entries = segments.iter().map(|it| it.seal.entries).sum();
    ensure!(entries >= backlog.entries, "only {entries} entries are durable");
    let stored: u64 = segments.iter().map(|it| it.segment_bytes).sum();
    let bytes: u64 = segments.iter().map(|it| it.seal.raw_bytes).sum();
    println!(
        "{} segments, {:.2} of the entries' bytes",
        segments.len(),
        stored as f64 / bytes as f64
    );
    Ok(Reading { entries, bytes, elapsed })
}
