//! Measures how long a search takes in a long log, in both shapes of a log: few large segments, as
//! when catching up with a backlog, and many small segments, as they are cut every 250 ms.
//!
//! The log holds 5,000,000 updates of 5,000,000 documents, among them 40 updates of one document.
//! A: all operations on that document, found by its `_id`; the frames that are read are compared
//! with the frames whose filters do not exclude the `_id`. B: an `_id` that no entry is about. C:
//! drops, of which the log has one. D: a regular expression over a tenth of the log, which must be
//! read; measured once. `HINDSIGHT_BENCH_ENTRIES` (5,000,000) changes the number of entries.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hindsight_benches::measure::{load, verdict, wanted};
use hindsight_index::Index;
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_oplog::raw::{Doc, DocWriter, kind};
use hindsight_oplog::{Entry, OpTime, Timestamp, id_key};
use hindsight_replayer::find::{EntryFilter, Pattern, find_all};
use hindsight_segment::{
    Codec, CutReason, Effort, FrameLimits, OpenSegment, SealInput, SegmentDigest, SegmentInfo,
    Sequence, SourceIdentity, WriterEpoch, seal,
};
use hindsight_tailer::{PositionBoard, Positions, absorb_new};

/// Milliseconds for A, in either shape.
const GOAL_MS: f64 = 300.0;
/// The wanted document is written once in this many entries.
const EVERY: u64 = 125_000;
const WANTED_ID: i64 = -1;

struct Shape {
    name: &'static str,
    entries_per_segment: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let entries = wanted("HINDSIGHT_BENCH_ENTRIES", 5_000_000) as u64;
    println!("search in {entries} entries; load before {}", load());
    for shape in [
        Shape { name: "large segments", entries_per_segment: 50_000 },
        Shape { name: "small segments", entries_per_segment: 1_250 },
    ] {
        let directory = tempfile::tempdir()?;
        let log = write(directory.path(), entries, shape.entries_per_segment).await?;
        let log: Arc<dyn SegmentLog> = Arc::new(log);
        let index = Arc::new(Index::open(directory.path().join("index"))?);
        let begun = Instant::now();
        absorb_new(log.as_ref(), &index, &PositionBoard::new(Positions::default())).await?;
        println!("{}: absorbed in {:?}", shape.name, begun.elapsed());
        measure(&shape, &log, &index, entries).await?;
    }
    Ok(())
}

async fn measure(
    shape: &Shape,
    log: &Arc<dyn SegmentLog>,
    index: &Arc<Index>,
    entries: u64,
) -> Result<()> {
    let all = EntryFilter::all();
    let segments = log.infos(Sequence::FIRST, usize::MAX).await?;
    for round in 1..=3 {
        let mut of_one = all.clone();
        of_one.set_id(Doc::new(&id_document(WANTED_ID))?)?;
        let (found, read, ms) = timed(log, index, of_one).await?;
        ensure!(found == entries.div_ceil(EVERY), "{found} operations found");
        let (may_hold, frames) = frames_that_may_hold(WANTED_ID, &segments)?;
        println!(
            "{} A{round}: {found} in {ms:.0} ms {}; read {read} of {frames} frames, {may_hold} may hold it (goal no \
             other {})",
            shape.name,
            verdict(ms <= GOAL_MS),
            verdict(read <= may_hold)
        );
        let mut of_none = all.clone();
        of_none.set_id(Doc::new(&id_document(-2))?)?;
        let (found, read, ms) = timed(log, index, of_none).await?;
        let (may_hold, _) = frames_that_may_hold(-2, &segments)?;
        println!(
            "{} B{round}: {found} in {ms:.0} ms; read {read} frames, {may_hold} may hold it (goal no other {})",
            shape.name,
            verdict(read <= may_hold)
        );
        let drops = EntryFilter { ops: vec!["drop".into()], ..all.clone() };
        let (found, _, ms) = timed(log, index, drops).await?;
        println!("{} C{round}: {found} in {ms:.0} ms", shape.name);
    }
    let mut grep = all;
    grep.grep = Some(Pattern::parse("\"token\":\"000").map_err(anyhow::Error::msg)?);
    grep.to = Timestamp::new(1_700_000_000 + (entries / 50_000) as u32, 0);
    let (found, _, ms) = timed(log, index, grep).await?;
    println!("{} D: {found} in {ms:.0} ms", shape.name);
    Ok(())
}

