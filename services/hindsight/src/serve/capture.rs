//! Capture as a part of a process.

use std::sync::Arc;
use std::time::Duration;

use hindsight_base::Renewal;
use hindsight_copy::CopyBoard;
use hindsight_holdings::{BaseKeeper, BaseNeeds, NeedsBase, Opened, RenewsBase};
use hindsight_replayer::{Engine, renew_base};
use hindsight_runtime::{CancellationToken, Tasks};
use hindsight_tailer::{Boards, CaptureSettings, Companion, Tailer};

use crate::exit::{Failure, Result};

/// Returns the tailer of this process. A keeper of bases accompanies each of its captures.
pub(super) fn tailer_of(
    settings: CaptureSettings,
    opened: &Opened,
    boards: Boards,
    copy: CopyBoard,
    needs: BaseNeeds,
) -> Tailer {
    let (index, bases) = (Arc::clone(&opened.index), opened.bases.clone());
    let (of, shared) = (settings.clone(), opened.log.shared.clone());
    let keeper = move || -> Box<dyn Companion> {
        let (index, shared) = (Arc::clone(&index), shared.clone());
        let (copy, needs) = (copy.clone(), needs.clone());
        Box::new(BaseKeeper::new(&of, index, bases.clone(), shared, copy, needs))
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

/// Returns when the bases of the engine's log are renewed.
pub(super) fn needs_of(engine: &Engine, renew_every: Option<Duration>) -> BaseNeeds {
    let Some(history) = engine.history.clone() else {
        return BaseNeeds { renew_every, ..BaseNeeds::default() };
    };
    let (bases, applied) = (engine.bases.clone(), engine.applied.clone());
    let needs = applied.clone();
    let needs_base: NeedsBase =
        Arc::new(move || needs.borrow().stopped.as_ref().is_some_and(|it| it.needs_base));
    let renews: RenewsBase = Arc::new(move |captured, behind, stop| {
        if let Some(stopped) = applied.borrow().stopped.clone() {
            return Ok(Renewal::NotExact(stopped.reason.text));
        }
        let renewed = renew_base(&history, &bases, (captured, behind), stop);
        renewed.map_err(|error| error.to_string())
    });
    BaseNeeds { history: Some(needs_base), renew_every, renews: Some(renews) }
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
