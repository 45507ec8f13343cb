//! Makes segments to append: small ones that form true chains.

use hindsight_oplog::raw::{DocWriter, kind};
use hindsight_oplog::{Entry, OpTime};
use hindsight_segment::{
    Codec, CutReason, Effort, FrameLimits, GapNotice, OpenSegment, RawFrame, SealInput,
    SealedSegment, SegmentDigest, Sequence, SourceIdentity, WriterEpoch, seal,
};

/// Makes one segment after another. A clone continues on its own, as another writer would.
#[derive(Clone, Debug)]
pub struct SegmentMaker {
    /// The replica set that the segments name.
    pub source: SourceIdentity,
    /// The writer epoch of the next segment.
    pub epoch: WriterEpoch,
    /// The sequence of the next segment.
    pub sequence: Sequence,
    /// The digest that the next segment names as its predecessor's.
    pub predecessor: SegmentDigest,
    /// The optime of the next entry.
    pub next: OpTime,
    /// The gap that the next segment notes; the segment after it notes none.
    pub gap: Option<GapNotice>,
}

impl Default for SegmentMaker {
    fn default() -> Self {
        Self {
            source: sample_source(),
            epoch: WriterEpoch(1),
            sequence: Sequence::FIRST,
            predecessor: SegmentDigest::NONE,
            next: OpTime::new(1_700_000_000, 1, 1),
            gap: None,
        }
    }
}

impl SegmentMaker {
    /// Returns the segment with the next `entries` entries, in frames of 4 KiB, and moves the maker
    /// on to the segment after it.
    ///
    /// # Panics
    /// Panics when `entries` is 0, or when the values of the fields do not make a segment.
    pub fn make(&mut self, entries: u32) -> SealedSegment {
        let mut open = OpenSegment::new(FrameLimits::new(0));
        let mut frames: Vec<RawFrame> = Vec::new();
        for _ in 0..entries {
            let bytes = sample_entry(self.next);
            let entry = Entry::parse(&bytes).expect("a sample entry is an entry");
            frames.extend(open.push(&entry).expect("sample entries are in order"));
            self.next =
                OpTime::new(self.next.ts.seconds(), self.next.ts.increment() + 1, self.next.term);
        }
        let (last_frame, summary) = open.finish().expect("a segment has entries");
        frames.push(last_frame);
        let segment = seal(SealInput {
            source: self.source.clone(),
            epoch: self.epoch,
            sequence: self.sequence,
            predecessor: self.predecessor,
            codec: Codec::Zstd,
            gap: self.gap.take(),
            majority: summary.last,
            oldest_unresolved: None,
            oldest_prepared: None,
            reason: CutReason::Size,
            summary,
            frames: frames
                .into_iter()
                .map(|frame| frame.encode(Codec::Zstd, Effort::Normal))
                .collect(),
        });
        let segment = segment.expect("the parts make a segment");
        self.sequence = self.sequence.next();
        self.predecessor = segment.digest();
        segment
    }
}

/// Returns the replica set that sample segments name by default.
pub fn sample_source() -> SourceIdentity {
    SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".to_owned() }
}

/// Returns an insert into `shop.orders` whose `_id` is the timestamp's increment.
pub fn sample_entry(at: OpTime) -> Vec<u8> {
    let mut doc = DocWriter::new();
    doc.string(b"op", "i").string(b"ns", "shop.orders").open(kind::DOCUMENT, b"o");
    doc.int64(b"_id", i64::from(at.ts.increment()));
    // The text differs from entry to entry, so that frames do not shrink to almost nothing.
    let noise = at.ts.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    doc.string(b"note", &format!("{noise:016x}{:016x}", noise.wrapping_mul(noise))).close();
    doc.value(kind::TIMESTAMP, b"ts", &at.ts.as_u64().to_le_bytes());
    doc.int64(b"t", at.term).int64(b"v", 2);
    doc.value(kind::DATE, b"wall", &(i64::from(at.ts.seconds()) * 1000).to_le_bytes());
    doc.finish()
}
