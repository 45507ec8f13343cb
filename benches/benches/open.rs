//! Measures how fast segments of a log directory are packed, and how long a directory with a long
//! history takes to open.
//!
//! The log holds 1,000,000 segments of one entry (`HINDSIGHT_BENCH_SEGMENTS`), which is 69 hours of
//! segments that are cut every 250 ms. They are written without syncing each, and packed as the
//! process that captures packs them. Then the directory is opened as a start opens it, for writing
//! and for reading, with the last segment known; and without knowing anything. Each is compared
//! with the goal, and so is the memory that the open log takes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hindsight_benches::measure::{forget_peak, load, peak_resident_bytes, spread, verdict, wanted};
use hindsight_log::conformance::SegmentMaker;
use hindsight_log::{DirectoryLog, DirectoryOptions, KnownEnd, PackLimits, SegmentLog};
use hindsight_runtime::CancellationToken;
use hindsight_segment::Sequence;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const GOAL: Duration = Duration::from_secs(2);
const GOAL_FILES: usize = 1_000;
/// How many segments are written before they are packed.
const ROUND: u64 = 50_000;
const READS: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    let segments = wanted("HINDSIGHT_BENCH_SEGMENTS", 1_000_000) as u64;
    println!("a directory of {segments} segments; load before {}", load());
    let directory = tempfile::tempdir()?;
    let known = fill(directory.path(), segments).await?;
    let files = fs::read_dir(directory.path())?.count();
    println!("files: {files} (goal at most {GOAL_FILES}: {})", verdict(files <= GOAL_FILES));

    let pid = std::process::id();
    let known = DirectoryOptions { expected: None, known: Some(known) };
    for (what, options) in
        [("the end known", known.clone()), ("nothing known", DirectoryOptions::default())]
    {
        let begun = Instant::now();
        drop(DirectoryLog::open_writer(directory.path(), options.clone()).await?);
        report(&format!("open for writing, {what}"), begun.elapsed());
        forget_peak(pid)?;
        let before = peak_resident_bytes(pid)?;
        let begun = Instant::now();
        let log = DirectoryLog::open_reader(directory.path(), options).await?;
        report(&format!("open for reading, {what}"), begun.elapsed());
        let grown = peak_resident_bytes(pid)?.saturating_sub(before);
        println!("  memory: {} KiB more", grown >> 10);
        drop(log);
    }
    read(directory.path(), segments, known).await?;
    println!("load after {}", load());
    Ok(())
}

fn report(what: &str, took: Duration) {
    println!("{what}: {took:.1?} (goal {GOAL:?}: {})", verdict(took <= GOAL));
}

/// Writes the segments and packs them. Returns the last one.
async fn fill(directory: &Path, segments: u64) -> Result<KnownEnd> {
    let mut maker = SegmentMaker::default();
    let mut known: Option<KnownEnd> = None;
    let (mut packing, mut packed) = (Duration::ZERO, 0);
    while maker.sequence.0 <= segments {
        let mut last = None;
        for _ in 0..ROUND.min(segments + 1 - maker.sequence.0) {
            let segment = maker.make(1);
            let info = segment.info();
            let (first, end) = (info.first().ts, info.last().ts);
            let name = format!(
                "{:012}-{}_{}-{}_{}.seg",
                info.sequence().0,
                first.seconds(),
                first.increment(),
                end.seconds(),
                end.increment()
            );
            fs::write(directory.join(name), segment.to_bytes())?;
            last = Some(KnownEnd::from(&info.chain_end()));
        }
        known = last;
        let options = DirectoryOptions { expected: None, known };
        let log = DirectoryLog::open_writer(directory, options).await?;
        let begun = Instant::now();
        while let Some(pack) = log.pack(PackLimits::default(), CancellationToken::new()).await? {
            packed += pack.last.0 - pack.first.0 + 1;
        }
        packing += begun.elapsed();
    }
    let rate = packed as f64 / packing.as_secs_f64();
    println!("packed {packed} segments in {packing:.1?}: {rate:.0}/s");
    known.context("no segments")
}

/// Reads segments at random places.
async fn read(directory: &Path, segments: u64, options: DirectoryOptions) -> Result<()> {
    let log = DirectoryLog::open_reader(directory, options).await?;
    let mut random = SmallRng::seed_from_u64(7);
    let mut times = Vec::new();
    for _ in 0..READS {
        let sequence = Sequence(random.random_range(1..=segments));
        let begun = Instant::now();
        let view = log.read(sequence).await?;
        times.push(begun.elapsed());
        ensure!(view.info().sequence() == sequence, "another segment");
    }
    println!("read a segment at a random place: {}", spread(&mut times));
    Ok(())
}
