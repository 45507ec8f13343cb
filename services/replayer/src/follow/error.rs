//! What can stop following, and whether to try again.

use hindsight_history::{ApplyError, HistoryError};
use hindsight_index::IndexError;
use hindsight_log::LogError;
use hindsight_oplog::raw::Malformed;
use hindsight_oplog::{AssemblyError, OpTime};
use hindsight_segment::Sequence;

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    #[error(transparent)]
    Base(#[from] hindsight_base::Error),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("segment {sequence} is damaged: {detail}")]
    Damaged { sequence: Sequence, detail: String },
    #[error(transparent)]
    Transaction(#[from] AssemblyError),
    #[error(
        "the transaction that ends at {at} began before the log does: its first entries are missing"
    )]
    TornTransaction { at: OpTime },
}

impl From<Malformed> for FollowError {
    fn from(error: Malformed) -> Self {
        Self::Damaged { sequence: Sequence(0), detail: error.to_string() }
    }
}

impl FollowError {
    /// Worth trying again by itself: a log out of reach, a disk that is full.
    pub(super) fn is_retryable(&self) -> bool {
        let history = match self {
            Self::Log(LogError::Unavailable { .. }) | Self::Index(IndexError::Storage { .. }) => {
                return true;
            }
            Self::History(error) | Self::Apply(ApplyError::Store(error)) => error,
            _ => return false,
        };
        matches!(history, HistoryError::Store(_) | HistoryError::StoreThreadEnded)
    }
}
