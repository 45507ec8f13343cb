//! Settings of access that cannot be used.

/// Why access cannot be set up, in words for the person who gave the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The settings have to be given otherwise.
    #[error("{0}")]
    Usage(String),
    /// The settings are fine, and a file that they lead to is not.
    #[error("{0}")]
    Failed(String),
}

impl AccessError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}
