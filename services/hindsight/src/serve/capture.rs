//! Capture as a part of a process.

use std::sync::Arc;

use hindsight_copy::CopyBoard;
use hindsight_holdings::{BaseKeeper, NeedsBase, Opened};
use hindsight_replayer::Applied;
use hindsight_runtime::{CancellationToken, Tasks};
use hindsight_tailer::{Boards, CaptureSettings, Companion, Tailer};
use tokio::sync::watch;

use crate::exit::{Failure, Result};

/// Returns the tailer of this process. A keeper of bases accompanies each of its captures.
pub(super) fn tailer_of(
    settings: CaptureSettings,
    opened: &Opened,
    boards: Boards,
    copy: CopyBoard,
    history: Option<watch::Receiver<Applied>>,
) -> Tailer {
    let (index, bases) = (Arc::clone(&opened.index), opened.bases.clone());
    let (of, shared) = (settings.clone(), opened.log.shared.clone());
    let history = history.map(needs_base);
    let keeper = move || -> Box<dyn Companion> {
        let (index, shared) = (Arc::clone(&index), shared.clone());
        let (copy, history) = (copy.clone(), history.clone());
        Box::new(BaseKeeper::new(&of, index, bases.clone(), shared, copy, history))
    };
    Tailer {
        settings,
        log: Arc::clone(&opened.log.log),
        index: Arc::clone(&opened.index),
        instance: opened.instance,
        boards,
        companion: Arc::new(keeper),
    }
}

/// Tells the keeper of bases whether a history cannot continue without another base.
fn needs_base(history: watch::Receiver<Applied>) -> NeedsBase {
    Arc::new(move || history.borrow().stopped.as_ref().is_some_and(|stopped| stopped.needs_base))
}

/// Begins to capture, or to stand by. For a log that is not shared, a failure to prepare capture is
/// returned at once.
pub(super) async fn spawn(
    tailer: Tailer,
    opened: &Opened,
    tasks: &mut Tasks<Failure>,
    shutdown: &CancellationToken,
) -> Result<()> {
    let shutdown = shutdown.clone();
    match opened.log.shared.clone() {
        None => {
            let prepared = tailer.prepare(None).await?;
            let captured = tailer.run_alone(prepared, shutdown);
            tasks.spawn("capture", async move { Ok(captured.await?) });
        }
        Some(shared) => {
            tasks.spawn("capture", async move { Ok(tailer.take_turns(shared, shutdown).await?) });
        }
    }
    Ok(())
}
