//! The exit codes, which are a contract with scripts.

use std::process::ExitCode;

use hindsight_access::AccessError;
use hindsight_api::document_id::InvalidId;
use hindsight_holdings::HoldingsError;

/// How a command ended, for the process that called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// A gap, a time outside every window, or something that does not exist.
    NotRestorable = 3,
    VerificationFailed = 4,
    NeedsConfirmation = 5,
    ServerUnavailable = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A failure with the exit code it calls for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::new(exit_of_access(&error), error.to_string())
    }
}

fn exit_of_access(error: &AccessError) -> Exit {
    match error {
        AccessError::Usage(_) => Exit::Usage,
        AccessError::Failed(_) => Exit::Failed,
    }
}

impl From<HoldingsError> for Failure {
    fn from(error: HoldingsError) -> Self {
        Self::new(exit_of_holdings(&error), error.to_string())
    }
}

fn exit_of_holdings(error: &HoldingsError) -> Exit {
    match error {
        HoldingsError::Usage(_) => Exit::Usage,
        _ => Exit::Failed,
    }
}

impl From<InvalidId> for Failure {
    fn from(error: InvalidId) -> Self {
        Self::usage(error.to_string())
    }
}

/// Returns the exit code that an error calls for: the first cause in its chain that has one
/// decides.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    let exit_of_cause = |cause: &(dyn std::error::Error + 'static)| {
        let failure = cause.downcast_ref::<Failure>().map(|failure| failure.exit);
        let access = || cause.downcast_ref::<AccessError>().map(exit_of_access);
        let id = || cause.downcast_ref::<InvalidId>().map(|_| Exit::Usage);
        let holdings = || cause.downcast_ref::<HoldingsError>().map(exit_of_holdings);
        failure.or_else(access).or_else(id).or_else(holdings)
    };
    error.chain().find_map(exit_of_cause).unwrap_or(Exit::Failed)
}
