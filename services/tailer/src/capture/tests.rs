//! Transactions that are open at the end of the log, found again by reading the log.

use std::sync::Arc;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};
use hindsight_log::MemoryLog;
use hindsight_segment::{
    Codec, CutReason, Effort, FrameLimits, OpenSegment, SealInput, SegmentDigest, SegmentInfo,
    SourceIdentity, seal,
};

use super::*;

fn time(tick: u32) -> Bson {
    let time = if tick == 0 { 0 } else { 1000 };
    Bson::Timestamp(bson::Timestamp { time, increment: tick })
}

/// A command on a session. `previous` is the tick of the session's entry before it; 0 for none.
fn command(session: u8, previous: u32, o: Document) -> Document {
    let id = bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![session; 16] };
    let term = if previous == 0 { -1_i64 } else { 1 };
    doc! {
        "op": "c", "ns": "admin.$cmd", "o": o, "lsid": {"id": Bson::Binary(id)}, "txnNumber": 1_i64,
        "prevOpTime": {"ts": time(previous), "t": term},
    }
}

fn part(session: u8, previous: u32, more: Document) -> Document {
    let operation = doc! {"op": "i", "ns": "shop.orders", "o": {"_id": i32::from(session)}};
    let mut o = doc! {"applyOps": [operation]};
    o.extend(more);
    command(session, previous, o)
}

/// Entries at ticks 1, 2, …, of four sessions at a time: prepared and not prepared, committed,
/// aborted and left behind.
fn entries() -> Vec<Document> {
    let partial = || doc! {"partialTxn": true};
    let commit = |tick| doc! {"commitTransaction": 1, "commitTimestamp": time(tick)};
    let noop = || doc! {"op": "n", "ns": "", "o": {}};
    vec![
        noop(),
        part(1, 0, partial()),
        part(2, 0, doc! {"prepare": true}),
        part(1, 2, partial()),
        part(3, 0, partial()),
        part(1, 4, doc! {"count": 3_i64}),
        command(2, 3, commit(3)),
        part(4, 0, partial()),
        noop(),
        part(3, 5, doc! {"prepare": true, "count": 2_i64}),
        part(4, 8, doc! {"count": 2_i64}),
        command(3, 10, doc! {"abortTransaction": 1}),
        noop(),
        part(4, 0, partial()),
        part(2, 0, doc! {"prepare": true}),
        // Another primary wrote this entry, which ends the transactions that are not prepared.
        doc! {"op": "n", "ns": "", "o": {}, "t": 2_i64},
        command(2, 15, commit(15)),
    ]
}

/// Appends a segment of one entry.
async fn append(
    log: &MemoryLog,
    end: Option<&SegmentInfo>,
    entry: &Entry<'_>,
    transactions: &Assembler<()>,
) -> Arc<SegmentInfo> {
    let mut open = OpenSegment::new(FrameLimits::default());
    open.push(entry).expect("in order");
    let (frame, summary) = open.finish().expect("an entry");
    let segment = seal(SealInput {
        source: SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".to_owned() },
        epoch: WriterEpoch(1),
        sequence: end.map_or(Sequence::FIRST, |end| end.sequence().next()),
        predecessor: end.map_or(SegmentDigest::NONE, |end| end.digest),
        codec: Codec::Lz4,
        gap: None,
        majority: summary.last,
        oldest_unresolved: transactions.oldest_unresolved(),
        oldest_prepared: transactions.oldest_prepared(),
        reason: CutReason::Size,
        summary,
        frames: vec![frame.encode(Codec::Lz4, Effort::Normal)],
    });
    let segment = segment.expect("a segment");
    let info = Arc::clone(segment.info());
    log.append(segment).await.expect("appended");
    info
}

#[tokio::test]
async fn a_log_that_ends_after_any_entry_tells_what_is_open_there() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let index = Index::open(directory.path().join("index")).expect("an index");
    let log = MemoryLog::new();
    let mut transactions = Assembler::default();
    let (mut end, mut most) = (None, 0);
    for (tick, mut entry) in (1..).zip(entries()) {
        entry.extend(doc! {"ts": time(tick), "v": 2_i64});
        let term = if tick < 16 { 1_i64 } else { 2 };
        entry.insert("t", term);
        let bytes = entry.to_vec().expect("BSON");
        let entry = Entry::parse(&bytes).expect("an entry");
        transactions.push(&entry, || ()).expect("a sound log");
        let info = append(&log, end.as_deref(), &entry, &transactions).await;
        index.absorb_segment(&info).expect("absorbed");

        let mut again = Assembler::default();
        let digest = replay_open_transactions(&log, &index, &info, &mut again).await;
        assert_eq!(digest.expect("a log that can be read"), *blake3::hash(&bytes).as_bytes());
        let known =
            |all: &Assembler<()>| (all.oldest_unresolved(), all.oldest_prepared(), all.open());
        assert_eq!(known(&again), known(&transactions), "after tick {tick}");
        most = most.max(transactions.open());
        // What comes next is followed as it would be without the stop.
        transactions = again;
        end = Some(info);
    }
    assert_eq!((most, transactions.open()), (3, 0));
}
