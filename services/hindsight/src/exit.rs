//! Why a command failed, and the exit codes, which are a contract with scripts.

use std::error::Error;
use std::process::ExitCode;

use hindsight_access::AccessError;
use hindsight_api::document_id::InvalidId;
use hindsight_archiver::ArchiveError;
use hindsight_history::HistoryError;
use hindsight_holdings::HoldingsError;
use hindsight_oplog::raw::Malformed;
use hindsight_refusal::Reason;
use hindsight_remedy::Remedy;
use hindsight_replayer::FollowError;
use hindsight_revert::RevertError;
use hindsight_tailer::CaptureError;
use tonic::Code;

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

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command failed: the kinds that [`Failure::exit`] tells apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line must be changed, or a file that it names. The text says which.
    #[error("{0}")]
    Usage(String),
    /// No server answers, or the connection to it broke.
    #[error("{0}")]
    ServerUnavailable(String),
    /// The service refused a call, or could not answer it.
    #[error("{text}")]
    Answer { code: Code, reason: Option<Reason>, text: String, remedies: Vec<Remedy> },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Revert(#[from] RevertError),
    /// A failure that calls for no exit code of its own.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
    /// What was being done when the cause arose.
    #[error("{doing}")]
    While {
        doing: String,
        #[source]
        cause: Box<Failure>,
    },
}

/// Lists the errors that call for no exit code of their own. An error that is in neither list does
/// not compile, so none loses its exit code on the way.
macro_rules! others {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Other(error.into())
            }
        })*
    };
}

others! {
    FollowError,
    HistoryError,
    Malformed,
    indicatif::style::TemplateError,
    prost::DecodeError,
    serde_json::Error,
    std::io::Error,
    tokio::task::JoinError,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self::Other(anyhow::Error::msg(text.into()))
    }

    /// Returns the exit code that the failure calls for.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::Id(_)
            | Self::Access(AccessError::Usage(_))
            | Self::Capture(CaptureError::BadUri(_))
            | Self::Holdings(HoldingsError::Usage(_))
            | Self::Archive(ArchiveError::Holdings(HoldingsError::Usage(_))) => Exit::Usage,
            Self::Archive(ArchiveError::Empty) => Exit::NotRestorable,
            Self::ServerUnavailable(_) => Exit::ServerUnavailable,
            Self::Answer { code, reason, .. } => exit_of_answer(*code, *reason),
            Self::While { cause, .. } => cause.exit(),
            Self::Access(AccessError::Failed(_))
            | Self::Holdings(_)
            | Self::Capture(_)
            | Self::Archive(_)
            | Self::Revert(_)
            | Self::Other(_) => Exit::Failed,
        }
    }

    /// Returns what the caller can do about the failure.
    pub(crate) fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Answer { remedies, .. } => remedies.clone(),
            Self::Capture(error) => error.remedies(),
            Self::Holdings(error) => error.remedies(),
            Self::Archive(ArchiveError::Holdings(error)) => error.remedies(),
            Self::While { cause, .. } => cause.remedies(),
            _ => Vec::new(),
        }
    }

    /// Returns the failure, followed by those of its causes that it does not tell already.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let told = error.to_string();
            if !text.contains(&told) {
                text.push_str(&format!(": {told}"));
            }
            cause = error.source();
        }
        text
    }
}

fn exit_of_answer(code: Code, reason: Option<Reason>) -> Exit {
    match (code, reason) {
        (_, Some(Reason::TargetUnsuitable | Reason::TargetUnavailable)) => Exit::Failed,
        (Code::InvalidArgument, _) => Exit::Usage,
        (Code::OutOfRange | Code::NotFound | Code::DeadlineExceeded, _) => Exit::NotRestorable,
        (Code::DataLoss, _) => Exit::VerificationFailed,
        (Code::FailedPrecondition, _) => Exit::NeedsConfirmation,
        (Code::Unavailable, _) => Exit::ServerUnavailable,
        _ => Exit::Failed,
    }
}

/// Says what was being done when something failed. Unlike the trait of this name in `anyhow`, this
/// one keeps the failure's exit code.
pub(crate) trait Context<T> {
    fn context(self, doing: impl Into<String>) -> Result<T>;

    fn with_context<D: Into<String>>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, doing: impl Into<String>) -> Result<T> {
        self.with_context(|| doing)
    }

    fn with_context<D: Into<String>>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Failure::While {
            doing: doing().into(),
            cause: Box::new(error.into()),
        })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, missing: impl Into<String>) -> Result<T> {
        self.with_context(|| missing)
    }

    fn with_context<D: Into<String>>(self, missing: impl FnOnce() -> D) -> Result<T> {
        self.ok_or_else(|| Failure::other(missing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_exit_code_and_its_causes() {
        let wrong = || HoldingsError::Usage("--log is no log".to_owned());
        let damaged = || HoldingsError::Unusable("a damaged file".to_owned());
        let cases: [(Result<()>, Exit, &str); 4] = [
            (Err(wrong()).context("open x"), Exit::Usage, "open x: --log is no log"),
            (Err(damaged()).context("open x"), Exit::Failed, "open x: a damaged file"),
            (Err(InvalidId("no id".into()).into()), Exit::Usage, "no id"),
            (None.context("no plan"), Exit::Failed, "no plan"),
        ];
        for (result, exit, text) in cases {
            let failure = result.expect_err(text);
            assert_eq!((failure.exit(), &*failure.with_causes()), (exit, text));
        }
        let inner = anyhow::Error::msg("no space").context("write the record");
        let failure: Failure = Err::<(), _>(inner).context("close").expect_err("it failed");
        assert_eq!(failure.with_causes(), "close: write the record: no space");
    }

    #[test]
    fn the_reason_of_an_answer_decides_where_its_code_is_too_coarse() {
        let exit = |code, reason| exit_of_answer(code, reason);
        let precondition = Code::FailedPrecondition;
        assert_eq!(exit(precondition, Some(Reason::TargetNotEmpty)), Exit::NeedsConfirmation);
        assert_eq!(exit(precondition, Some(Reason::TargetUnsuitable)), Exit::Failed);
        assert_eq!(exit(Code::Unavailable, Some(Reason::TargetUnavailable)), Exit::Failed);
        assert_eq!(exit(Code::Unavailable, None), Exit::ServerUnavailable);
        assert_eq!(exit(Code::OutOfRange, Some(Reason::Gap)), Exit::NotRestorable);
        assert_eq!(exit(Code::PermissionDenied, None), Exit::Failed);
    }
}
