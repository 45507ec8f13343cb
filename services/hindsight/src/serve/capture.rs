//! Capture as a service: alone on its log, or as one of several tailers of which one leads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hindsight_api::service::CopyBoard;
use hindsight_index::{Index, IndexError};
use hindsight_log::{Instance, LogError, SharedLog};
use hindsight_replayer::Applied;
use hindsight_runtime::{Backoff, CancellationToken, Tasks};
use hindsight_segment::WriterEpoch;
use hindsight_tailer::{
    Boards, Capture, CaptureError, CaptureSettings, CatalogWatch, Role, StandBy, StartAt, Warm,
    absorb_new,
};
use tokio::sync::watch;
use tracing::{info, warn};

use super::bases::BaseKeeper;
use super::beat::beat;
use super::{STOP_PATIENCE, error_of};
use crate::open::{OpenLog, Opened};

/// First and longest pause after a turn that failed, before the next turn.
const NEXT_TURN: Duration = Duration::from_secs(1);
const LONGEST_BREAK: Duration = Duration::from_secs(10);
/// How long to try to tell the other tailers that this leader leaves.
const RESIGN_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct CaptureService {
    settings: CaptureSettings,
    log: OpenLog,
    index: Arc<Index>,
    bases: PathBuf,
    instance: Instance,
    boards: Boards,
    copy: CopyBoard,
    /// The state of the history, if this process keeps one.
    history: Option<watch::Receiver<Applied>>,
}

/// How a turn of leading ended.
#[derive(Debug)]
enum Turn {
    /// Shutdown was requested.
    Stopped,
    /// Another tailer took over, or was faster.
    Fenced,
    /// The failure can pass by itself: there will be another turn.
    Failed(anyhow::Error),
}

impl CaptureService {
    pub(super) fn new(
        settings: CaptureSettings,
        opened: &Opened,
        boards: Boards,
        copy: CopyBoard,
        history: Option<watch::Receiver<Applied>>,
    ) -> Self {
        Self {
            settings,
            log: opened.log.clone(),
            index: Arc::clone(&opened.index),
            bases: opened.bases.clone(),
            instance: opened.instance,
            boards,
            copy,
            history,
        }
    }

    /// Begins to capture, or to stand by. For a log that is not shared, a failure to prepare
    /// capture is returned at once.
    pub(super) async fn spawn(
        self,
        tasks: &mut Tasks<anyhow::Error>,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let shutdown = shutdown.clone();
        match self.log.shared.clone() {
            None => {
                let prepared = self.prepare(None).await?;
                tasks.spawn("capture", prepared.run(None, shutdown));
            }
            Some(shared) => tasks.spawn("capture", self.take_turns(shared, shutdown)),
        }
        Ok(())
    }

    /// Stands by and leads, in turns, until shutdown.
    async fn take_turns(
        self,
        shared: Arc<dyn SharedLog>,
        shutdown: CancellationToken,
    ) -> Result<()> {
        let mut stand_by = StandBy {
            settings: self.settings.clone(),
            log: Arc::clone(&shared),
            index: Arc::clone(&self.index),
            boards: self.boards.clone(),
            instance: self.instance,
        };
        let mut backoff = Backoff::new(NEXT_TURN, LONGEST_BREAK);
        while let Some(warm) = stand_by.wait(&shutdown).await? {
            let begun = Instant::now();
            match self.take_turn(&shared, warm, &shutdown).await? {
                Turn::Stopped => return Ok(()),
                Turn::Fenced => {
                    warn!("another tailer has the log: standing by");
                    backoff.reset();
                }
                Turn::Failed(error) => {
                    if begun.elapsed() > LONGEST_BREAK {
                        backoff.reset();
                    }
                    let error = format!("{error:#}");
                    warn!(error, "capture failed for now; standing by, and trying again");
                    self.boards.status.log_failed(Some(error));
                }
            }
            if !backoff.pause(&shutdown).await {
                return Ok(());
            }
            // Only a past that this process found when it started can belong to its own
            // installation.
            stand_by.instance = Instance::UNKNOWN;
        }
        Ok(())
    }

    /// Takes over the log, and leads as long as possible.
    async fn take_turn(
        &self,
        shared: &Arc<dyn SharedLog>,
        warm: Option<Warm>,
        shutdown: &CancellationToken,
    ) -> Result<Turn> {
        match shared.lead().await {
            Ok(epoch) => self.lead(shared, epoch, warm, shutdown).await,
            Err(error) => {
                close(warm).await;
                turn_ended_by(error.into())
            }
        }
    }

    async fn lead(
        &self,
        shared: &Arc<dyn SharedLog>,
        epoch: WriterEpoch,
        warm: Option<Warm>,
        shutdown: &CancellationToken,
    ) -> Result<Turn> {
        self.boards.status.leads(epoch);
        let round = shutdown.child_token();
        let mut tasks: Tasks<anyhow::Error> = Tasks::new(round.clone());
        let status = self.boards.status.clone();
        tasks.spawn("beat", beat(Arc::clone(shared), epoch, status, round.clone()));
        let service = self.clone();
        tasks.spawn("capture", async move {
            match service.prepare(Some(epoch)).await {
                Ok(prepared) => prepared.run(warm, round).await,
                Err(error) => {
                    close(warm).await;
                    Err(error)
                }
            }
        });
        let turn = match tasks.join(STOP_PATIENCE).await.map_err(error_of) {
            Ok(()) => Ok(Turn::Stopped),
            Err(error) => turn_ended_by(error),
        };
        if !matches!(turn, Ok(Turn::Fenced)) {
            // A leader that fails is about to end, or to stand by: another tailer need not wait.
            resign(shared).await;
        }
        self.boards.status.plays(Role::None);
        turn
    }

