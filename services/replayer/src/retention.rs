//! Lets the history forget what is older than an operator wants to keep, and let go of bases that
//! are removed.

use std::sync::Arc;
use std::time::Duration;

use hindsight_history::{Generation, History, HistoryError, LaterBase};
use hindsight_index::BaseSummary;
use hindsight_oplog::Timestamp;
use hindsight_runtime::CancellationToken;
use tokio::task::{JoinError, spawn_blocking};

/// The shortest and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Keeps the history for a time, until shutdown: moves the horizon after the newest restorable
/// time.
///
/// The time is measured on the source's clock, back from what was applied last. While nothing is
/// captured, nothing is forgotten.
pub async fn keep_history(history: Arc<History>, keep: Duration, shutdown: CancellationToken) {
    let pause = (keep / 100).clamp(PAUSES.0, PAUSES.1);
    while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let history = Arc::clone(&history);
        told(spawn_blocking(move || forget_old(&history, keep)).await);
    }
}

/// Returns what asks the history to rest on a later base, so that older bases and the log before it
/// can be removed ([`History::rest_on`]). A failure is reported, and counts as no.
pub fn history_rests_on(history: Arc<History>) -> Arc<dyn Fn(&BaseSummary) -> bool + Send + Sync> {
    Arc::new(move |base| {
        let later = LaterBase {
            name: &base.name,
            exact_from: base.exact_from.ts,
            capture_from: base.capture_from,
        };
        history.rest_on(&later).unwrap_or_else(|error| {
            tracing::error!(%error, base = base.name, "the history cannot let go of older bases");
            false
        })
    })
}

/// Reports a failure. The next look tries again.
fn told(forgotten: Result<Result<(), HistoryError>, JoinError>) {
    match forgotten {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "old history cannot be forgotten; trying again"),
        Err(error) => tracing::error!(%error, "forgetting old history failed; trying again"),
    }
}

fn forget_old(history: &History, keep: Duration) -> Result<(), HistoryError> {
    let newest = history.generations().iter().rev().find_map(Generation::window);
    let Some((_, through)) = newest else { return Ok(()) };
    let wanted = horizon_of(through, keep);
    if wanted <= history.horizon() {
        return Ok(());
    }
    let horizon = history.forget_before(wanted)?;
    tracing::debug!(%horizon, "the history forgot what is older");
    Ok(())
}

/// Returns the first timestamp of the second that lies `keep` before.
fn horizon_of(through: Timestamp, keep: Duration) -> Timestamp {
    let keep = u32::try_from(keep.as_secs()).unwrap_or(u32::MAX);
    match through.seconds().saturating_sub(keep) {
        0 => Timestamp::ZERO,
        seconds => Timestamp::new(seconds, 1),
    }
}

/// Returns after what time a file is compacted again when the history is kept for `keep`: what is
/// superseded then stays at most a quarter longer than it must.
pub fn compact_after(keep: Duration) -> Duration {
    (keep / 4).max(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_lies_as_far_back_as_is_kept_and_never_before_the_beginning() {
        let through = Timestamp::new(1000, 7);
        let of = |seconds| horizon_of(through, Duration::from_secs(seconds));
        assert_eq!(of(0), Timestamp::new(1000, 1));
        assert_eq!(of(600), Timestamp::new(400, 1));
        assert_eq!(of(1000), Timestamp::ZERO);
        assert_eq!(of(u64::MAX), Timestamp::ZERO);
    }
}
