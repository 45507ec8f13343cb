//! Why a question about the past has no answer, divided by what the caller must do next.

use hindsight_history::ReadError;
use hindsight_index::NotRestorable;
use hindsight_log::LogError;
use hindsight_oplog::{TimeSpecError, Timestamp};
use hindsight_remedy::{Finding, Remedy};

/// What lies behind an error.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question itself cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// The text is not a time.
    #[error(transparent)]
    InvalidTime(#[from] TimeSpecError),
    /// The time is outside every window, in a gap, or behind an open transaction (I8). The message
    /// names these.
    #[error("{finding}")]
    NotRestorable { why: Why, finding: Finding },
    /// The collection did not exist at that time.
    #[error(transparent)]
    NoSuchCollection(ReadError),
    /// The documents of the collection were left out of the history.
    #[error(transparent)]
    Excluded(ReadError),
    /// The time will be restorable, but is not yet.
    #[error("{at} is not restorable yet: {reason}")]
    NotYet { at: Timestamp, reason: String },
    /// What is held is damaged or cannot be understood. No answer is made from it.
    #[error(transparent)]
    Corrupt(Cause),
    /// The answer would not fit. The caller must ask for less at a time, as the message says.
    #[error("{0}")]
    TooLarge(String),
    /// The question cannot be answered here or now. The message says why.
    #[error(transparent)]
    Unavailable(Cause),
}

/// Why a time cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The time is outside every restore window.
    OutOfWindow,
    /// The time is older than what is kept.
    Horizon,
    /// The time is in a gap of the log.
    Gap,
    /// A transaction that was prepared at or before the time is not decided yet.
    UnresolvedTransaction,
    /// The log around the time is held, but it has no base to start from.
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
    /// Returns what a person can do about the error.
    pub fn remedies(&self) -> &[Remedy] {
        match self {
            Self::NotRestorable { finding, .. } => &finding.remedies,
            _ => &[],
        }
    }

    /// Makes the error of something that is held and cannot be read.
    pub fn corrupt(error: impl Into<Cause>) -> Self {
        Self::Corrupt(error.into())
    }

    pub(crate) fn unavailable(error: impl Into<Cause>) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<LogError> for QueryError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { .. } => Self::unavailable(error),
            LogError::Removed { .. } => {
                Self::NotRestorable { why: Why::OutOfWindow, finding: error.to_string().into() }
            }
            other => Self::corrupt(other),
        }
    }
}
