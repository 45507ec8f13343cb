//! Measures `hindsight up` as a whole: how fast and with how much memory it catches up, and how
//! fast it then answers `get`.
//!
//! The backlog (60 % inserts, 30 % deltas, 10 % deletes) is written in rounds while `up` is
//! stopped, because two cores cannot write at the rate at which `up` should read. The time of a
//! round runs from the start of the process until `hindsight wait` says that everything is durable
//! and applied, so it includes opening the data directory. After the rounds, as many writes as in
//! one round are made as fast as the server takes them, while the last process keeps running.
//! Memory peaks come from the kernel.
//!
//! Then `get` is called as the command line calls it, over one connection, one call after another,
//! for random documents at random times among all writes. That a document did not exist at a time
//! is also an answer. Every document that is found must have the requested `_id`, and a sample of
//! the newest documents must equal those of the source, byte for byte.
//!
//! At the end, the history is deleted, and a command that runs without `up` builds it again from
//! the segments.
//!
//! `HINDSIGHT_BENCH_ENTRIES` (1,000,000), `HINDSIGHT_BENCH_ROUNDS` (3) and `HINDSIGHT_BENCH_CALLS`
//! (20,000) change the numbers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{RawDocumentBuf, doc};
use hindsight_benches::measure::{
    forget_peak, load, peak_resident_bytes, quantile, verdict, wanted,
};
use hindsight_benches::questions::{Api, Questions, connect, get};
use hindsight_benches::writes::{DATABASE, Writer, write_all, writers};
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_segment::Sequence;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use mongodb::Client;

const GOAL_RATE: f64 = 20_000.0;
/// Entries per second that are applied from local segments.
const GOAL_APPLIED: f64 = 300_000.0;
const GOAL_PEAK: u64 = 512 << 20;
/// The last peak may be at most this many times as high as the previous peak.
const GOAL_GROWTH: f64 = 1.15;
const GOAL_GET_P99: Duration = Duration::from_millis(5);
const WARM_UP: usize = 1_000;
/// The number of documents that are compared with those of the source.
const COMPARED: usize = 200;

#[tokio::main]
async fn main() -> Result<()> {
    let entries = wanted("HINDSIGHT_BENCH_ENTRIES", 1_000_000);
    let rounds = wanted("HINDSIGHT_BENCH_ROUNDS", 3).max(2);
    let calls = wanted("HINDSIGHT_BENCH_CALLS", 20_000).max(1);
    let megabytes = u32::try_from((entries / 1000).max(990))?;
    let set = ReplicaSet::start(SetOptions::members(1).mongod(|it| it.oplog_mb(megabytes))).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    println!("`up` over {entries} entries in {rounds} rounds; load before {}", load());
    // The base is a copy of an empty server, so everything that follows comes from the log.
    let up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    wait(&data).await?;
    stop(up).await?;

    let client = set.client().await?;
    let mut writers = writers(&client);
    let share = entries.div_ceil(rounds);
    let mut up = None;
    let mut caught_up = Vec::new();
    for number in 1..=rounds {
        if let Some(up) = up.take() {
            stop(up).await?;
        }
        let made = write_all(&mut writers, share).await?;
        let (process, round) = catch_up(&set, &data, made).await?;
        println!(
            "round {number}: {made} entries in {:?} ({:?} of it until ready), {:.0} entries/s, peak {} MiB",
            round.elapsed,
            round.ready,
            round.rate,
            round.peak >> 20
        );
        up = Some(process);
        caught_up.push(round);
    }
    let up = up.context("there is a round")?;
    say_rounds(&caught_up);
    write_while_running(&up, &data, &mut writers, share).await?;
    measure_gets(&data, &client, &writers, calls).await?;
    stop(up).await?;
    rebuild(&data).await?;
    println!("load after {}", load());
    Ok(())
}

/// Returns when everything written until now is durable and applied.
async fn wait(data: &Path) -> Result<()> {
    run_json(data, &["wait", "--timeout", "280s"]).await?.expect_success()?;
    Ok(())
}

async fn stop(mut up: HindsightProcess) -> Result<()> {
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}

/// How one process caught up; the peak is in bytes.
struct Round {
    ready: Duration,
    elapsed: Duration,
    rate: f64,
    peak: u64,
}

/// Starts `up`, which keeps running, and waits until it has caught up.
async fn catch_up(set: &ReplicaSet, data: &Path, made: usize) -> Result<(HindsightProcess, Round)> {
    let started = Instant::now();
    let up = HindsightProcess::up(&set.uri(), data, &[]).await?;
    let ready = started.elapsed();
    wait(data).await?;
    let elapsed = started.elapsed();
    let peak = peak_resident_bytes(up.pid())?;
    let rate = made as f64 / elapsed.as_secs_f64();
    Ok((up, Round { ready, elapsed, rate, peak }))
}

