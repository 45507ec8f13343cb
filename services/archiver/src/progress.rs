//! What a copy tells while it runs, as values. The caller decides what people see of them.

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

/// Receives the events of a copy. It is called while the copy waits, so it must not block.
pub type Tell = Arc<dyn Fn(Progress<'_>) + Send + Sync>;
