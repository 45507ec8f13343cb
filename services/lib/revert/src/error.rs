//! Why a revert cannot begin, or stopped.

use std::path::PathBuf;

use hindsight_mongo::Failure;

/// Why a revert cannot begin, or stopped. What it wrote before stays written, and repeating the
/// revert goes on.
#[derive(Debug, thiserror::Error)]
pub enum RevertError {
    /// The deployment holds something that documents cannot be put back into. One line for each
    /// collection.
    #[error("nothing was written:\n{}", .0.join("\n"))]
    Unsuitable(Vec<String>),
    /// The deployment cannot be reached, or refuses.
    #[error("{doing}: {failure}")]
    Deployment {
        /// What was being done.
        doing: String,
        /// What the driver or the server says.
        failure: Failure,
    },
    /// The file of a revert cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what can be done.
        reason: String,
    },
}

impl RevertError {
    pub(crate) fn file(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn deployment(doing: impl Into<String>, failure: Failure) -> Self {
        Self::Deployment { doing: doing.into(), failure }
    }
}