fn say_rounds(rounds: &[Round]) {
    let slowest = rounds.iter().map(|it| it.rate).fold(f64::INFINITY, f64::min);
    let highest = rounds.iter().map(|it| it.peak).max().unwrap_or_default();
    println!(
        "rounds: slowest {slowest:.0} entries/s (goal over {GOAL_RATE} {}), highest peak {} MiB (goal under {} MiB {})",
        verdict(slowest > GOAL_RATE),
        highest >> 20,
        GOAL_PEAK >> 20,
        verdict(highest < GOAL_PEAK)
    );
    if let [.., before, last] = rounds {
        say_growth("the last round's peak against the one before", before.peak, last.peak);
    }
}

fn say_growth(what: &str, before: u64, after: u64) {
    let growth = after as f64 / before as f64;
    println!(
        "{what}: {} MiB to {} MiB, {growth:.2} (goal at most {GOAL_GROWTH} {})",
        before >> 20,
        after >> 20,
        verdict(growth <= GOAL_GROWTH)
    );
}

/// Writes further entries while the same process runs: its memory must not grow.
async fn write_while_running(
    up: &HindsightProcess,
    data: &Path,
    writers: &mut [Writer],
    count: usize,
) -> Result<()> {
    let started = Instant::now();
    let (mut made, mut peaks) = (0, Vec::new());
    for _ in 0..2 {
        forget_peak(up.pid())?;
        made += write_all(writers, count.div_ceil(2)).await?;
        peaks.push(peak_resident_bytes(up.pid())?);
    }
    let written = started.elapsed();
    wait(data).await?;
    let applied = started.elapsed();
    println!(
        "while up runs: {made} entries written at {:.0}/s, applied {:?} after the last write",
        made as f64 / written.as_secs_f64(),
        applied.saturating_sub(written)
    );
    if let [first, _] = peaks[..] {
        // This peak includes what was left to apply.
        let second = peak_resident_bytes(up.pid())?;
        say_growth("while up runs, the second half's peak against the first's", first, second);
        let highest = first.max(second);
        println!(
            "while up runs: peak {} MiB (goal under {} MiB {})",
            highest >> 20,
            GOAL_PEAK >> 20,
            verdict(highest < GOAL_PEAK)
        );
    }
    Ok(())
}

/// Deletes the history, and measures a command that rebuilds it, from its start to its end.
async fn rebuild(data: &Path) -> Result<()> {
    let log = DirectoryLog::open_reader(&data.join("log"), DirectoryOptions::default()).await?;
    let segments = log.infos(Sequence::FIRST, usize::MAX).await?;
    let entries: u64 = segments.iter().map(|it| it.seal.entries).sum();
    std::fs::remove_dir_all(data.join("history"))?;
    let started = Instant::now();
    run_json(data, &["windows"]).await?.expect_success()?;
    let elapsed = started.elapsed();
    let rate = entries as f64 / elapsed.as_secs_f64();
    println!(
        "history built again from {} segments, {entries} entries in {elapsed:?}: {rate:.0} entries/s (goal \
         {GOAL_APPLIED} {})",
        segments.len(),
        verdict(rate >= GOAL_APPLIED)
    );
    Ok(())
}

async fn measure_gets(
    data: &Path,
    source: &Client,
    writers: &[Writer],
    calls: usize,
) -> Result<()> {
    let status = run_json(data, &["status"]).await?.expect_success()?.json()?;
    let address = status["api"].as_str().context("the status tells no address")?.to_owned();
    let mut api = connect(address).await?;
    let mut questions = Questions::about(writers)?;
    let held = compare(&mut api, source, &mut questions).await?;

    let (mut all, mut found) = (Vec::with_capacity(calls), Vec::new());
    for call in 0..WARM_UP + calls {
        let (collection, id) = questions.document();
        let (document, took) = get(&mut api, &collection, id, questions.time()).await?;
        if call < WARM_UP {
            continue;
        }
        all.push(took);
        if document.is_some() {
            found.push(took);
        }
    }
    ensure!(found.len() > calls / 10, "only {} of {calls} documents were found", found.len());
    all.sort_unstable();
    found.sort_unstable();
    let p99 = quantile(&all, 0.99);
    println!(
        "get: {calls} calls after {WARM_UP} to warm up, {} found a document; p50 {:?}, p99 {p99:?} (goal at most \
         {GOAL_GET_P99:?} {}), max {:?}; of those that found one p50 {:?}, p99 {:?}; before, {COMPARED} of the newest \
         equalled the source's, {held} of which exist",
        found.len(),
        quantile(&all, 0.5),
        verdict(p99 <= GOAL_GET_P99),
        quantile(&all, 1.0),
        quantile(&found, 0.5),
        quantile(&found, 0.99)
    );
    Ok(())
}

/// Compares random documents as of the newest time with those of the source. Returns how many
/// exist.
async fn compare(api: &mut Api, source: &Client, questions: &mut Questions) -> Result<usize> {
    let mut held = 0;
    for _ in 0..COMPARED {
        let (collection, id) = questions.document();
        let documents = source.database(DATABASE).collection::<RawDocumentBuf>(&collection);
        let expected = documents.find_one(doc! {"_id": id}).await?;
        let (document, _) = get(api, &collection, id, "latest".to_owned()).await?;
        ensure!(document == expected, "{id} in {collection} differs from the source's");
        held += usize::from(document.is_some());
    }
    Ok(held)
}