    /// Brings the index up to date with the log, and finds where capture continues.
    async fn prepare(&self, epoch: Option<WriterEpoch>) -> Result<Prepared> {
        absorb_new(self.log.log.as_ref(), &self.index, &self.boards.positions).await?;
        let keeper = BaseKeeper::new(
            &self.settings,
            Arc::clone(&self.index),
            self.bases.clone(),
            self.log.shared.clone(),
            self.copy.clone(),
            self.history.clone(),
        );
        let (keeper, start) = keeper.first_copy().await?;
        let capture = Capture::prepare(
            self.settings.clone(),
            Arc::clone(&self.log.log),
            Arc::clone(&self.index),
            start.map(StartAt),
            self.boards.clone(),
        )
        .await?;
        let capture = match epoch {
            Some(epoch) => capture.with_epoch(epoch),
            None => capture,
        };
        let watch = self.catalog_watch(&capture);
        Ok(Prepared { capture, keeper, watch })
    }

    /// Returns `None` when the catalog is not to be checked.
    fn catalog_watch(&self, capture: &Capture) -> Option<CatalogWatch> {
        let every = self.settings.catalog_check_every;
        (!every.is_zero()).then(|| CatalogWatch {
            settings: self.settings.clone(),
            index: Arc::clone(&self.index),
            sightings: capture.sightings(),
            status: self.boards.status.clone(),
            every,
        })
    }
}

/// Capture and the tasks that accompany it.
struct Prepared {
    capture: Capture,
    keeper: BaseKeeper,
    watch: Option<CatalogWatch>,
}

impl Prepared {
    async fn run(self, warm: Option<Warm>, shutdown: CancellationToken) -> Result<()> {
        let mut tasks: Tasks<anyhow::Error> = Tasks::new(shutdown.clone());
        let capture = self.capture.run(warm, shutdown.clone());
        tasks.spawn("capture", async move { capture.await.map_err(error_of) });
        if let Some(watch) = self.watch {
            let watched = watch.run(shutdown.clone());
            tasks.spawn("catalog", async move {
                watched.await;
                Ok(())
            });
        }
        tasks.spawn("bases", self.keeper.run(shutdown));
        tasks.join(STOP_PATIENCE).await.map_err(error_of)
    }
}

/// Closes a warm tail that nobody continues.
async fn close(warm: Option<Warm>) {
    if let Some(warm) = warm {
        warm.close().await;
    }
}

async fn resign(shared: &Arc<dyn SharedLog>) {
    match tokio::time::timeout(RESIGN_PATIENCE, shared.resign()).await {
        Ok(Ok(())) => info!("resigned"),
        Ok(Err(error)) => warn!(%error, "could not tell the others that this leader leaves"),
        Err(_) => warn!("could not tell the others in time that this leader leaves"),
    }
}

/// Returns what a failure means for the next turns.
///
/// # Errors
/// Returns the failure when no further turn can cure it.
fn turn_ended_by(error: anyhow::Error) -> Result<Turn> {
    if error.chain().any(is_fenced) {
        return Ok(Turn::Fenced);
    }
    if error.chain().any(is_passing) {
        return Ok(Turn::Failed(error));
    }
    Err(error)
}

/// Returns whether another tailer took over the log.
fn is_fenced(cause: &(dyn std::error::Error + 'static)) -> bool {
    let of_log = |error: &LogError| matches!(error, LogError::Fenced { .. });
    cause.downcast_ref::<LogError>().is_some_and(of_log)
        || matches!(cause.downcast_ref(), Some(CaptureError::Log(error)) if of_log(error))
}

/// Returns whether the failure can pass without anybody's help: log, source or index are out of
/// reach or full.
fn is_passing(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<LogError>().is_some_and(LogError::is_retryable)
        || cause.downcast_ref::<CaptureError>().is_some_and(CaptureError::is_retryable)
        || matches!(cause.downcast_ref(), Some(IndexError::Storage { .. }))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn unavailable() -> LogError {
        let cause = std::io::Error::other("no answer");
        LogError::Unavailable { place: "the topic".into(), action: "read it", cause }
    }

    fn fenced() -> LogError {
        let (epoch, newest) = (WriterEpoch(1), WriterEpoch(2));
        LogError::Fenced { place: "the topic".into(), epoch, newest }
    }

    #[test]
    fn what_can_pass_is_tried_again_in_another_turn() {
        let failures: [anyhow::Error; 3] = [
            unavailable().into(),
            CaptureError::Log(unavailable()).into(),
            CaptureError::Unavailable("the index: no space".into()).into(),
        ];
        for failure in failures {
            let turn = turn_ended_by(failure);
            assert!(matches!(turn, Ok(Turn::Failed(_))), "{turn:?}");
        }
        let within = Err::<(), _>(unavailable()).context("prepare").expect_err("it failed");
        assert!(matches!(turn_ended_by(within), Ok(Turn::Failed(_))));
    }

    #[test]
    fn a_log_that_is_lost_to_another_tailer_is_its() {
        for failure in [anyhow::Error::from(fenced()), CaptureError::Log(fenced()).into()] {
            assert!(matches!(turn_ended_by(failure), Ok(Turn::Fenced)));
        }
    }

    #[test]
    fn what_no_turn_mends_ends_the_process() {
        let failures: [anyhow::Error; 3] = [
            CaptureError::Refused("the log belongs to another replica set".into()).into(),
            LogError::ReadOnly { place: "the topic".into() }.into(),
            anyhow::Error::msg("capture panicked"),
        ];
        for failure in failures {
            let turn = turn_ended_by(failure);
            assert!(turn.is_err(), "{turn:?}");
        }
    }
}
