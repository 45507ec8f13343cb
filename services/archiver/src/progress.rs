//! What a copy tells while it runs. The caller decides what people see of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hindsight_log::LogError;
use hindsight_segment::{Sequence, SourceIdentity};

/// An event of a copy.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A process led the target once. The copy waits to see whether that process still captures.
    WatchingLeader { name: &'a str },
    /// A log could not be reached. The copy tries again in a moment.
    Retrying { error: &'a LogError },
    /// A segment is durable in the target.
    Appended {
        segment: Sequence,
        /// The last segment to copy. None when the source is damaged before its end.
        last: Option<Sequence>,
        /// The bytes that were appended so far.
        bytes: u64,
    },
    /// The source is a directory, which announces no bases, and no directory of bases was given.
    BasesUnknown,
    /// A base is not announced, because it is damaged.
    DamagedBase { path: &'a Path, error: &'a hindsight_base::Error },
    /// A base is not announced, because it is not known to be of this replica set.
    ForeignBase { name: &'a str, set: &'a SourceIdentity },
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WatchingLeader { name } => {
                write!(f, "waiting to see whether {name} still captures into the target")
            }
            Self::Retrying { error } => write!(f, "{error}; trying again"),
            Self::Appended { segment, last, bytes } => {
                let of = last.map_or_else(String::new, |last| format!(" of {last}"));
                write!(f, "segment {segment}{of}: {bytes} bytes copied")
            }
            Self::BasesUnknown => f.write_str("no bases are announced in the target"),
            Self::DamagedBase { path, error } => {
                write!(f, "{} is not announced: {error}", path.display())
            }
            Self::ForeignBase { name, set } => {
                write!(f, "{name} is not announced: it is not known to be of {set}")
            }
        }
    }
}

/// Receives the events of a copy. It is called while the copy waits, so it must not block.
pub type Tell = Arc<dyn Fn(Progress<'_>) + Send + Sync>;
