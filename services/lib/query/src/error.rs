//! Why a filter or a projection cannot be used.

use hindsight_oplog::raw::Malformed;

/// What is wrong with a filter or a projection, by what its author must do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The server refuses it too: it has to be corrected.
    #[error("{0}")]
    Invalid(String),
    /// The server may know it, and we do not: it has to be asked in another way.
    #[error(
        "{0} is not supported here: use the plain query operators, or restore the collection and \
         ask a server"
    )]
    Unsupported(String),
    /// The bytes are not BSON: whoever made them is at fault.
    #[error("{0}; it has to be encoded anew")]
    Malformed(#[from] Malformed),
}

impl QueryError {
    pub(crate) fn unsupported(name: &[u8]) -> Self {
        Self::Unsupported(shown(name))
    }

    /// `what` of `name` is wrong for that reason.
    pub(crate) fn invalid(name: &[u8], reason: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("{}: {reason}", shown(name)))
    }
}

/// A name as people read it; hostile ones are cut.
pub(crate) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(&name[..name.len().min(LONGEST)]);
    if name.len() > LONGEST { format!("\"{text}…\"") } else { format!("\"{text}\"") }
}
