//! What a history says when it is asked for a base.

/// What became of an attempt to write a base from a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// The base of this name is complete.
    Made(String),
    /// No base can be written at the moment: the history is behind, or a prepared transaction is
    /// open. Ask again.
    NotNow,
    /// The history cannot tell everything that a copy from the source could; this is why.
    NotExact(String),
}
