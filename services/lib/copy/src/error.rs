//! What can go wrong with a copy, and what to do about a server's error.

use hindsight_mongo::{Failure, Kind, PRIVILEGES, codes};

pub(super) type Result<T> = std::result::Result<T, CopyError>;

/// What to do about a [`CopyError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyErrorKind {
    /// Begin a new copy later, perhaps from another member.
    Retry,
    /// Free space, then begin a new copy.
    DiskFull,
    /// Trying again gives the same answer until somebody changes something: the message says what.
    Refused,
    /// It was asked to stop.
    Cancelled,
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("cannot {doing}: {text}", text = server_text(source))]
    Server { doing: String, source: Failure },
    /// The member answered, but a state that was waited for did not come.
    #[error("{0}")]
    Unsettled(String),
    #[error("{0}")]
    Refused(String),
    #[error("cannot write the base: {0}")]
    Base(#[from] hindsight_base::Error),
    #[error("the copy was cancelled")]
    Cancelled,
}

impl CopyError {
    pub fn kind(&self) -> CopyErrorKind {
        match self {
            CopyError::Server { source, .. } => match reaction(source) {
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

    /// For `map_err`: a server's error with what was being done.
    pub(super) fn server(doing: impl Into<String>) -> impl FnOnce(Failure) -> CopyError {
        let doing = doing.into();
        move |source| CopyError::Server { doing, source }
    }

    pub(super) fn reaction(&self) -> Reaction {
        match self {
            CopyError::Server { source, .. } => reaction(source),
            CopyError::Unsettled(_) => Reaction::Retry,
            _ => Reaction::Stop,
        }
    }
}

/// A server's error in a line.
fn server_text(failure: &Failure) -> String {
    match failure.kind() {
        Kind::Forbidden => format!("{failure}: the user needs {PRIVILEGES}"),
        _ => failure.to_string(),
    }
}

/// What to do about a server's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Ask again, with growing delays.
    Retry,
    /// There is no such collection.
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
