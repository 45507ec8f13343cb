//! Following a log that others write: its segments into the index, its bases, and whether it is safe where it lies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hindsight_log::{BaseNotice, LogError, SharedLog};
use hindsight_runtime::{Backoff, CancellationToken};
use hindsight_tailer::{Boards, StatusBoard, absorb_new};
use metrics::gauge;
use tracing::{error, info, warn};

use crate::open::{Opened, register_bases as register};

/// Between two looks at the end of the log.
const LOOK: Duration = Duration::from_millis(100);
/// How often bases and settings are looked at.
const BASES_INTERVAL: Duration = Duration::from_secs(1);
const RISKS_INTERVAL: Duration = Duration::from_secs(15);

/// Absorbs what others append, until shutdown.
pub(super) fn follow_log(
    opened: &Opened,
    boards: &Boards,
    shutdown: CancellationToken,
) -> impl Future<Output = Result<()>> + Send + 'static {
    let (log, index) = (Arc::clone(&opened.log.log), Arc::clone(&opened.index));
    let Boards { positions, status } = boards.clone();
    async move {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while !shutdown.is_cancelled() {
            match absorb_new(log.as_ref(), &index, &positions).await {
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
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What is known of the bases: looked at again when it changes.
#[derive(PartialEq, Eq)]
struct Seen {
    announced: Option<Vec<BaseNotice>>,
    names: Vec<std::ffi::OsString>,
}

/// Tells the index of bases that others made, until shutdown.
pub(super) fn register_bases(
    opened: &Opened,
    shutdown: CancellationToken,
) -> impl Future<Output = Result<()>> + Send + 'static {
    let (shared, index) = (opened.log.shared.clone(), Arc::clone(&opened.index));
    let directory = opened.bases.clone();
    async move {
        let mut seen = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(BASES_INTERVAL) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            let announced = match &shared {
                Some(shared) => match shared.announced().await {
                    Ok(announced) => Some(announced),
                    // Whoever reads the log says so.
                    Err(_) => continue,
                },
                None => None,
            };
            let now = Seen { announced, names: names_in(&directory) };
            if seen.as_ref() == Some(&now) {
                continue;
            }
            match register(&index, &directory, now.announced.as_deref()) {
                Ok(absent) => say_absent(&absent, &directory),
                Err(error) => {
                    warn!(error = format!("{error:#}"), "the bases cannot be listed; trying again");
                    continue;
                }
            }
            seen = Some(now);
        }
    }
}

fn names_in(directory: &std::path::Path) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

fn say_absent(absent: &[BaseNotice], directory: &std::path::Path) {
    gauge!("hindsight_bases_absent").set(absent.len() as f64);
    for base in absent {
        warn!(
            base = base.name,
            directory = %directory.display(),
            "the log announces a base that is not there, or is another one: windows that begin with it are not \
             restorable from here"
        );
    }
}

/// Looks, as long as the process runs, whether the log is safe where it lies: settings can change, records can vanish.
pub(super) async fn watch_risks(
    shared: Arc<dyn SharedLog>,
    status: StatusBoard,
    shutdown: CancellationToken,
) -> Result<()> {
    let mut before: Vec<String> = Vec::new();
    while !shutdown.is_cancelled() {
        for (reason, count) in shared.ignored().counts() {
            gauge!("hindsight_log_ignored_records", "reason" => reason).set(count as f64);
        }
        match shared.risks().await {
            Ok(risks) => {
                if risks.is_empty() && !before.is_empty() {
                    info!("the log is safe again where it lies");
                }
                for risk in risks.iter().filter(|risk| !before.contains(risk)) {
                    error!(risk, "the log is in danger where it lies");
                }
                gauge!("hindsight_retention_risk").set(risks.len() as f64);
                status.at_risk(risks.clone());
                before = risks;
            }
            // Out of reach: whoever reads or writes the log says so.
            Err(LogError::Unavailable { .. }) => {}
            Err(error) => warn!(%error, "it cannot be told whether the log is safe where it lies"),
        }
        tokio::select! {
            () = tokio::time::sleep(RISKS_INTERVAL) => {}
            () = shutdown.cancelled() => {}
        }
    }
    Ok(())
}
