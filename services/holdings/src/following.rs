//! Follows a log that others write: absorbs its segments into the index, and watches whether the
//! log is safe where it lies.

use std::sync::Arc;
use std::time::Duration;

use hindsight_log::{LogError, Risks, SharedLog};
use hindsight_runtime::{Backoff, CancellationToken};
use hindsight_tailer::{Boards, CaptureError, StatusBoard, absorb_new, told_while_overdue};
use tracing::{error, info, warn};

use crate::metrics;
use crate::open::Opened;

/// Pause between two looks at the end of the log.
const LOOK: Duration = Duration::from_millis(100);
/// How often the settings are checked.
const RISKS_INTERVAL: Duration = Duration::from_secs(15);

/// Absorbs the segments that others append, until shutdown.
pub fn follow_log(
    opened: &Opened,
    boards: &Boards,
    shutdown: CancellationToken,
) -> impl Future<Output = Result<(), CaptureError>> + Send + 'static {
    let (log, index) = (Arc::clone(&opened.log.log), Arc::clone(&opened.index));
    let is_shared = opened.log.shared.is_some();
    let Boards { positions, status } = boards.clone();
    async move {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while !shutdown.is_cancelled() {
            let absorb = absorb_new(log.as_ref(), &index, &positions);
            match told_while_overdue(&status, log.as_ref(), "following the log", absorb).await {
                Ok(()) => {
                    status.log_failed(None);
                    backoff.reset();
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Err(error) if error.is_retryable() => {
                    warn!(%error, "the log cannot be followed; trying again");
                    status.log_failed(Some(error.to_string()));
                    backoff.pause(&shutdown).await;
                }
                // Everything before the damage is served, and the damage is reported with the other
                // risks.
                Err(CaptureError::Log(LogError::Corrupt { .. })) if is_shared => {
                    status.log_failed(None);
                    backoff.pause(&shutdown).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Checks, as long as the process runs, whether the log is safe where it lies: settings can change,
/// and records can vanish.
pub async fn watch_risks(
    shared: Arc<dyn SharedLog>,
    status: StatusBoard,
    shutdown: CancellationToken,
) {
    metrics::retention_risks(0);
    // This holds until everything has been checked once.
    metrics::retention_unchecked(true);
    let mut before = Risks::default();
    while !shutdown.is_cancelled() {
        for (reason, count) in shared.ignored().counts() {
            metrics::ignored_records(reason, count);
        }
        let now = tokio::select! {
            now = shared.risks() => now,
            () = shutdown.cancelled() => break,
        };
        say_risks(&before, &now);
        metrics::retention_risks(now.found.len());
        metrics::retention_unchecked(!now.unchecked.is_empty());
        let unchecked = now.unchecked.iter().map(|what| what.as_str().into());
        status.at_risk(now.found.iter().cloned().chain(unchecked).collect());
        before = now;
        tokio::select! {
            () = tokio::time::sleep(RISKS_INTERVAL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Logs new risks, and does not repeat known ones.
fn say_risks(before: &Risks, now: &Risks) {
    let was_safe = before.found.is_empty() && before.unchecked.is_empty();
    if *now == Risks::default() && !was_safe {
        info!("the log is safe again where it lies");
    }
    for risk in now.found.iter().filter(|risk| !before.found.contains(risk)) {
        error!(%risk, "the log is in danger where it lies");
    }
    // The reason for an unchecked risk is worded differently at each check: it says how long and
    // how often the check was tried. So only the subject is compared.
    let subject = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let told: Vec<String> = before.unchecked.iter().map(|what| subject(what)).collect();
    for what in now.unchecked.iter().filter(|what| !told.contains(&subject(what))) {
        warn!(what, "it cannot be told whether the log is safe where it lies");
    }
}
