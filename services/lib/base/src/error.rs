//! What can go wrong with a base. The errors are divided by what the caller must do next.

use std::io;
use std::path::{Path, PathBuf};

use hindsight_runtime::files::FileError;

/// The result of a call to this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What to do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The disk is full. Free space, then try again. Nothing that was complete is affected.
    DiskFull,
    /// The file system failed. Look at the cause, then try again.
    Io,
    /// The directory is not a base. It may be a base that was never finished.
    NotABase,
    /// The base's bytes are not those that were written. Do not use this base; take a new one.
    Corrupt,
    /// A newer version wrote the base: upgrade.
    NewerFormat,
    /// The caller asked for something that cannot be done. Trying again returns the same error.
    Refused,
}

/// Why a base cannot be written or read. [`ErrorKind`] says what to do about each variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no space left to {action} {path}: free space and try again", path = path.display())]
    DiskFull { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is not a base: {reason}", path = path.display())]
    NotABase { path: PathBuf, reason: String },
    #[error("{path} is damaged: {reason}; this base must not be used, take a new one", path = path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error(
        "{path} has base format {found}, this version reads up to {supported}: upgrade hindsight",
        path = path.display()
    )]
    NewerFormat { path: PathBuf, found: u32, supported: u32 },
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Returns what to do about the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::DiskFull { .. } => ErrorKind::DiskFull,
            Error::Io { .. } => ErrorKind::Io,
            Error::NotABase { .. } => ErrorKind::NotABase,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::NewerFormat { .. } => ErrorKind::NewerFormat,
            Error::Refused(_) => ErrorKind::Refused,
        }
    }

    /// Returns whether the same call can succeed later without a change to the request or the base.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::DiskFull | ErrorKind::Io)
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Error::Corrupt { path: path.to_owned(), reason: reason.into() }
    }

    /// For `map_err`: turns an I/O error into an error that says what was being done to which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::DiskFull { action, path, source }
            }
            _ => Error::Io { action, path, source },
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Error::io(error.action, &error.path)(error.source)
    }
}
