//! Why a question about the past has no answer, by what the asker must do next.

use hindsight_index::NotRestorable;
use hindsight_log::LogError;
use hindsight_oplog::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question itself cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// The text is no time.
    #[error("{0}")]
    InvalidTime(String),
    /// Outside every window, in a gap, or behind an open transaction (I8). The message names them.
    #[error("{text}")]
    NotRestorable { why: Why, text: String },
    /// There was no such collection at that time.
    #[error("{0}")]
    NoSuchCollection(String),
    /// It will be restorable, and is not yet.
    #[error("{at} is not restorable yet: {reason}")]
    NotYet { at: Timestamp, reason: String },
    /// What we hold is damaged, or cannot be understood: nothing is answered from it.
    #[error("{0}")]
    Corrupt(String),
    /// The answer would not fit: ask for less at a time, as the message says.
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Why a time cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    OutOfWindow,
    Gap,
    UnresolvedTransaction,
    NoBase,
    /// The history could not apply an entry at or before that time.
    HistoryStopped,
}

impl From<&NotRestorable> for Why {
    fn from(error: &NotRestorable) -> Self {
        match error {
            NotRestorable::OutsideWindows { .. } => Self::OutOfWindow,
            NotRestorable::InGap { .. } => Self::Gap,
            NotRestorable::UnresolvedTransaction { .. } => Self::UnresolvedTransaction,
            NotRestorable::NoBase { .. } => Self::NoBase,
        }
    }
}

impl QueryError {
    pub(crate) fn corrupt(error: impl std::fmt::Display) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<LogError> for QueryError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            other => Self::Corrupt(other.to_string()),
        }
    }
}
