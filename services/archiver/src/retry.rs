//! Repeats a step of a copy while a log cannot be reached.

use std::time::Duration;

use hindsight_log::LogError;
use hindsight_runtime::Backoff;

use crate::progress::{Progress, Tell};

/// Number of retries of one step before the copy gives up.
const MOST_FAILURES: u32 = 10;

/// Retries `work` for a while when a log cannot be reached, because a copy takes long. A copy that
/// gives up can be continued from where it stopped.
pub(crate) async fn patiently<T, F>(tell: &Tell, mut work: impl FnMut() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, LogError>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match work().await {
            Err(error) if error.is_retryable() && backoff.failures() < MOST_FAILURES => {
                tell(Progress::Retrying { error: &error });
                tokio::time::sleep(backoff.next_delay()).await;
            }
            outcome => return outcome,
        }
    }
}
