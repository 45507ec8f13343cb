//! The errors of a copy, and how the copy reacts to a server's error.

use hindsight_mongo::{Failure, Kind, PRIVILEGES, codes};

pub(super) type Result<T> = std::result::Result<T, CopyError>;

/// What the caller should do about a [`CopyError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyErrorKind {
    /// Begin a new copy later, perhaps from another member.
    Retry,
    /// Free space, then begin a new copy.
    DiskFull,
    /// Another try fails in the same way until somebody changes something. The message says what.
    Refused,
    /// The caller asked the copy to stop.
    Cancelled,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A request to the member failed.
    #[error("cannot {doing}: {text}", text = server_text(failure))]
    Server {
        doing: String,
        #[source]
        failure: Failure,
    },
    /// The member answered, but it did not reach a state that the copy waited for.
    #[error("{0}")]
    Unsettled(String),
    /// The copy cannot succeed until somebody changes something. The text says what.
    #[error("{0}")]
    Refused(String),
    /// The base cannot be written.
    #[error("cannot write the base: {0}")]
    Base(#[from] hindsight_base::Error),
    /// The caller cancelled the copy.
    #[error("the copy was cancelled")]
    Cancelled,
}

impl CopyError {
    /// Returns what the caller should do about the error.
    pub fn kind(&self) -> CopyErrorKind {
        match self {
            CopyError::Server { failure, .. } => match reaction(failure) {
                Reaction::Retry | Reaction::Vanished => CopyErrorKind::Retry,
                Reaction::Stop => CopyErrorKind::Refused,
            },
            CopyError::Unsettled(_) => CopyErrorKind::Retry,
            CopyError::Refused(_) => CopyErrorKind::Refused,
            CopyError::Base(error) => match error.kind() {
                hindsight_base::ErrorKind::DiskFull => CopyErrorKind::DiskFull,
                hindsight_base::ErrorKind::Io => CopyErrorKind::Retry,
                _ => CopyErrorKind::Refused,
            },
            CopyError::Cancelled => CopyErrorKind::Cancelled,
        }
    }

    /// Makes an error for `map_err` from a server's error and the description of the failed action.
    pub(super) fn server(doing: impl Into<String>) -> impl FnOnce(Failure) -> CopyError {
        let doing = doing.into();
        move |failure| CopyError::Server { doing, failure }
    }

    pub(super) fn reaction(&self) -> Reaction {
        match self {
            CopyError::Server { failure, .. } => reaction(failure),
            CopyError::Unsettled(_) => Reaction::Retry,
            _ => Reaction::Stop,
        }
    }
}

/// The text of a server's error, in one line.
fn server_text(failure: &Failure) -> String {
    match failure.kind() {
        Kind::Forbidden => format!("{failure}: the user needs {PRIVILEGES}"),
        _ => failure.to_string(),
    }
}

/// How the copy reacts to a server's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Ask again, with growing delays.
    Retry,
    /// The collection does not exist.
    Vanished,
    /// Asking again would not help.
    Stop,
}

fn reaction(failure: &Failure) -> Reaction {
    match failure.kind() {
        Kind::Passing => Reaction::Retry,
        _ if failure.is(codes::NAMESPACE_NOT_FOUND) => Reaction::Vanished,
        Kind::Credentials | Kind::Forbidden | Kind::Refused => Reaction::Stop,
    }
}
