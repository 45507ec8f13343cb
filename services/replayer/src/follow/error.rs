//! What can stop following, and whether to try again.

use std::fmt;

use hindsight_base::ErrorKind;
use hindsight_history::{ApplyError, HistoryError};
use hindsight_index::IndexError;
use hindsight_log::LogError;
use hindsight_oplog::raw::Malformed;
use hindsight_oplog::{AssemblyError, OpTime, Timestamp};
use hindsight_segment::Sequence;

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    #[error(transparent)]
    Base(#[from] hindsight_base::Error),
    /// It is not there, or not all of it. It may be put back.
    #[error("base {name}: {reason}")]
    UnusableBase { name: String, reason: String },
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("segment {sequence} is damaged: {detail}")]
    Damaged { sequence: Sequence, detail: String },
    #[error("the history goes on at {from}, and the log that is held begins after it")]
    LogBeginsLater { from: OpTime },
    /// Bytes that are no entry, or an entry whose operations cannot be read.
    #[error("segment {sequence}: {entry} cannot be read: {source}")]
    Malformed { sequence: Sequence, entry: NamedEntry, source: Malformed },
    #[error("segment {sequence}: {source}")]
    Transaction { sequence: Sequence, source: AssemblyError },
    #[error(
        "the transaction that ends at {at} began before the log does: its first entries are missing"
    )]
    TornTransaction { at: OpTime },
    /// An earlier version stored such progress after a failure at `at`.
    #[error(
        "the history says that it is complete through {through}, and lacks the transaction that {at} commits and \
         that is visible from {visible}. Stop the process and delete the history directory: it is rebuilt from \
         the bases and the log"
    )]
    FalselyComplete { at: OpTime, visible: Timestamp, through: Timestamp },
}

/// An entry as an error names it: one that cannot be read does not tell its own optime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedEntry {
    At(OpTime),
    After(OpTime),
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

/// What a failure calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It passes by itself: a log out of reach, a disk that is full.
    Patience,
    /// Somebody must put a base back. It is looked at again and again, so that nobody must restart
    /// anything then.
    Help,
    /// The same would come of it again. What is held after that can be had from a base that is
    /// copied later.
    NewBase,
    /// The same would come of it again.
    None,
}

impl FollowError {
    /// The history was built on a base that is not in the base directory any more.
    pub(super) fn base_is_gone(name: &str) -> Self {
        let reason = "the history was built on it, and it is gone from the base directory. Put it back, or delete \
                      the history directory: it is rebuilt from the bases there are";
        Self::UnusableBase { name: name.to_owned(), reason: reason.to_owned() }
    }

    /// A base cannot be read. What is missing or damaged may be put back; all else is what it is.
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

    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Log(error) if error.is_retryable() => Remedy::Patience,
            Self::Index(IndexError::Storage { .. }) => Remedy::Patience,
            Self::Base(error) if error.is_retryable() => Remedy::Patience,
            Self::UnusableBase { .. } => Remedy::Help,
            Self::History(error) | Self::Apply(ApplyError::Store(error)) => of_history(error),
            Self::Apply(ApplyError::Unsupported { .. } | ApplyError::Inconsistent { .. })
            | Self::Malformed { .. }
            | Self::Transaction { .. }
            | Self::TornTransaction { .. } => Remedy::NewBase,
            _ => Remedy::None,
        }
    }
}

fn of_history(error: &HistoryError) -> Remedy {
    match error {
        HistoryError::Store(_) | HistoryError::StoreThreadEnded => Remedy::Patience,
        _ => Remedy::None,
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
        for (error, remedy) in [
            (unreachable, Remedy::Patience),
            (full, Remedy::Patience),
            (unfinished, Remedy::Help),
            (cut, Remedy::Help),
            (newer, Remedy::None),
        ] {
            let text = error.to_string();
            assert_eq!(FollowError::unreadable_base("b", error).remedy(), remedy, "{text}");
        }
        assert_eq!(FollowError::base_is_gone("b").remedy(), Remedy::Help);
        let later = FollowError::LogBeginsLater { from: OpTime::new(1, 1, 1) };
        assert_eq!(later.remedy(), Remedy::None);
        let torn = FollowError::TornTransaction { at: OpTime::new(1, 1, 1) };
        assert_eq!(torn.remedy(), Remedy::NewBase);
    }
}
