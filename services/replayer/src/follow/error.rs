//! What can stop following, and whether to try again.

use std::fmt;

use hindsight_base::ErrorKind;
use hindsight_history::{ApplyError, HistoryError};
use hindsight_index::IndexError;
use hindsight_log::LogError;
use hindsight_oplog::raw::Malformed;
use hindsight_oplog::{AssemblyError, OpTime, Timestamp};
use hindsight_remedy::{Finding, Remedy};
use hindsight_segment::Sequence;

use crate::error::Cause;

/// Why the history cannot follow the log.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The index cannot be read.
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    /// A base cannot be read.
    #[error(transparent)]
    Base(#[from] hindsight_base::Error),
    /// The base is missing, as a whole or in part. It may be put back.
    #[error("base {name}: {reason}")]
    UnusableBase { name: String, reason: String },
    /// The history cannot be written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// An apply unit cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A segment is damaged.
    #[error("segment {sequence} is damaged: {source}")]
    Damaged { sequence: Sequence, source: Cause },
    /// The log begins after the entry at which the history continues.
    #[error("the history goes on at {from}, and the log that is held begins after it")]
    LogBeginsLater { from: OpTime },
    /// The bytes are not an entry, or the operations of the entry cannot be read.
    #[error("segment {sequence}: {entry} cannot be read: {source}")]
    Malformed { sequence: Sequence, entry: NamedEntry, source: Malformed },
    /// The entries of a transaction contradict each other.
    #[error("segment {sequence}: {source}")]
    Transaction { sequence: Sequence, source: AssemblyError },
    /// The beginning of a transaction is not in the log.
    #[error(
        "the transaction that ends at {at} began before the log does: its first entries are missing"
    )]
    TornTransaction { at: OpTime },
    /// The history calls times complete in which a transaction is missing. An earlier version
    /// stored such progress after a failure at `at`.
    #[error(
        "the history says that it is complete through {through}, and lacks the transaction that {at} commits and \
         that is visible from {visible}. Stop the process and delete the history directory: it is rebuilt from \
         the bases and the log"
    )]
    FalselyComplete { at: OpTime, visible: Timestamp, through: Timestamp },
}

/// An entry as an error names it. An entry that cannot be read does not show its own optime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedEntry {
    /// The entry with this optime.
    At(OpTime),
    /// The entry after the one with this optime.
    After(OpTime),
    /// No optime is known.
    Unknown,
}

impl fmt::Display for NamedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(optime) => write!(f, "the entry {optime}"),
            Self::After(optime) => write!(f, "the entry after {optime}"),
            Self::Unknown => write!(f, "an entry"),
        }
    }
}

/// What a failure requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The failure passes by itself: a log out of reach, or a disk that is full.
    Patience,
    /// Somebody must put a base back. The follower checks regularly, so that nothing has to be
    /// restarted then.
    Help,
    /// Another attempt would fail in the same way. A base that is copied later makes the history
    /// after the failed entry available.
    NewBase,
    /// Another attempt would fail in the same way, whatever is done.
    Nothing,
}

impl From<&FollowError> for Finding {
    fn from(error: &FollowError) -> Self {
        Self { text: error.to_string(), remedies: error.remedies() }
    }
}

impl FollowError {
    /// Makes the error for a base that the history was built on and that is no longer in the base
    /// directory.
    pub(super) fn base_is_gone(name: &str) -> Self {
        let reason = "the history was built on it, and it is gone from the base directory. Put it back, or delete \
                      the history directory: it is rebuilt from the bases there are";
        Self::UnusableBase { name: name.to_owned(), reason: reason.to_owned() }
    }

    /// Makes the error for a base that cannot be read. Missing or damaged files may be put back;
    /// other errors stay as they are.
    pub(super) fn unreadable_base(name: &str, error: hindsight_base::Error) -> Self {
        match error.kind() {
            ErrorKind::NotABase | ErrorKind::Corrupt => {
                let reason =
                    format!("{error}. Once its files are back as they were, the history goes on");
                Self::UnusableBase { name: name.to_owned(), reason }
            }
            _ => Self::Base(error),
        }
    }

    /// Returns what a person can do about the error.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Log(error) => error.remedies(),
            Self::Apply(ApplyError::Unknown { name, .. }) => {
                vec![Remedy::SkipUnknown { name: name.clone() }]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn needs(&self) -> Needs {
        match self {
            Self::Log(error) if error.is_retryable() => Needs::Patience,
            Self::Index(IndexError::Storage { .. }) => Needs::Patience,
            Self::Base(error) if error.is_retryable() => Needs::Patience,
            Self::UnusableBase { .. } => Needs::Help,
            Self::History(error) | Self::Apply(ApplyError::Store(error)) => of_history(error),
            Self::Apply(
                ApplyError::Unsupported { .. }
                | ApplyError::Unknown { .. }
                | ApplyError::Inconsistent { .. },
            )
            | Self::Malformed { .. }
            | Self::Transaction { .. }
            | Self::TornTransaction { .. } => Needs::NewBase,
            _ => Needs::Nothing,
        }
    }
}

fn of_history(error: &HistoryError) -> Needs {
    match error {
        HistoryError::Store(_) | HistoryError::StoreThreadEnded => Needs::Patience,
        _ => Needs::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_passes_is_waited_for_and_what_can_be_put_back_is_looked_at_again() {
        let path = || PathBuf::from("/bases/b");
        let io = || io::Error::from(io::ErrorKind::StaleNetworkFileHandle);
        let unreachable = hindsight_base::Error::Io { action: "read", path: path(), source: io() };
        let full = hindsight_base::Error::DiskFull { action: "read", path: path(), source: io() };
        let unfinished =
            hindsight_base::Error::NotABase { path: path(), reason: "no manifest".to_owned() };
        let cut = hindsight_base::Error::Corrupt { path: path(), reason: "cut".to_owned() };
        let newer = hindsight_base::Error::NewerFormat { path: path(), found: 9, supported: 1 };
        for (error, needs) in [
            (unreachable, Needs::Patience),
            (full, Needs::Patience),
            (unfinished, Needs::Help),
            (cut, Needs::Help),
            (newer, Needs::Nothing),
        ] {
            let text = error.to_string();
            assert_eq!(FollowError::unreadable_base("b", error).needs(), needs, "{text}");
        }
        assert_eq!(FollowError::base_is_gone("b").needs(), Needs::Help);
        let later = FollowError::LogBeginsLater { from: OpTime::new(1, 1, 1) };
        assert_eq!(later.needs(), Needs::Nothing);
        let torn = FollowError::TornTransaction { at: OpTime::new(1, 1, 1) };
        assert_eq!(torn.needs(), Needs::NewBase);
    }
}
