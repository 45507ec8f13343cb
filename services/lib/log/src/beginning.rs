//! Where a log begins. A log from which nothing was removed begins with segment 1.

use hindsight_oplog::OpTime;
use hindsight_segment::{
    ChainEnd, SegmentDigest, SegmentInfo, Sequence, SourceIdentity, WriterEpoch,
};

/// The beginning of a log: its first segment, and what is known of the segment before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The sequence of the first segment that the log holds.
    pub sequence: Sequence,
    /// The replica set whose oplog the log holds.
    pub source: SourceIdentity,
    /// The digest of the segment before the first one. [`SegmentDigest::NONE`] for segment 1.
    pub predecessor: SegmentDigest,
    /// What else the log knows of the segment before the first one. None when there was no such
    /// segment, and when the log cannot know: a topic keeps nothing of what it dropped.
    pub before: Option<Before>,
}

/// What the first segment of a log is compared with, besides its predecessor's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// The epoch of the writer of the segment before the first one.
    pub epoch: WriterEpoch,
    /// The optime of that segment's last entry.
    pub last: OpTime,
}

impl Beginning {
    /// Returns the beginning of a log that holds what follows `removed`.
    pub(crate) fn after(removed: &ChainEnd) -> Self {
        Self {
            sequence: removed.sequence.next(),
            source: removed.source.clone(),
            predecessor: removed.digest,
            before: Some(Before { epoch: removed.epoch, last: removed.last }),
        }
    }

    /// Returns the beginning of a log from which nothing was removed.
    pub(crate) fn of_all(source: SourceIdentity) -> Self {
        let (sequence, predecessor) = (Sequence::FIRST, SegmentDigest::NONE);
        Self { sequence, source, predecessor, before: None }
    }

    /// Returns the beginning of a log of which only the first segment is known.
    pub(crate) fn with(first: &SegmentInfo) -> Self {
        Self {
            sequence: first.sequence(),
            source: first.header.source.clone(),
            predecessor: first.header.predecessor,
            before: None,
        }
    }
}
