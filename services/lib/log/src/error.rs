//! What can go wrong with a log. The errors are divided by what the caller does next.

use std::io;

use hindsight_remedy::{Finding, Remedy};
use hindsight_segment::{ChainBreak, SegmentInfo, Sequence, SourceIdentity, WriterEpoch};

/// Why a call to a log failed. `place` names the file, directory or record.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store failed. The call can be repeated; a segment that was to be appended is not lost as
    /// long as the caller keeps it.
    #[error("{place}: cannot {action}: {cause}")]
    Unavailable {
        place: String,
        action: &'static str,
        #[source]
        cause: io::Error,
    },
    /// The stored bytes are not what was appended. The caller must not go on past the damage.
    #[error("{place}: {damage}; put it back from a copy of the log")]
    Corrupt { place: String, damage: Damage },
    /// A newer program wrote this: use that program.
    #[error("{place}: {cause}")]
    Unsupported {
        place: String,
        #[source]
        cause: hindsight_segment::Error,
    },
    /// The segment does not extend the log. The caller must read the end again and build another
    /// segment.
    #[error("{place}: segment {sequence} is not appended: {reason}")]
    NotNext { place: String, sequence: Sequence, reason: ChainBreak },
    /// The log holds the oplog of another replica set. This replica set needs its own directory.
    #[error("{place} belongs to replica set {found}, this is {expected}: {}", Remedy::OtherData)]
    Foreign { place: String, expected: Box<SourceIdentity>, found: Box<SourceIdentity> },
    /// There is no such segment, frame, directory or topic, or not yet.
    #[error("{place}: no {what}")]
    NotFound { place: String, what: String },
    /// The segment was removed to make room. The caller goes on where the log begins, or reads a
    /// copy that still has the segment.
    #[error(
        "{place}: segment {sequence} was removed: the log begins with segment {begins}; a copy of the log may still have it"
    )]
    Removed { place: String, sequence: Sequence, begins: Sequence },
    /// Segments are not removed, because the last segment would be among them: the next segment
    /// must follow it. The caller must ask for less.
    #[error(
        "{place}: the segments before {sequence} are not removed, because a log keeps its last segment: {}",
        .end.map_or_else(|| "it is empty".to_owned(), |end| format!("it ends with segment {end}"))
    )]
    EndStays { place: String, sequence: Sequence, end: Option<Sequence> },
    /// Another writer has the log open.
    #[error("{place} is being written by {holder}: stop that first, or {}", Remedy::OtherData)]
    InUse { place: String, holder: String },
    /// Another writer took the log over, and this one must stop. The other writer captures what was
    /// not durable by then.
    #[error(
        "{place}: writer epoch {epoch} was superseded by epoch {newest}: another writer took over"
    )]
    Fenced { place: String, epoch: WriterEpoch, newest: WriterEpoch },
    /// The store exists, but its settings do not keep what is appended. Each problem says how to
    /// fix it.
    #[error("{place} is not fit to hold a log:{}", .problems.iter().map(|it| format!("\n  - {it}")).collect::<String>())]
    Misconfigured { place: String, problems: Vec<Finding> },
    /// The client cannot use one of its settings. The error never contains the setting's value,
    /// which may be a password.
    #[error("{place} cannot be reached: {problem}")]
    Settings { place: String, problem: String },
    /// This handle cannot change the log: it was opened for reading, or does not lead the log.
    #[error("{place} was opened for reading: nothing is appended to it or removed from it")]
    ReadOnly { place: String },
}

impl LogError {
    /// Returns whether the same call can succeed later without help from a person.
    pub fn is_retryable(&self) -> bool {
        matches!(self, LogError::Unavailable { .. })
    }

    /// Returns what a person can do about the error.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Foreign { .. } | Self::InUse { .. } => vec![Remedy::OtherData],
            Self::Misconfigured { problems, .. } => hindsight_remedy::of_all(problems),
            _ => Vec::new(),
        }
    }

    pub(crate) fn unavailable(
        place: impl ToString,
        action: &'static str,
        cause: io::Error,
    ) -> Self {
        LogError::Unavailable { place: place.to_string(), action, cause }
    }

    pub(crate) fn corrupt(place: impl ToString, damage: impl Into<Damage>) -> Self {
        LogError::Corrupt { place: place.to_string(), damage: damage.into() }
    }

    pub(crate) fn of_segment(place: impl ToString, source: hindsight_segment::Error) -> Self {
        let place = place.to_string();
        match source {
            cause @ hindsight_segment::Error::Unsupported { .. } => {
                LogError::Unsupported { place, cause }
            }
            damaged => LogError::corrupt(place, damaged),
        }
    }

    pub(crate) fn not_next(
        place: impl ToString,
        segment: &SegmentInfo,
        reason: ChainBreak,
    ) -> Self {
        let place = place.to_string();
        match reason {
            ChainBreak::Source { expected, found } => {
                LogError::Foreign { place, expected: found, found: expected }
            }
            reason => LogError::NotNext { place, sequence: segment.sequence(), reason },
        }
    }

    pub(crate) fn removed(place: impl ToString, sequence: Sequence, begins: Sequence) -> Self {
        LogError::Removed { place: place.to_string(), sequence, begins }
    }

    pub(crate) fn end_stays(
        place: impl ToString,
        sequence: Sequence,
        end: Option<Sequence>,
    ) -> Self {
        LogError::EndStays { place: place.to_string(), sequence, end }
    }

    pub(crate) fn no_segment(place: impl ToString, sequence: Sequence) -> Self {
        LogError::NotFound { place: place.to_string(), what: format!("segment {sequence}") }
    }
}

/// How stored segments differ from what was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The segment's own checksums or digests do not match its bytes, or a newer program wrote it.
    #[error(transparent)]
    Segment(#[from] hindsight_segment::Error),
    /// The segment does not follow its predecessor.
    #[error("it does not follow the segment before it: {0}")]
    Chain(#[from] ChainBreak),
    /// The next segment names another digest as its predecessor's.
    #[error("the segment after it follows another segment")]
    Replaced,
    /// The segment stored in this place is another one.
    #[error("it holds segment {found}")]
    Misnamed { found: String },
    /// The segment with this sequence is missing before the damaged place.
    #[error("segment {0} is missing before it")]
    MissingBefore(Sequence),
    /// The log ends too early: it was known to reach this sequence.
    #[error("segments are missing after it: the log was known to reach segment {0}")]
    MissingAfter(Sequence),
    /// A second file claims this sequence.
    #[error("it is segment {0} a second time")]
    Duplicate(Sequence),
    /// The seal is there, but other records of its segment are missing.
    #[error("it seals a segment of which other records are missing")]
    Incomplete,
    /// The broker's checksum of a record does not match the record's bytes.
    #[error("the broker's checksum of it does not match its bytes")]
    RecordChecksum,
    /// Records that the topic held are gone.
    #[error("records that were there are not there any more")]
    Vanished,
    /// The file has a segment's or a pack's ending, but its name is not one.
    #[error("its name is not a segment's")]
    Name,
    /// The table of a pack, which says where its segments lie, is not as this program writes it.
    #[error("it does not say where its segments lie: {0}")]
    Pack(&'static str),
    /// The file that says where the log begins is not as this program writes it.
    #[error("it does not say where the log begins: {0}")]
    Beginning(&'static str),
    /// The segment at this place is not the one that was found there before.
    #[error("it is not the segment that was known to be there")]
    NotAsKnown,
}
