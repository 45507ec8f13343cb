//! What can go wrong with a base, by what the caller must do next.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

/// What to do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The disk is full: free space, then try again. Nothing that was complete is affected.
    DiskFull,
    /// The file system failed: look at it, then try again.
    Io,
    /// The directory is not a base. It may be one that was never finished.
    NotABase,
    /// The base's bytes are not those that were written: do not use it, take a new base.
    Corrupt,
    /// Written by a newer version: upgrade.
    NewerFormat,
    /// The caller asked for something that cannot be done. Trying again gives the same answer.
    Refused,
}

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

    /// Whether the same call can succeed later without anybody changing the request or the base.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::DiskFull | ErrorKind::Io)
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Error::Corrupt { path: path.to_owned(), reason: reason.into() }
    }

    /// For `map_err`: an I/O error with what was being done to which file.
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
