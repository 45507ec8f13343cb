//! Measures how fast `hindsight up` answers about a long past, over gRPC and HTTP, and how it
//! performs under many callers at the same time.
//!
//! Documents in 20 collections are inserted, updated, deleted and inserted again (`past.rs` says
//! how) while `up` runs. Once everything is applied, one caller asks one question after another
//! over one connection that is kept open. A time ends when the last byte is read, and every answer
//! is checked after that. Searches by `_id` are compared with the versions, the timeline with what
//! was written, changes with the documents at both times, and each transport with the others. The
//! frames of the log that searches read, as the process counts them, are compared with the frames
//! whose filters do not exclude the `_id`.
//!
//! At the end, 64 callers ask as fast as they are answered while the source is written to.
//!
//! `HINDSIGHT_BENCH_ENTRIES` (5,000,000; one document for five entries), `HINDSIGHT_BENCH_CALLS`
//! (20,000) and `HINDSIGHT_BENCH_SECONDS` (60) change the numbers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hindsight_benches::api::asking::{Asking, wait};
use hindsight_benches::api::caller::Caller;
use hindsight_benches::api::load::{self, CALLERS, Load, MIX};
use hindsight_benches::api::past::{LEAST_DOCUMENTS, Past};
use hindsight_benches::measure::{load as load_averages, spread, verdict, wanted};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};

const GOAL_LAG: Duration = Duration::from_secs(2);
/// The memory in the last third, as a multiple of the memory in the first third.
const GOAL_GROWTH: f64 = 1.1;

#[tokio::main]
async fn main() -> Result<()> {
    let entries = wanted("HINDSIGHT_BENCH_ENTRIES", 5_000_000);
    let documents = (entries / 5).max(LEAST_DOCUMENTS);
    let calls = wanted("HINDSIGHT_BENCH_CALLS", 20_000).max(100);
    let seconds = wanted("HINDSIGHT_BENCH_SECONDS", 60) as u64;
    let megabytes = u32::try_from((entries / 1000).max(990))?;
    let set = ReplicaSet::start(SetOptions::members(1).mongod(|it| it.oplog_mb(megabytes))).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    println!("the API over {entries} entries on {documents} documents; load {}", load_averages());
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let past = build(&set, &data, documents, entries).await?;
    let status = run_json(&data, &["status"]).await?.expect_success()?.json()?;
    let url = status["api"].as_str().context("the status tells no address")?.to_owned();
    let mut asking = Asking { url, data, past, pid: up.pid() };
    asking.gets(calls).await?;
    asking.versions((calls / 4).max(1)).await?;
    asking.finds().await?;
    asking.timelines().await?;
    asking.scans().await?;
    asking.spans().await?;
    asking.proportion().await?;
    let Asking { url, data, mut past, .. } = asking;
    let mut load = load::run(&up, &url, &mut past, Duration::from_secs(seconds)).await?;
    say_load(&mut load);
    wait(&data).await?;
    let (counted, _) = Caller::grpc(&url).await?.timeline().await?;
    ensure!(counted == past.written(), "{counted} writes are held of {}", past.written());
    println!("all {counted} writes are held; load averages after {}", load_averages());
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}

async fn build(set: &ReplicaSet, data: &Path, documents: usize, entries: usize) -> Result<Past> {
    let mut past = Past::new(&set.client().await?, documents)?;
    let started = Instant::now();
    past.insert_all().await?;
    let inserted = started.elapsed();
    past.change_all(entries.saturating_sub(documents)).await?;
    let written = started.elapsed();
    wait(data).await?;
    println!(
        "{} writes in {written:.1?} ({inserted:.1?} of it to insert), applied {:.1?} later",
        past.written(),
        started.elapsed().saturating_sub(written)
    );
    Ok(past)
}

fn say_load(load: &mut Load) {
    let tally = &mut load.tally;
    let answered: usize = tally.times.iter().map(Vec::len).sum();
    let seconds = load.elapsed.as_secs_f64();
    println!(
        "{CALLERS} callers for {seconds:.0} s, {:.0} writes/s meanwhile: {answered} answers, {:.0}/s; {} failures \
         (goal none {})",
        load.written as f64 / seconds,
        answered as f64 / seconds,
        tally.failed,
        verdict(tally.failed == 0)
    );
    for failure in &tally.failures {
        println!("  failure: {failure}");
    }
    for ((name, _), times) in MIX.iter().zip(&mut tally.times) {
        println!("  {name}: {} answers, {}", times.len(), spread(times));
    }
    let watched = &load.watched;
    let reported = Duration::from_secs(watched.capture_lag);
    println!(
        "  highest capture lag: {reported:?} as reported, {:.1?} of an acknowledged write (goal under {GOAL_LAG:?} \
         {}); apply lag {} s",
        watched.not_durable,
        verdict(reported.max(watched.not_durable) < GOAL_LAG),
        watched.apply_lag
    );
    say_memory(&watched.resident);
}

/// Prints samples of resident memory in bytes, one for each second.
fn say_memory(samples: &[u64]) {
    let third = samples.len().div_ceil(3);
    let mean = |some: &[u64]| some.iter().sum::<u64>() as f64 / some.len().max(1) as f64;
    let (first, last) = (mean(&samples[..third]), mean(&samples[samples.len() - third..]));
    println!(
        "  resident memory: at most {} MiB; {:.0} MiB in the first third, {:.0} MiB in the last, {:.2} times (goal at \
         most {GOAL_GROWTH} {})",
        samples.iter().max().unwrap_or(&0) >> 20,
        first / f64::from(1 << 20),
        last / f64::from(1 << 20),
        last / first,
        verdict(last <= first * GOAL_GROWTH)
    );
}
