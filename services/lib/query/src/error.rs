//! Why a filter or a projection cannot be used.

use hindsight_oplog::raw::Malformed;

/// What is wrong with a filter or a projection. The variants differ in what the author must do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The server refuses this, too. The author has to correct the query.
    #[error("{0}")]
    Invalid(String),
    /// The server may know this, but this crate does not. The author has to ask in another way.
    #[error(
        "{0} is not supported here: use the plain query operators, or restore the collection and \
         ask a server"
    )]
    Unsupported(String),
    /// The bytes are not BSON. The program that encoded them is at fault.
    #[error("{0}; it has to be encoded anew")]
    Malformed(#[from] Malformed),
}

impl QueryError {
    pub(crate) fn unsupported(name: &[u8]) -> Self {
        Self::Unsupported(shown(name))
    }

    /// An error that says why `name` is invalid.
    pub(crate) fn invalid(name: &[u8], reason: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("{}: {reason}", shown(name)))
    }
}

/// Formats a name for people. Names that are too long, such as hostile ones, are cut.
pub(crate) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(&name[..name.len().min(LONGEST)]);
    if name.len() > LONGEST { format!("\"{text}…\"") } else { format!("\"{text}\"") }
}
