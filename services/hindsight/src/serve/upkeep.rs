//! What a process removes when it is no longer kept, and what it watches the disk for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hindsight_api::service::Live;
use hindsight_history::History;
use hindsight_holdings::{
    DataDir, HistoryBytes, LogChoice, LogUrl, Opened, keep_log, pack_log, watch_disk,
};
use hindsight_replayer::{Engine, history_rests_on, keep_history};
use hindsight_runtime::Tasks;
use hindsight_tailer::Boards;

use crate::exit::{Failure, Result};
use crate::global::Global;

/// How long things are kept; `None` for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) history: Option<Duration>,
    pub(super) log: Option<Duration>,
    /// How old the newest base may become.
    pub(super) base: Option<Duration>,
}

/// Starts what removes what is older than it is kept.
pub(super) fn spawn_retention(
    tasks: &mut Tasks<Failure>,
    opened: &Opened,
    history: &Arc<History>,
    keep: Keep,
) {
    let shutdown = tasks.shutdown().clone();
    if let Some(keep) = keep.history {
        tasks.spawn_unfailing("horizon", keep_history(Arc::clone(history), keep, shutdown.clone()));
    }
    if let Some(keep) = keep.log {
        let rests_on = history_rests_on(Arc::clone(history), Arc::clone(&opened.index));
        let rests_on = Arc::new(rests_on);
        tasks.spawn_unfailing("retention", keep_log(opened, keep, rests_on, shutdown));
    }
}

/// Starts what keeps the log's files few, and what watches the file systems that the process writes
/// to.
pub(super) fn spawn_files(
    tasks: &mut Tasks<Failure>,
    opened: &Opened,
    (global, data): (&Global, &DataDir),
    (live, boards): (&Live, &Boards),
    engine: &Engine,
) -> Result<()> {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn_unfailing("packs", pack_log(opened, boards, shutdown.clone()));
    let mut places: Vec<PathBuf> = vec![data.root().to_owned(), opened.bases.clone()];
    if let LogUrl::Directory(path) = LogChoice::of(&global.log, data)?.url {
        places.push(path);
    }
    let history = engine.history.clone();
    let bytes = history.map(|it| -> HistoryBytes { Arc::new(move || it.stored_bytes()) });
    tasks.spawn_unfailing("disk", watch_disk(opened, places, bytes, live.disk.clone(), shutdown));
    Ok(())
}
