//! What can go wrong with a log, by what to do next.

use std::io;

use hindsight_segment::{ChainBreak, SegmentInfo, Sequence, SourceIdentity, WriterEpoch};

/// `place` names the file, directory or record.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store failed. Try again; what was to be appended is not lost as long as the caller holds
    /// it.
    #[error("{place}: cannot {action}: {cause}")]
    Unavailable {
        place: String,
        action: &'static str,
        // Told already: not a source, or people would read it twice.
        cause: io::Error,
    },
    /// What is stored is not what was appended. Never go on over it.
    #[error("{place}: {damage}; put it back from a copy of the log")]
    Corrupt { place: String, damage: Damage },
    /// Written by a newer program: use that one.
    #[error("{place}: {cause}")]
    Unsupported { place: String, cause: hindsight_segment::Error },
    /// The segment does not extend the log. Look at the end again, and build another one.
    #[error("{place}: segment {sequence} is not appended: {reason}")]
    NotNext { place: String, sequence: Sequence, reason: ChainBreak },
    /// The log holds the oplog of another replica set: give this one a directory of its own.
    #[error(
        "{place} belongs to replica set {found}, this is {expected}: use another data directory"
    )]
    Foreign { place: String, expected: Box<SourceIdentity>, found: Box<SourceIdentity> },
    /// Nothing there (yet).
    #[error("{place}: no {what}")]
    NotFound { place: String, what: String },
    /// Another writer has the log.
    #[error("{place} is being written by {holder}: stop that first, or use another data directory")]
    InUse { place: String, holder: String },
    /// Another writer took the log over. Stop: what was not durable by then is the other one's to
    /// capture.
    #[error(
        "{place}: writer epoch {epoch} was superseded by epoch {newest}: another writer took over"
    )]
    Fenced { place: String, epoch: WriterEpoch, newest: WriterEpoch },
    /// The store is there, and is not set up to keep what is appended. Each problem says what mends
    /// it.
    #[error("{place} is not fit to hold a log:{}", .problems.iter().map(|it| format!("\n  - {it}")).collect::<String>())]
    Misconfigured { place: String, problems: Vec<String> },
    /// A setting of the client cannot be used. Its value is never told: it may be a password.
    #[error("{place} cannot be reached: {problem}")]
    Settings { place: String, problem: String },
    /// This handle was opened for reading.
    #[error("{place} was opened for reading: nothing is appended to it")]
    ReadOnly { place: String },
}

impl LogError {
    /// Whether the same call can succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, LogError::Unavailable { .. })
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

    pub(crate) fn no_segment(place: impl ToString, sequence: Sequence) -> Self {
        LogError::NotFound { place: place.to_string(), what: format!("segment {sequence}") }
    }
}

/// How stored segments differ from what was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error(transparent)]
    Segment(#[from] hindsight_segment::Error),
    #[error("it does not follow the segment before it: {0}")]
    Chain(#[from] ChainBreak),
    #[error("the segment after it follows another segment")]
    Replaced,
    #[error("it holds segment {found}")]
    Misnamed { found: String },
    #[error("segment {0} is missing before it")]
    MissingBefore(Sequence),
    #[error("segments are missing after it: the log was known to reach segment {0}")]
    MissingAfter(Sequence),
    #[error("it is segment {0} a second time")]
    Duplicate(Sequence),
    #[error("it seals a segment of which other records are missing")]
    Incomplete,
    #[error("the broker's checksum of it does not match its bytes")]
    RecordChecksum,
    #[error("records that were there are not there any more")]
    Vanished,
    #[error("its name is not a segment's")]
    Name,
    #[error("it is not the segment that was known to be there")]
    NotAsKnown,
}
