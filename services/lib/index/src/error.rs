//! The errors of the index, divided by what the caller does next.

use std::path::PathBuf;

use crate::plan::NotRestorable;
use crate::summary::InvalidSummary;

/// Why the index did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Absorb the segments in between first. They are in the log.
    #[error("segment {given} was offered to the index, but {expected} comes next: absorb it first")]
    OutOfOrder { expected: u64, given: u64 },

    /// Index and log contradict each other. The log is right: truncate or reset the index, and
    /// absorb again. If the segment that contradicts was just written, the writer is wrong: stop.
    #[error(
        "segment {sequence} contradicts the index: {reason}; the log is the truth, so if it verifies, \
         delete the index directory and it is rebuilt"
    )]
    Contradiction { sequence: u64, reason: String },

    /// Another base of that name is held. Forget that base first, or choose another name.
    #[error("another base named {name:?} is in the index already")]
    BaseNameTaken { name: String },

    /// The summary cannot be true. Retrying does not help: the source of the summary is damaged or
    /// has a bug.
    #[error(transparent)]
    Invalid(#[from] InvalidSummary),

    /// Another process owns the directory. Ask that process, or stop it.
    #[error("index {} is in use by another process", .path.display())]
    InUse { path: PathBuf },

    /// A later version of this program wrote the index, or a very early one. Delete the index: it
    /// is derived. Formats in between are rebuilt automatically.
    #[error(
        "index {} has format {found}, this program writes format {}: delete the directory, it is \
         rebuilt from log and bases", .path.display(), crate::index::FORMAT
    )]
    OtherFormat { path: PathBuf, found: u64 },

    /// What is stored cannot be read back. Delete the index: it is derived.
    #[error(
        "index is damaged at key {key}: {reason}; delete its directory, it is rebuilt from log and \
         bases"
    )]
    Damaged { key: String, reason: String },

    /// The answer would not fit in memory. Ask for a shorter time, longer buckets or fewer
    /// namespaces.
    #[error("timeline has more than {limit} rows: ask for a shorter time or longer buckets")]
    TooManyRows { limit: usize },

    /// RocksDB failed, because of a full disk, missing rights or bad sectors. Retry once the cause
    /// is gone.
    #[error("index storage failed to {action}: {source}")]
    Storage { action: &'static str, source: rocksdb::Error },
}

/// Why there is no plan: either nothing can be restored at that time, or the index could not be
/// read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The state at that time cannot be restored exactly.
    #[error(transparent)]
    NotRestorable(#[from] Box<NotRestorable>),
    /// The index could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl IndexError {
    pub(crate) fn storage(action: &'static str) -> impl FnOnce(rocksdb::Error) -> IndexError {
        move |source| IndexError::Storage { action, source }
    }

    pub(crate) fn damaged(key: &[u8], reason: impl ToString) -> IndexError {
        IndexError::Damaged { key: key.escape_ascii().to_string(), reason: reason.to_string() }
    }
}
