//! What can go wrong with a copy, and what to do about a server's error.

use mongodb::error::{Error as ServerError, ErrorKind as ServerErrorKind};

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
    Server { doing: String, source: ServerError },
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
                Reaction::Forbidden | Reaction::Stop => CopyErrorKind::Refused,
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
    pub(super) fn server(doing: impl Into<String>) -> impl FnOnce(ServerError) -> CopyError {
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

/// No built-in role but `root` with `__system` will do: `backup` may not read `system.views`, for
/// one.
const PRIVILEGES: &str = "the role clusterMonitor and a role with the actions find, listCollections and listIndexes on \
    {anyResource: true} (from 8.3 on performRawDataOperations, too), and listDatabases and useUUID on {cluster: true}";

/// A server's error in a line. The driver's own text carries the whole reply.
fn server_text(error: &ServerError) -> String {
    let ServerErrorKind::Command(command) = error.kind.as_ref() else {
        return error.kind.to_string();
    };
    // The server repeats the whole command to those who may not run it.
    let reason = command.message.split(" to execute command").next().unwrap_or_default();
    let text = format!("{reason} ({}, code {})", command.code_name, command.code);
    match reaction_to_code(command.code) {
        Reaction::Forbidden => {
            format!("{text}: the user needs {PRIVILEGES}")
        }
        _ => text,
    }
}

/// What to do about a server's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Ask again, with growing delays.
    Retry,
    /// There is no such collection.
    Vanished,
    /// The user lacks a privilege.
    Forbidden,
    /// Asking again would not help.
    Stop,
}

pub(super) fn reaction(error: &ServerError) -> Reaction {
    match error.kind.as_ref() {
        ServerErrorKind::Command(command) => reaction_to_code(command.code),
        ServerErrorKind::Io(_)
        | ServerErrorKind::ConnectionPoolCleared { .. }
        | ServerErrorKind::ServerSelection { .. }
        | ServerErrorKind::DnsResolve { .. } => Reaction::Retry,
        // A wrong password, a wrong URI, a reply we cannot read.
        _ => Reaction::Stop,
    }
}

pub(super) fn reaction_to_code(code: i32) -> Reaction {
    match code {
        13 => Reaction::Forbidden,
        26 => Reaction::Vanished,
        // HostUnreachable, HostNotFound, NetworkTimeout, NetworkInterfaceExceededTimeLimit,
        // SocketException
        6 | 7 | 89 | 202 | 9001
        // LockTimeout, MaxTimeMSExpired, WriteConflict, ReadConcernMajorityNotAvailableYet,
        // ExceededTimeLimit
        | 46 | 50 | 112 | 134 | 262
        // The cursor or its place is lost: CursorNotFound, CappedPositionLost, QueryPlanKilled,
        // CursorKilled
        | 43 | 136 | 175 | 237
        // The catalog is ahead of the majority: SnapshotTooOld, SnapshotUnavailable
        | 239 | 246
        // The member changes its state: ShutdownInProgress, PrimarySteppedDown, NotWritablePrimary,
        // InterruptedAtShutdown, Interrupted, InterruptedDueToReplStateChange,
        // NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary
        | 91 | 189 | 10107 | 11600 | 11601 | 11602 | 13435 | 13436 => Reaction::Retry,
        _ => Reaction::Stop,
    }
}
