//! Lets the history forget what is older than an operator wants to keep, and let go of bases that
//! are removed.

use std::sync::Arc;
use std::time::Duration;

use hindsight_history::{Generation, History, HistoryError, LaterBase};
use hindsight_index::{BaseSummary, Index};
use hindsight_oplog::Timestamp;
use hindsight_runtime::CancellationToken;
use tokio::task::{JoinError, spawn_blocking};

use crate::error::Cause;

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
/// can be removed ([`History::rest_on`]). A history that rests on a still later base stays there. A
/// failure is reported, and counts as no.
pub fn history_rests_on(
    history: Arc<History>,
    index: Arc<Index>,
) -> impl Fn(&BaseSummary) -> bool + Send + Sync {
    move |base| {
        rests_on(&history, &index, base).unwrap_or_else(|error| {
            tracing::error!(%error, base = base.name, "the history cannot let go of older bases");
            false
        })
    }
}

fn rests_on(history: &History, index: &Index, base: &BaseSummary) -> Result<bool, Cause> {
    let Some(newest) = history.generations().pop() else { return Ok(false) };
    let now = index.view().base(newest.rests_on())?;
    // A base in an earlier run of the log would not even be followed by what the history holds.
    if now.is_some_and(|now| is_no_older(&now, base)) {
        history.rest_where_it_is()?;
        return Ok(true);
    }
    let later = LaterBase {
        name: &base.name,
        exact_from: base.exact_from.ts,
        capture_from: base.capture_from,
    };
    Ok(history.rest_on(&later)?)
}

/// Returns whether everything before what this base needs is also before what the other needs. A
/// base whose copy took long may be exact later, and need earlier entries.
fn is_no_older(base: &BaseSummary, other: &BaseSummary) -> bool {
    base.exact_from >= other.exact_from && base.capture_from >= other.capture_from
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
    match through.second_before(keep) {
        Timestamp::ZERO => Timestamp::ZERO,
        second => second.successor(),
    }
}

/// Returns after what time a file is compacted again when the history is kept for `keep`: what is
/// superseded then stays at most a quarter longer than it must.
pub(crate) fn compact_after(keep: Duration) -> Duration {
    (keep / 4).max(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use hindsight_oplog::OpTime;

    use super::*;

    #[test]
    fn a_base_is_older_when_it_needs_earlier_entries_or_is_exact_earlier() {
        let base = |capture_from, exact_from| BaseSummary {
            name: "b".to_owned(),
            start: Timestamp::new(capture_from, 1),
            capture_from: OpTime::new(capture_from, 1, 1),
            exact_from: OpTime::new(exact_from, 1, 1),
            created_wall_ms: 0,
            documents: 1,
            bytes: 1,
        };
        assert!(is_no_older(&base(10, 20), &base(10, 20)));
        assert!(is_no_older(&base(11, 20), &base(10, 20)));
        assert!(!is_no_older(&base(10, 20), &base(15, 18)), "it needs earlier entries");
        assert!(!is_no_older(&base(15, 18), &base(10, 20)));
    }

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
