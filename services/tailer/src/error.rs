//! The errors of capture, divided by what the caller must do next.

use hindsight_copy::{CopyError, CopyErrorKind};
use hindsight_index::IndexError;
use hindsight_mongo::{Failure, Kind, PRIVILEGES};
use hindsight_oplog::OpTime;
use hindsight_remedy::{Finding, Remedy};
use hindsight_runtime::TaskFailure;
use hindsight_segment::{Sequence, SourceIdentity};

use crate::choose::NoCandidate;
use crate::gap::HeldElsewhere;

/// What lies behind an error.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why capture failed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The member did not answer in time. Try again, perhaps for less, or at another member.
    #[error("{0}")]
    NoAnswer(String),
    /// The failure may pass: try again, perhaps on another member.
    #[error("{0}")]
    Unavailable(String),
    /// A member did not do what it was asked. Try again, perhaps at another member.
    #[error("{doing}: {source}")]
    Server { doing: String, source: Failure },
    /// A server does not accept the user or the password. A member that is being resynced has no
    /// users for a while, so this ends a capture only when no member accepts them.
    #[error("{0}")]
    BadCredentials(String),
    /// The connection string is not usable and must be corrected. The message never repeats it.
    #[error("{0}")]
    BadUri(String),
    /// The set has members, and none that may be read from. That may pass.
    #[error(transparent)]
    NoCandidate(#[from] NoCandidate),
    /// Only a member that is not read from has what follows the log. Capture waits for a person, or
    /// for that member to become readable.
    #[error(transparent)]
    HeldElsewhere(#[from] HeldElsewhere),
    /// The log belongs to another replica set than the source is.
    #[error(
        "the log belongs to {log}, and the source is {found}. For this replica set, {}",
        Remedy::OtherData
    )]
    AnotherSource { log: Box<SourceIdentity>, found: Box<SourceIdentity> },
    /// The failure stays until a person changes something. The message says what.
    #[error("{0}")]
    Refused(String),
    /// The server is not a replica-set member now, and may become one again: it was started as a
    /// standalone, for a repair or to build an index.
    #[error("{0}")]
    Standalone(String),
    /// The source's history is not the one that the log holds (I2). Capture stops; what the log
    /// holds stays restorable.
    #[error(
        "the source's history diverges from the log at {at}: {detail}. Nothing was appended. The log \
         stays restorable up to {at}; to capture the new history, {}",
        Remedy::OtherData
    )]
    Diverged { at: OpTime, detail: String },
    /// The log is empty, and the source forgot the entry at which the log was to begin. Begin anew,
    /// with another base.
    #[error(
        "the source's oplog no longer reaches back to {start}, where the log was to begin: its oldest \
         entry is {oldest}"
    )]
    BeganTooLate { start: OpTime, oldest: OpTime },
    /// The log itself is damaged, full, or cannot be used.
    #[error(transparent)]
    Log(#[from] hindsight_log::LogError),
    /// A segment that the log holds cannot be read, although the log calls it intact.
    #[error("segment {sequence} of the log is damaged: {source}")]
    Damaged { sequence: Sequence, source: Cause },
    /// The index is out of reach, damaged, or does not belong to the log.
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    /// Segments were removed that the index never absorbed. The index cannot go on across them; an
    /// index that is built again begins where the log begins.
    #[error(
        "the index: segment {next} comes next, and was removed: the log begins with segment {begins}. Stop the process \
         and delete the directories of index and history: they are rebuilt from what the log holds and the bases"
    )]
    RemovedTooSoon { next: Sequence, begins: Sequence },
    /// The directory of bases cannot be read.
    #[error("the bases cannot be listed: {0}")]
    Bases(#[from] hindsight_base::Error),
    /// A base cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The source sent something that is not an oplog entry.
    #[error("the source sent a malformed entry after {after}: {source}")]
    Malformed { after: OpTime, source: Cause },
    /// A task panicked, or did not stop: an error of this program.
    #[error("{0}")]
    Program(String),
}

impl From<&CaptureError> for Finding {
    fn from(error: &CaptureError) -> Self {
        Self { text: error.to_string(), remedies: error.remedies() }
    }
}

impl From<TaskFailure<CaptureError>> for CaptureError {
    /// Drops the task's name: names of tasks are for developers, and errors are for users.
    fn from(failure: TaskFailure<CaptureError>) -> Self {
        match failure {
            TaskFailure::Failed { error, .. } => error,
            other => Self::Program(other.to_string()),
        }
    }
}

impl CaptureError {
    /// Makes an error from a failed command, by what to do about it. Only refused credentials and
    /// missing rights end a capture. What one member refuses, another member may answer, and what a
    /// server refuses today, it may answer once it is repaired.
    pub fn from_failure(doing: &str, failure: &Failure) -> Self {
        match failure.kind() {
            Kind::Credentials => Self::BadCredentials(format!(
                "{doing}: the server refused the credentials ({failure}). Check user, password and authSource"
            )),
            Kind::Forbidden => Self::Refused(format!(
                "{doing}: not authorized ({failure}). The user needs {PRIVILEGES}"
            )),
            Kind::Passing | Kind::Refused => {
                Self::Server { doing: doing.to_owned(), source: failure.clone() }
            }
        }
    }

    /// Returns whether the error can pass while a source is being followed. Unlike
    /// [`Self::is_retryable`], this includes a standalone server. Before a source is followed, a
    /// standalone server most likely never was a member.
    pub fn passes_while_followed(&self) -> bool {
        matches!(self, Self::Standalone(_)) || self.is_retryable()
    }

    /// Returns whether the error can pass without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::NoAnswer(_)
            | Self::Server { .. }
            | Self::NoCandidate(_)
            | Self::HeldElsewhere(_) => true,
            Self::Log(error) => error.is_retryable(),
            // A store or a disk that is full or gone may come back.
            Self::Index(error) => matches!(error, IndexError::Storage { .. }),
            Self::Bases(error) => error.is_retryable(),
            Self::Copy(error) => {
                matches!(error.kind(), CopyErrorKind::Retry | CopyErrorKind::DiskFull)
            }
            _ => false,
        }
    }

    /// Returns what a person can do about the error.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::BadUri(_) => vec![Remedy::Uri],
            Self::NoCandidate(none) => none.remedies(),
            Self::HeldElsewhere(held) => held.remedies(),
            Self::AnotherSource { .. } | Self::Diverged { .. } => vec![Remedy::OtherData],
            Self::Log(error) => error.remedies(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_rights_end_a_capture() {
        let sorted = |code| {
            let failure = Failure::from_server(code, "Name", "text");
            CaptureError::from_failure("read the oplog of a:1", &failure)
        };
        assert!(matches!(sorted(13), CaptureError::Refused(_)));
        assert!(matches!(sorted(18), CaptureError::BadCredentials(_)));
        assert!(!sorted(13).is_retryable() && !sorted(18).is_retryable());
        for code in [11600, 59, 136] {
            assert!(sorted(code).is_retryable(), "{code}");
        }
        assert!(sorted(13).to_string().contains("clusterMonitor"), "{}", sorted(13));
    }
}
