#![allow(clippy::unwrap_used)]

mod chain;
mod commands;
mod content;
mod damage;
mod hostile;

use hindsight_oplog::raw::{DocWriter, kind};
use hindsight_oplog::{Entry, OpTime, Timestamp};

use crate::*;

fn optime(increment: u32) -> OpTime {
    OpTime::new(1_700_000_000, increment, 3)
}

/// Returns an entry around `o`, with its fields in the order in which servers write them.
fn entry(at: OpTime, op: &str, ns: &str, o: impl FnOnce(&mut DocWriter)) -> Vec<u8> {
    let mut doc = DocWriter::new();
    doc.string(b"op", op).string(b"ns", ns).open(kind::DOCUMENT, b"o");
    o(&mut doc);
    doc.close();
    doc.value(kind::TIMESTAMP, b"ts", &at.ts.as_u64().to_le_bytes());
    doc.int64(b"t", at.term).int64(b"v", 2);
    doc.value(kind::DATE, b"wall", &wall(at.ts).to_le_bytes());
    doc.finish()
}

fn wall(ts: Timestamp) -> i64 {
    i64::from(ts.seconds()) * 1000 + i64::from(ts.increment())
}

fn insert(at: OpTime, id: i32) -> Vec<u8> {
    entry(at, "i", "shop.orders", |o| {
        o.int32(b"_id", id).string(b"note", "compresses compresses compresses");
    })
}

fn inserts(count: u32) -> Vec<Vec<u8>> {
    (1..=count).map(|number| insert(optime(number), number as i32)).collect()
}

/// Returns an insert of about `length` bytes that do not compress.
fn bulky(at: OpTime, length: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(length + 5);
    payload.extend_from_slice(&(length as i32).to_le_bytes());
    payload.push(0);
    let mut hash = blake3::Hasher::new();
    hash.update(&at.ts.as_u64().to_le_bytes());
    let mut noise = vec![0; length];
    hash.finalize_xof().fill(&mut noise);
    payload.extend_from_slice(&noise);
    entry(at, "i", "shop.files", |o| {
        o.int32(b"_id", 1).value(kind::BINARY, b"data", &payload);
    })
}

fn source() -> SourceIdentity {
    SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".to_owned() }
}

/// Returns what to seal `entries` with, as the first segment of a log.
fn seal_input(entries: &[Vec<u8>], codec: Codec, limits: FrameLimits) -> SealInput {
    let mut open = OpenSegment::new(limits);
    let mut frames = Vec::new();
    for bytes in entries {
        frames.extend(open.push(&Entry::parse(bytes).unwrap()).unwrap());
    }
    let (last_frame, summary) = open.finish().expect("a segment with entries");
    frames.push(last_frame);
    SealInput {
        source: source(),
        epoch: WriterEpoch(1),
        sequence: Sequence::FIRST,
        predecessor: SegmentDigest::NONE,
        codec,
        gap: None,
        majority: summary.last,
        oldest_unresolved: None,
        oldest_prepared: None,
        reason: CutReason::Size,
        summary,
        frames: frames.into_iter().map(|frame| frame.encode(codec, Effort::Normal)).collect(),
    }
}

fn sealed(entries: &[Vec<u8>], codec: Codec) -> SealedSegment {
    seal(seal_input(entries, codec, FrameLimits::new(4096))).unwrap()
}

fn facts(segment: &SealedSegment) -> SegmentInfo {
    SegmentInfo::clone(segment.info())
}

fn entries_of(view: &SegmentView) -> Vec<Vec<u8>> {
    let decoded = view.frames().iter().map(|frame| frame.decode().unwrap());
    decoded.flat_map(|frame| frame.entries().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
}

fn sighting() -> CatalogSighting {
    let mut spec = DocWriter::new();
    spec.int32(b"v", 2).open(kind::DOCUMENT, b"key").int32(b"x", 1).close();
    spec.string(b"name", "x_1");
    CatalogSighting {
        uuid: [7; 16],
        ns: "shop.orders".to_owned(),
        seen_from: optime(1).ts,
        seen_to: optime(2).ts,
        members: vec!["a:1".to_owned()],
        options: vec![5, 0, 0, 0, 0],
        indexes: vec![spec.finish()],
    }
}
