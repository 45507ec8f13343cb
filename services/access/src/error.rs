//! Access settings that cannot be used.

/// Why access cannot be set up, worded for the person who chose the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The settings must be changed.
    #[error("{0}")]
    Usage(String),
    /// The settings are fine, but a file that they name is not.
    #[error("{0}")]
    Failed(String),
}

impl AccessError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}
