//! Checks whether a segment extends a chain.

use hindsight_oplog::OpTime;

use crate::identity::{SegmentDigest, Sequence, SourceIdentity, WriterEpoch};
use crate::view::SegmentInfo;

/// The end of a chain: everything that the next segment is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// The replica set whose oplog the chain holds.
    pub source: SourceIdentity,
    /// The epoch of the last segment's writer.
    pub epoch: WriterEpoch,
    /// The last segment's sequence.
    pub sequence: Sequence,
    /// The last segment's digest.
    pub digest: SegmentDigest,
    /// The last entry's optime.
    pub last: OpTime,
}

/// Why a segment does not follow another segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// The segment belongs to another replica set.
    #[error("it holds entries of {found}, the log those of {expected}")]
    Source { expected: Box<SourceIdentity>, found: Box<SourceIdentity> },
    /// The segment's sequence is not the next one.
    #[error("its sequence is {found}, expected {expected}")]
    Sequence { expected: Sequence, found: Sequence },
    /// The segment's writer epoch is older than the log's.
    #[error("it was written by epoch {found}, older than the log's epoch {newest}")]
    Epoch { newest: WriterEpoch, found: WriterEpoch },
    /// The segment names another predecessor.
    #[error("it follows a segment with digest {found}, the one before it has {expected}")]
    Predecessor { expected: SegmentDigest, found: SegmentDigest },
    /// The segment's first entry does not come after the log's last entry.
    #[error("its first entry {first} does not come after entry {last}")]
    Order { last: OpTime, first: OpTime },
    /// The segment's gap does not begin at the log's last entry.
    #[error("its gap begins after entry {noted}, the log ends with entry {last}")]
    GapStart { last: OpTime, noted: OpTime },
    /// The first segment of a log notes a gap before it.
    #[error("it begins the log, and notes a gap before it")]
    GapAtStart,
}

/// Compares a segment with the end of the log that it is to extend. `end` is None for an empty log.
///
/// # Errors
/// Returns the first [`ChainBreak`] found when the segment does not extend the log.
pub fn check_next(end: Option<&ChainEnd>, next: &SegmentInfo) -> Result<(), ChainBreak> {
    match end {
        Some(end) => check_follows(end, next),
        None => check_starts(next),
    }
}

/// Compares a segment with the end of the chain that it claims to extend (I3). Across a gap the
/// same rules hold, and the gap must begin where the chain ends. What lies in the gap cannot be
/// checked here: only the source knows it.
pub(crate) fn check_follows(end: &ChainEnd, next: &SegmentInfo) -> Result<(), ChainBreak> {
    let header = &next.header;
    if header.source != end.source {
        return Err(ChainBreak::Source {
            expected: end.source.clone().into(),
            found: header.source.clone().into(),
        });
    }
    if header.epoch < end.epoch {
        return Err(ChainBreak::Epoch { newest: end.epoch, found: header.epoch });
    }
    if header.sequence != end.sequence.next() {
        let expected = end.sequence.next();
        return Err(ChainBreak::Sequence { expected, found: header.sequence });
    }
    if header.predecessor != end.digest {
        return Err(ChainBreak::Predecessor { expected: end.digest, found: header.predecessor });
    }
    let first = next.first();
    if first.ts <= end.last.ts || first.term < end.last.term {
        return Err(ChainBreak::Order { last: end.last, first });
    }
    match &header.gap {
        Some(gap) if gap.after != end.last => {
            Err(ChainBreak::GapStart { last: end.last, noted: gap.after })
        }
        _ => Ok(()),
    }
}

/// Compares a segment with an empty log.
pub(crate) fn check_starts(first: &SegmentInfo) -> Result<(), ChainBreak> {
    let header = &first.header;
    if header.sequence != Sequence::FIRST {
        return Err(ChainBreak::Sequence { expected: Sequence::FIRST, found: header.sequence });
    }
    if header.predecessor != SegmentDigest::NONE {
        let expected = SegmentDigest::NONE;
        return Err(ChainBreak::Predecessor { expected, found: header.predecessor });
    }
    if header.gap.is_some() { Err(ChainBreak::GapAtStart) } else { Ok(()) }
}
