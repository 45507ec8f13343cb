//! The tailer as a service: alone on its log, or as one of several tailers of which one leads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hindsight_index::Index;
use hindsight_log::{Instance, LogError, SegmentLog, SharedLog};
use hindsight_oplog::OpTime;
use hindsight_runtime::{Backoff, CancellationToken, Tasks};
use hindsight_segment::WriterEpoch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::absorb::absorb_new;
use crate::beat::beat;
use crate::capture::Capture;
use crate::catalog_watch::CatalogWatch;
use crate::error::CaptureError;
use crate::settings::{Boards, CaptureSettings, StartAt};
use crate::standby::{Outcome, StandBy, Warm};
use crate::status::Role;

/// First and longest pause after a turn that failed, before the next turn.
const NEXT_TURN: Duration = Duration::from_secs(1);
const LONGEST_BREAK: Duration = Duration::from_secs(10);
/// How long to try to tell the other tailers that this leader leaves.
const RESIGN_PATIENCE: Duration = Duration::from_secs(5);
/// How long capture and its companions may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What runs beside a capture and tells where to begin: the keeper of bases.
#[async_trait]
pub trait Companion: Send {
    /// Returns the entry from which an empty log must hold the oplog. None when the log is not
    /// empty.
    ///
    /// # Errors
    /// Returns any error that keeps capture from beginning.
    async fn begin(&mut self) -> Result<Option<OpTime>, CaptureError>;

    /// Runs beside the capture, until shutdown.
    ///
    /// # Errors
    /// Returns an error that ends the capture.
    async fn run(self: Box<Self>, shutdown: CancellationToken) -> Result<(), CaptureError>;
}

/// Makes the companion of one turn of leading.
pub type MakeCompanion = Arc<dyn Fn() -> Box<dyn Companion> + Send + Sync>;

/// A tailer.
#[derive(Clone)]
pub struct Tailer {
    /// The source, and how to store its entries.
    pub settings: CaptureSettings,
    /// The log that segments are appended to.
    pub log: Arc<dyn SegmentLog>,
    /// The index that durable segments are absorbed into.
    pub index: Arc<Index>,
    /// The installation of this process.
    pub instance: Instance,
    /// Where positions and status are published.
    pub boards: Boards,
    /// Makes what runs beside a capture.
    pub companion: MakeCompanion,
}

/// How a turn of leading ended.
#[derive(Debug)]
enum Turn {
    /// Shutdown was requested.
    Stopped,
    /// Another tailer took over, or was faster.
    Fenced,
    /// The failure can pass by itself: there will be another turn.
    Failed(CaptureError),
}

