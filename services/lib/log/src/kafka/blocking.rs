//! Runs what blocks: the client answers on the calling thread.

use std::sync::Arc;

use crate::error::LogError;

/// Runs work that blocks, on a shared value.
pub(super) async fn blocking<S: Send + Sync + 'static, T: Send + 'static>(
    subject: &Arc<S>,
    work: impl FnOnce(&Arc<S>) -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let subject = Arc::clone(subject);
    crate::blocking::blocking("kafka", move || work(&subject)).await
}
