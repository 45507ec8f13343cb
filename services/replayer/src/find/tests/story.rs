//! Logs for searches: written as capture writes them, in memory.

use std::sync::Arc;

use bson::{Bson, Document, doc};
use hindsight_index::Index;
use hindsight_log::{MemoryLog, SegmentLog};
use hindsight_oplog::{Entry, OpTime, Timestamp};
use hindsight_runtime::Budget;
use hindsight_segment::{
    Codec, CutReason, Effort, FrameLimits, GapNotice, GapReason, OpenSegment, SealInput,
    SegmentDigest, Sequence, SourceIdentity, WriterEpoch, seal,
};

use super::super::{EntryFilter, Found, Search, SearchOptions, Searched};
use crate::engine::QUERY_MEMORY_BYTES;
use crate::error::QueryError;

pub(super) fn plenty() -> Budget {
    Budget::new(QUERY_MEMORY_BYTES)
}

pub(super) const SESSION: &str = "0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e";

/// A log that grows, and its index.
pub(super) struct Story {
    pub(super) memory: MemoryLog,
    pub(super) index: Arc<Index>,
    pub(super) entries: Vec<Vec<u8>>,
    /// The positions of entries before which other entries are missing.
    pub(super) gaps: Vec<usize>,
    sequence: Sequence,
    predecessor: SegmentDigest,
    last: OpTime,
    _directory: tempfile::TempDir,
}

pub(super) fn ts(number: u32) -> Timestamp {
    Timestamp::new(1_700_000_000, number)
}

/// The entry with this content, at that time.
pub(super) fn entry(number: u32, mut content: Document) -> Vec<u8> {
    content.insert("ts", bson::Timestamp { time: 1_700_000_000, increment: number });
    content.insert("t", 1_i64);
    bson::serialize_to_vec(&content).unwrap()
}

pub(super) fn update(ns: &str, id: i32, field: &str) -> Document {
    doc! {"op": "u", "ns": ns, "o": {"$v": 2, "diff": {"u": {field: 1}}}, "o2": {"_id": id}}
}

pub(super) fn insert(ns: &str, id: i32, padding: usize) -> Document {
    doc! {"op": "i", "ns": ns, "o": {"_id": id, "padding": noise(id, padding)}}
}

/// A text that does not compress much.
fn noise(seed: i32, length: usize) -> String {
    let hash = blake3::hash(&seed.to_le_bytes()).to_hex();
    hash.chars().cycle().take(length).collect()
}

pub(super) fn of_session(mut entry: Document, number: i64) -> Document {
    let id = bson::Uuid::parse_str(SESSION).unwrap();
    entry.insert("lsid", doc! {"id": Bson::from(id)});
    entry.insert("txnNumber", number);
    entry
}

impl Story {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            memory: MemoryLog::new(),
            index: Arc::new(Index::open(directory.path()).unwrap()),
            entries: Vec::new(),
            gaps: Vec::new(),
            sequence: Sequence::FIRST,
            predecessor: SegmentDigest::NONE,
            last: OpTime::NONE,
            _directory: directory,
        }
    }

    pub(super) fn log(&self) -> Arc<dyn SegmentLog> {
        Arc::new(self.memory.clone())
    }

    /// Appends one segment, in frames of 4 KiB, and absorbs it.
    pub(super) async fn append(&mut self, entries: &[Vec<u8>], after_gap: bool) {
        let mut open = OpenSegment::new(FrameLimits::new(0));
        let mut frames = Vec::new();
        for bytes in entries {
            frames.extend(open.push(&Entry::parse(bytes).unwrap()).unwrap());
        }
        let (last_frame, summary) = open.finish().unwrap();
        frames.push(last_frame);
        let gap = (after_gap && !self.entries.is_empty()).then(|| GapNotice {
            after: self.last,
            before: summary.first,
            reason: GapReason::RolledOver,
            detail: String::new(),
            detected_at_ms: 0,
        });
        self.gaps.extend(gap.as_ref().map(|_| self.entries.len()));
        self.last = summary.last;
        let segment = seal(SealInput {
            source: SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".into() },
            epoch: WriterEpoch(1),
            sequence: self.sequence,
            predecessor: self.predecessor,
            codec: Codec::Zstd,
            gap,
            majority: summary.last,
            oldest_unresolved: None,
            oldest_prepared: None,
            reason: CutReason::Size,
            summary,
            frames: frames.into_iter().map(|it| it.encode(Codec::Zstd, Effort::Normal)).collect(),
        })
        .unwrap();
        (self.sequence, self.predecessor) = (self.sequence.next(), segment.digest());
        self.index.absorb_segment(segment.info()).unwrap();
        self.memory.append(segment).await.unwrap();
        self.entries.extend_from_slice(entries);
    }

    pub(super) fn search(&self, filter: &EntryFilter, options: SearchOptions) -> Search {
        Search::new(self.log(), Arc::clone(&self.index), filter.clone(), options, plenty()).unwrap()
    }

    /// Returns everything that is found, with whether it is context.
    pub(super) async fn found(
        &self,
        filter: &EntryFilter,
        options: SearchOptions,
    ) -> Result<(Vec<(Vec<u8>, bool)>, Searched), QueryError> {
        let mut search = self.search(filter, options);
        let mut all = Vec::new();
        while let Some(found) = search.next().await? {
            all.extend(found.into_iter().map(pair));
        }
        assert!(search.next().await?.is_none(), "nothing comes after the end");
        Ok((all, search.searched()))
    }
}

pub(super) fn pair(found: Found) -> (Vec<u8>, bool) {
    (found.entry.to_vec(), found.is_context)
}
