//! Runs work that blocks its thread, for tasks that must not block.

use std::fmt::Display;
use std::io;

use crate::error::LogError;

/// Runs `work` on the threads meant for blocking work. Work that has begun runs to its end even
/// when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(
    place: impl Display,
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            Err(LogError::unavailable(place, "use it while shutting down", io::Error::other(error)))
        }
    }
}