impl Tailer {
    /// Stands by and leads, in turns, until shutdown. `shared` is the tailer's log.
    ///
    /// # Errors
    /// Returns the first error that no further turn can cure.
    pub async fn take_turns(
        self,
        shared: Arc<dyn SharedLog>,
        shutdown: CancellationToken,
    ) -> Result<(), CaptureError> {
        let mut stand_by = StandBy {
            settings: self.settings.clone(),
            log: Arc::clone(&shared),
            index: Arc::clone(&self.index),
            boards: self.boards.clone(),
            instance: self.instance,
        };
        let mut backoff = Backoff::new(NEXT_TURN, LONGEST_BREAK);
        while let Outcome::TakeOver(warm) = stand_by.wait(&shutdown).await? {
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
                    warn!(%error, "capture failed for now; standing by, and trying again");
                    self.boards.status.log_failed(Some(error.to_string()));
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

    /// Captures into a log that no other process has open, until shutdown. Begins anew when the
    /// source forgot where an empty log was to begin.
    ///
    /// # Errors
    /// Returns the first failure that no retry can mend.
    pub async fn run_alone(
        self,
        first: Prepared,
        shutdown: CancellationToken,
    ) -> Result<(), CaptureError> {
        let mut prepared = first;
        loop {
            // A failure ends the parts of this attempt, and not the process.
            match prepared.run(None, shutdown.child_token()).await {
                Err(late @ CaptureError::BeganTooLate { .. }) => {
                    warn!(%late, "beginning anew");
                    self.boards.status.source_failed(&late);
                }
                ended => return ended,
            }
            match self.prepare_patiently(&shutdown).await? {
                Some(next) => prepared = next,
                None => return Ok(()),
            }
        }
    }

    /// Prepares another capture, as soon as source and log can be read. None at shutdown.
    async fn prepare_patiently(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Prepared>, CaptureError> {
        let mut backoff = Backoff::new(NEXT_TURN, LONGEST_BREAK);
        while backoff.pause(shutdown).await {
            match self.prepare(None).await {
                Err(error) if error.passes_while_followed() => {
                    warn!(%error, "cannot begin; trying again");
                    self.boards.status.source_failed(&error);
                }
                prepared => return prepared.map(Some),
            }
        }
        Ok(None)
    }

    /// Takes over the log, and leads as long as possible.
    async fn take_turn(
        &self,
        shared: &Arc<dyn SharedLog>,
        warm: Option<Warm>,
        shutdown: &CancellationToken,
    ) -> Result<Turn, CaptureError> {
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
    ) -> Result<Turn, CaptureError> {
        self.boards.status.leads(epoch);
        let round = shutdown.child_token();
        let mut tasks = Tasks::new(round.clone());
        let status = self.boards.status.clone();
        tasks.spawn("beat", beat(Arc::clone(shared), epoch, status, round.clone()));
        let tailer = self.clone();
        tasks.spawn("capture", async move {
            match tailer.prepare(Some(epoch)).await {
                Ok(prepared) => prepared.run(warm, round).await,
                Err(error) => {
                    close(warm).await;
                    Err(error)
                }
            }
        });
        let turn = match tasks.join(STOP_PATIENCE).await {
            Ok(()) => Ok(Turn::Stopped),
            Err(failure) => turn_ended_by(failure.into()),
        };
        if !matches!(turn, Ok(Turn::Fenced)) {
            // A leader that fails is about to end, or to stand by: another tailer need not wait.
            resign(shared).await;
        }
        self.boards.status.plays(Role::None);
        turn
    }

    /// Brings the index up to date with the log, and finds where capture continues. `epoch` is the
    /// one with which a shared log was taken over.
    ///
    /// # Errors
    /// Returns what keeps capture from beginning.
    pub async fn prepare(&self, epoch: Option<WriterEpoch>) -> Result<Prepared, CaptureError> {
        absorb_new(self.log.as_ref(), &self.index, &self.boards.positions).await?;
        let mut companion = (self.companion)();
        let start = companion.begin().await?;
        let (log, index) = (Arc::clone(&self.log), Arc::clone(&self.index));
        let (settings, boards) = (self.settings.clone(), self.boards.clone());
        let capture = Capture::prepare(settings, log, index, start.map(StartAt), boards).await?;
        let capture = match epoch {
            Some(epoch) => capture.with_epoch(epoch),
            None => capture,
        };
        let watch = self.catalog_watch(&capture);
        Ok(Prepared { capture, companion, watch })
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

/// A capture that can begin, and what accompanies it.
pub struct Prepared {
    capture: Capture,
    companion: Box<dyn Companion>,
    watch: Option<CatalogWatch>,
}

impl Prepared {
    /// Captures until shutdown.
    ///
    /// # Errors
    /// Returns the first failure that no retry can mend.
    pub async fn run(
        self,
        warm: Option<Warm>,
        shutdown: CancellationToken,
    ) -> Result<(), CaptureError> {
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("capture", self.capture.run(warm, shutdown.clone()));
        if let Some(watch) = self.watch {
            let watched = watch.run(shutdown.clone());
            tasks.spawn("catalog", async move {
                watched.await;
                Ok(())
            });
        }
        tasks.spawn("companion", self.companion.run(shutdown));
        Ok(tasks.join(STOP_PATIENCE).await?)
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
fn turn_ended_by(error: CaptureError) -> Result<Turn, CaptureError> {
    match error {
        CaptureError::Log(LogError::Fenced { .. }) => Ok(Turn::Fenced),
        late @ CaptureError::BeganTooLate { .. } => Ok(Turn::Failed(late)),
        passing if passing.is_retryable() => Ok(Turn::Failed(passing)),
        lasting => Err(lasting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> LogError {
        let cause = std::io::Error::other("no answer");
        LogError::Unavailable { place: "the topic".into(), action: "read it", cause }
    }

    #[test]
    fn what_can_pass_is_tried_again_in_another_turn() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full =
            hindsight_base::Error::DiskFull { action: "write", path: "b".into(), source: full };
        let full = CaptureError::Bases(full);
        for failure in [CaptureError::Log(unavailable()), full] {
            let turn = turn_ended_by(failure);
            assert!(matches!(turn, Ok(Turn::Failed(_))), "{turn:?}");
        }
    }

    #[test]
    fn a_log_that_is_lost_to_another_tailer_is_its() {
        let (epoch, newest) = (WriterEpoch(1), WriterEpoch(2));
        let fenced = LogError::Fenced { place: "the topic".into(), epoch, newest };
        assert!(matches!(turn_ended_by(fenced.into()), Ok(Turn::Fenced)));
    }

    #[test]
    fn what_no_turn_mends_ends_the_process() {
        for failure in [
            CaptureError::Refused("the log belongs to another replica set".into()),
            LogError::ReadOnly { place: "the topic".into() }.into(),
            CaptureError::Program("capture panicked".into()),
        ] {
            let turn = turn_ended_by(failure);
            assert!(turn.is_err(), "{turn:?}");
        }
    }
}
