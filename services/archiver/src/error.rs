//! Why a log is not copied.

use std::path::PathBuf;

use hindsight_holdings::HoldingsError;
use hindsight_log::LogError;
use hindsight_oplog::OpTime;
use hindsight_segment::Sequence;

/// Why a copy does not begin, or stops.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is nothing to copy.
    #[error("the log is empty")]
    Empty,
    /// The directory of the log to copy does not exist.
    #[error("there is no such directory")]
    NoDirectory,
    /// The directory that was given for the bases does not exist.
    #[error("there is no directory of bases {}", .0.display())]
    NoBases(PathBuf),
    /// The bases in that directory cannot be listed.
    #[error("list the bases")]
    Bases(#[source] hindsight_base::Error),
    /// The two are not the same log.
    #[error(
        "the target ends with segment {sequence} (through {through}), which is not in the source: \
         copy into an empty log"
    )]
    OtherLog { sequence: Sequence, through: OpTime },
    /// Segments were removed from the source that the target lacks. What comes after them cannot be
    /// appended, because a log has no holes.
    #[error(
        "the log to copy begins with segment {begins}, because those before were removed, and the target {}. \
         Copy into a copy of this log that goes at least to segment {}, or keep a copy of the files of a log \
         in a directory",
        .ends.map_or_else(|| "is empty".to_owned(), |end| format!("ends with segment {end}")),
        .begins.0 - 1
    )]
    BeginsTooLate { begins: Sequence, ends: Option<Sequence> },
    /// A segment cannot be read or appended. What was appended stays.
    #[error("the copy stopped, and the next copy continues from here")]
    Stopped(#[source] LogError),
    /// Everything was copied, and older segments of the target cannot be put into packs.
    #[error("everything was copied, and the older segments of the copy stay in single files")]
    NotPacked(#[source] LogError),
    /// A segment of the source cannot be appended anywhere.
    #[error(transparent)]
    Segment(#[from] hindsight_segment::Error),
    /// The source ended before its end was reached.
    #[error("reading the source ended too early")]
    EndedEarly,
    /// The place of a log does not say enough to open the log.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// A log cannot be opened, read or led.
    #[error(transparent)]
    Log(#[from] LogError),
}