/// Returns how many entries were found, how many frames were read, and the milliseconds.
async fn timed(
    log: &Arc<dyn SegmentLog>,
    index: &Arc<Index>,
    filter: EntryFilter,
) -> Result<(u64, u64, f64)> {
    let (begun, mut found) = (Instant::now(), 0);
    let searched = find_all(log, index, filter, &mut |_| {
        found += 1;
        ControlFlow::Continue(())
    })
    .await?;
    Ok((found, searched.frames, begun.elapsed().as_secs_f64() * 1e3))
}

/// Returns the number of frames whose filter does not exclude the `_id`, and the number of all
/// frames.
fn frames_that_may_hold(id: i64, segments: &[Arc<SegmentInfo>]) -> Result<(u64, u64)> {
    let document = id_document(id);
    let hash = id_key::hash64(Doc::new(&document)?.get(b"_id")?.context("it has an _id")?);
    let frames = || segments.iter().flat_map(|segment| &segment.seal.frames);
    let may_hold = frames().filter(|frame| frame.filter.may_contain(hash)).count();
    Ok((may_hold as u64, frames().count() as u64))
}

/// Writes a log of this many entries, as capture writes it.
async fn write(
    directory: &std::path::Path,
    entries: u64,
    per_segment: u64,
) -> Result<DirectoryLog> {
    let log =
        DirectoryLog::open_writer(&directory.join("log"), DirectoryOptions::default()).await?;
    let (mut sequence, mut predecessor) = (Sequence::FIRST, SegmentDigest::NONE);
    let mut number = 0;
    while number < entries {
        let mut open = OpenSegment::new(FrameLimits::default());
        let mut frames = Vec::new();
        for number in number..entries.min(number + per_segment) {
            let bytes = entry(number, entries);
            frames.extend(open.push(&Entry::parse(&bytes)?)?);
        }
        number += per_segment;
        let (last_frame, summary) = open.finish().expect("a segment has entries");
        frames.push(last_frame);
        let segment = seal(SealInput {
            source: SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".into() },
            epoch: WriterEpoch(1),
            sequence,
            predecessor,
            codec: Codec::Zstd,
            gap: None,
            majority: summary.last,
            oldest_unresolved: None,
            oldest_prepared: None,
            reason: CutReason::Size,
            summary,
            frames: frames.into_iter().map(|it| it.encode(Codec::Zstd, Effort::Normal)).collect(),
        })?;
        (sequence, predecessor) = (sequence.next(), segment.digest());
        log.append(segment).await?;
    }
    Ok(log)
}

fn entry(number: u64, entries: u64) -> Vec<u8> {
    let at = OpTime::new(1_700_000_000 + (number / 5_000) as u32, (number % 5_000) as u32 + 1, 1);
    let mut doc = DocWriter::with_capacity(256);
    if number == entries / 2 + 1 {
        doc.string(b"op", "c").string(b"ns", "shop.$cmd").open(kind::DOCUMENT, b"o");
        doc.string(b"drop", "carts").close();
    } else {
        let id = if number.is_multiple_of(EVERY) { WANTED_ID } else { number as i64 };
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        doc.string(b"op", "u").string(b"ns", "shop.orders").open(kind::DOCUMENT, b"o");
        doc.int64(b"$v", 2).open(kind::DOCUMENT, b"diff").open(kind::DOCUMENT, b"u");
        doc.string(b"status", ["open", "paid", "sent"][(noise % 3) as usize]);
        doc.string(b"token", &format!("{noise:016x}{:016x}", noise.wrapping_mul(noise)));
        doc.close().close().close();
        doc.open(kind::DOCUMENT, b"o2").int64(b"_id", id).close();
    }
    doc.value(kind::TIMESTAMP, b"ts", &at.ts.as_u64().to_le_bytes());
    doc.int64(b"t", at.term).int64(b"v", 2);
    doc.value(kind::DATE, b"wall", &(i64::from(at.ts.seconds()) * 1000).to_le_bytes());
    doc.finish()
}

fn id_document(id: i64) -> Vec<u8> {
    let mut doc = DocWriter::new();
    doc.int64(b"_id", id);
    doc.finish()
}
