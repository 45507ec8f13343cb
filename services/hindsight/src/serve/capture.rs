//! Capture as a service: alone on its log, or as one of several of which one leads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hindsight_index::Index;
use hindsight_log::{Instance, LogError, SharedLog};
use hindsight_runtime::{CancellationToken, Tasks};
use hindsight_segment::WriterEpoch;
use hindsight_tailer::{
    Boards, Capture, CaptureError, CaptureSettings, Role, StandBy, StartAt, StatusBoard, Warm,
    absorb_new,
};
use tracing::{info, warn};

use super::bases::BaseKeeper;
use super::{STOP_PATIENCE, error_of};
use crate::api::CopyBoard;
use crate::open::{OpenLog, Opened};

/// A leader says at least so often that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// A leader that cannot read the source for so long falls silent, so that another one can try.
const SOURCE_PATIENCE: Duration = Duration::from_secs(10);
/// After a failed attempt to take the log over.
const NEXT_ATTEMPT: Duration = Duration::from_secs(1);
/// How long to try to tell the others that we leave.
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
}

/// How leading ended.
enum Led {
    /// Shutdown was asked for.
    Stopped,
    /// Another one took over.
    Fenced,
}

impl CaptureService {
    pub(super) fn new(
        settings: CaptureSettings,
        opened: &Opened,
        boards: Boards,
        copy: CopyBoard,
    ) -> Self {
        Self {
            settings,
            log: opened.log.clone(),
            index: Arc::clone(&opened.index),
            bases: opened.bases.clone(),
            instance: opened.instance,
            boards,
            copy,
        }
    }

    /// Begins to capture, or to stand by. What a log of one's own lacks to begin is an error at once.
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
        while let Some(warm) = stand_by.wait(&shutdown).await? {
            match shared.lead().await {
                Ok(epoch) => match self.lead(&shared, epoch, warm, &shutdown).await? {
                    Led::Stopped => return Ok(()),
                    Led::Fenced => warn!("another tailer took the log over: standing by"),
                },
                Err(error) => {
                    if let Some(warm) = warm {
                        warm.close().await;
                    }
                    match error {
                        LogError::Fenced { .. } => info!("another tailer was sooner: standing by"),
                        error if error.is_retryable() => {
                            warn!(%error, "the log cannot be taken over; trying again");
                            self.boards.status.log_failed(Some(error.to_string()));
                        }
                        error => return Err(error.into()),
                    }
                    tokio::time::sleep(NEXT_ATTEMPT).await;
                }
            }
            // Only what this process found when it started can be its installation's own past.
            stand_by.instance = Instance::UNKNOWN;
        }
        Ok(())
    }

    async fn lead(
        &self,
        shared: &Arc<dyn SharedLog>,
        epoch: WriterEpoch,
        warm: Option<Warm>,
        shutdown: &CancellationToken,
    ) -> Result<Led> {
        self.boards.status.plays(Role::Leading { epoch });
        let round = shutdown.child_token();
        let mut tasks: Tasks<anyhow::Error> = Tasks::new(round.clone());
        let status = self.boards.status.clone();
        tasks.spawn("beat", beat(Arc::clone(shared), status, round.clone()));
        let service = self.clone();
        tasks.spawn("capture", async move {
            service.prepare(Some(epoch)).await?.run(warm, round).await
        });
        let ended = tasks.join(STOP_PATIENCE).await.map_err(error_of);
        match ended {
            Err(error) if is_fenced(&error) => return Ok(Led::Fenced),
            // A leader that fails is about to end: another one need not wait.
            _ => resign(shared).await,
        }
        ended.map(|()| Led::Stopped)
    }

    /// Brings the index level with the log, and finds where capture goes on.
    async fn prepare(&self, epoch: Option<WriterEpoch>) -> Result<Prepared> {
        absorb_new(self.log.log.as_ref(), &self.index, &self.boards.positions).await?;
        let keeper = BaseKeeper::new(
            &self.settings,
            Arc::clone(&self.index),
            self.bases.clone(),
            self.log.shared.clone(),
            self.copy.clone(),
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
        Ok(Prepared { capture, keeper })
    }
}

/// Capture and what goes with it.
struct Prepared {
    capture: Capture,
    keeper: BaseKeeper,
}

impl Prepared {
    async fn run(self, warm: Option<Warm>, shutdown: CancellationToken) -> Result<()> {
        let mut tasks: Tasks<anyhow::Error> = Tasks::new(shutdown.clone());
        let capture = self.capture.run(warm, shutdown.clone());
        tasks.spawn("capture", async move { capture.await.map_err(error_of) });
        tasks.spawn("bases", self.keeper.run(shutdown));
        tasks.join(STOP_PATIENCE).await.map_err(error_of)
    }
}

/// Says that the leader lives, as long as it is of use.
async fn beat(
    shared: Arc<dyn SharedLog>,
    status: StatusBoard,
    shutdown: CancellationToken,
) -> Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if status.now().source_failing_for() > SOURCE_PATIENCE {
            continue;
        }
        match shared.beat().await {
            Ok(()) => {}
            // An append fails too before long, and says so.
            Err(error) if error.is_retryable() => {
                warn!(%error, "the others do not hear this leader")
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn resign(shared: &Arc<dyn SharedLog>) {
    match tokio::time::timeout(RESIGN_PATIENCE, shared.resign()).await {
        Ok(Ok(())) => info!("resigned"),
        Ok(Err(error)) => warn!(%error, "could not tell the others that this leader leaves"),
        Err(_) => warn!("could not tell the others in time that this leader leaves"),
    }
}

/// Whether another tailer took the log over.
fn is_fenced(error: &anyhow::Error) -> bool {
    let of_log = |error: &LogError| matches!(error, LogError::Fenced { .. });
    error.chain().any(|cause| {
        cause.downcast_ref::<LogError>().is_some_and(of_log)
            || matches!(cause.downcast_ref(), Some(CaptureError::Log(error)) if of_log(error))
    })
}
