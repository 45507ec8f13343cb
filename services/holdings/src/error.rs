//! Why what an installation holds cannot be used, by what the caller does next.

use std::io;
use std::path::{Path, PathBuf};

use hindsight_index::IndexError;
use hindsight_log::LogError;
use hindsight_remedy::Remedy;
use hindsight_tailer::CaptureError;

use crate::bases::RegistryError;

/// Why the data directory or the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HoldingsError {
    /// The settings must be changed. The message says which.
    #[error("{0}")]
    Usage(String),
    /// The settings are fine, and what they name is not. The message says what to do.
    #[error("{0}")]
    Unusable(String),
    /// The system refused to read or write a file.
    #[error("{doing} {}: {source}", .path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// The log cannot be opened or read. Some of these errors pass.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The index cannot be opened or read.
    #[error("the index: {0}")]
    Index(#[from] IndexError),
    /// The index cannot be brought up to date with the log.
    #[error(transparent)]
    Absorb(#[from] CaptureError),
    /// The bases cannot be registered.
    #[error(transparent)]
    Bases(#[from] RegistryError),
}

impl HoldingsError {
    /// Returns what a person can do about the error.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Log(error) => error.remedies(),
            Self::Absorb(error) => error.remedies(),
            _ => Vec::new(),
        }
    }

    /// Returns whether the brokers or the topic can appear by themselves. A client that is refused
    /// because of a password or a certificate needs other settings first.
    pub fn can_pass(&self) -> bool {
        let (Self::Log(error) | Self::Absorb(CaptureError::Log(error))) = self else {
            return false;
        };
        match error {
            LogError::Unavailable { cause, .. } => cause.kind() != io::ErrorKind::PermissionDenied,
            LogError::NotFound { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self::Unusable(message.into())
    }

    /// Says what was being done to which file when the system refused.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(kind: io::ErrorKind) -> LogError {
        let cause = io::Error::new(kind, "no answer");
        LogError::Unavailable { place: "the topic".into(), action: "read it", cause }
    }

    #[test]
    fn what_can_come_by_itself_is_waited_for() {
        let absent = || LogError::NotFound { place: "k1:9092".into(), what: "topic t".into() };
        let down = || unavailable(io::ErrorKind::Other);
        let refused = || unavailable(io::ErrorKind::PermissionDenied);
        let unfit = LogError::Misconfigured { place: "t".into(), problems: Vec::new() };
        let cases: [(HoldingsError, bool); 6] = [
            (absent().into(), true),
            (down().into(), true),
            (CaptureError::Log(down()).into(), true),
            (refused().into(), false),
            (unfit.into(), false),
            (HoldingsError::Unusable("a damaged file".into()), false),
        ];
        for (error, comes) in cases {
            assert_eq!(error.can_pass(), comes, "{error}");
        }
    }
}
