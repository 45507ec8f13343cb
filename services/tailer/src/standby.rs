//! Stands by while another tailer captures. A standby absorbs what the leader appends, and also
//! tails the source, so that capture continues at once when the standby takes over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hindsight_index::Index;
use hindsight_log::{Instance, SharedLog};
use hindsight_oplog::OpTime;
use hindsight_runtime::{CancellationToken, queue};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::absorb::absorb_new;
use crate::capture::resume_at;
use crate::election::{Verdict, Vigil};
use crate::error::CaptureError;
use crate::overdue::told_while_overdue;
use crate::resume::ResumeAt;
use crate::settings::{BATCH_QUEUE_BYTES, Boards, CaptureSettings};
use crate::status::Role;
use crate::tail::{Received, Tail};

/// The time between two looks at the log.
const LOOK: Duration = Duration::from_millis(250);
/// How long a tail that lags behind the log may take to catch up, before capture begins with
/// another tail.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(1);

/// A tailer that does not capture, and may have to take over.
pub struct StandBy {
    /// How to capture after a takeover.
    pub settings: CaptureSettings,
    /// The log that the leader appends to.
    pub log: Arc<dyn SharedLog>,
    /// The index that the leader's segments are absorbed into.
    pub index: Arc<Index>,
    /// Where positions and status are published.
    pub boards: Boards,
    /// The installation of this process.
    pub instance: Instance,
}

/// How standing by ended.
pub enum Outcome {
    /// This tailer must take the log over. With the running tail, if there is one.
    TakeOver(Option<Warm>),
    /// Shutdown was requested.
    Stopped,
}

impl StandBy {
    /// Waits until this tailer must take the log over, or shutdown is requested.
    ///
    /// # Errors
    /// Returns an error that no waiting can mend, such as a damaged log, or a source that is not
    /// the log's.
    pub async fn wait(&self, shutdown: &CancellationToken) -> Result<Outcome, CaptureError> {
        let mut vigil = Vigil::new(self.instance);
        let mut warm = None;
        let outcome = loop {
            match self.look(&mut vigil, &mut warm).await {
                Ok(verdict) => {
                    self.boards.status.log_failed(None);
                    if let Verdict::TakeOver(reason) = verdict {
                        info!(reason, "taking the log over");
                        return Ok(Outcome::TakeOver(warm));
                    }
                }
                Err(error) if error.is_retryable() => {
                    warn!(%error, "the log cannot be followed; standing by");
                    self.boards.status.log_failed(Some(error.to_string()));
                    vigil.is_blind();
                }
                Err(error) => break Err(error),
            }
            match hold_for(LOOK, &mut warm, shutdown).await {
                Held::Passed => {}
                Held::Stopped => break Ok(Outcome::Stopped),
                // A tail ends by itself only when no retry can mend its failure.
                Held::TailEnded => match warm.take() {
                    Some(warm) => warm.end().await?,
                    None => unreachable!("there was a tail that ended"),
                },
            }
        };
        if let Some(warm) = warm {
            warm.close().await;
        }
        outcome
    }

    async fn look(
        &self,
        vigil: &mut Vigil,
        warm: &mut Option<Warm>,
    ) -> Result<Verdict, CaptureError> {
        let log: &dyn hindsight_log::SegmentLog = self.log.as_ref();
        let observe = self.log.observe();
        let status = &self.boards.status;
        let leader = told_while_overdue(status, log, "following the log", observe).await?;
        self.boards
            .status
            .plays(Role::StandingBy { leader: leader.name.clone(), epoch: leader.epoch });
        absorb_new(log, &self.index, &self.boards.positions).await?;
        let end = self.boards.positions.now().durable;
        match (warm.as_mut(), end) {
            (Some(warm), Some(end)) => warm.forget_before(end),
            (None, Some(_)) => *warm = self.warm_up().await?,
            (_, None) => {}
        }
        let status = self.boards.status.now();
        // While the log is empty, there is no entry to tail from.
        let can_capture = end.is_none() || status.member.is_some();
        Ok(vigil.look(&leader, can_capture, Instant::now()))
    }

    async fn warm_up(&self) -> Result<Option<Warm>, CaptureError> {
        let Some(end) = self.log.end().await? else { return Ok(None) };
        let resume = resume_at(self.log.as_ref(), &end).await?;
        Ok(Some(Warm::start(&self.settings, &self.boards, resume)))
    }
}

/// Why [`hold_for`] returned.
enum Held {
    Passed,
    Stopped,
    TailEnded,
}

/// Lets time pass, and meanwhile holds what the tail reads.
async fn hold_for(time: Duration, warm: &mut Option<Warm>, shutdown: &CancellationToken) -> Held {
    let until = tokio::time::sleep(time);
    tokio::pin!(until);
    loop {
        let hold = async {
            match warm.as_mut() {
                Some(warm) => warm.hold_next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Held::Stopped,
            () = &mut until => return Held::Passed,
            goes_on = hold => if !goes_on {
                return Held::TailEnded;
            },
        }
    }
}

/// A running tail, with the entries that the log did not hold at the last look.
pub struct Warm {
    /// The entry after which the tail began.
    from: ResumeAt,
    tail: JoinHandle<Result<(), CaptureError>>,
    stop: CancellationToken,
    batches: queue::Receiver<Received>,
    /// The batches held. They count against the queue, so a tail that is far ahead of the log
    /// waits.
    held: VecDeque<queue::Held<Received>>,
}

impl Warm {
    pub(crate) fn start(settings: &CaptureSettings, boards: &Boards, resume: ResumeAt) -> Self {
        let (sender, batches) = queue::bounded(BATCH_QUEUE_BYTES);
        let stop = CancellationToken::new();
        let tail = Tail::new(settings, boards, resume).run(sender, stop.clone());
        Self { from: resume, tail: tokio::spawn(tail), stop, batches, held: VecDeque::new() }
    }

    /// Waits for the next batch and holds it. Returns false when the tail has ended. The future may
    /// be dropped while it waits.
    async fn hold_next(&mut self) -> bool {
        let received = self.batches.recv().await;
        let goes_on = received.is_some();
        self.held.extend(received);
        goes_on
    }

    /// Drops what the log holds. The batch with the log's last entry stays, as the proof that the
    /// tail passed there.
    fn forget_before(&mut self, end: OpTime) {
        while self.held.front().is_some_and(|first| first.item.last() < end) {
            self.held.pop_front();
        }
    }

    /// Makes the tail continue after the log's last entry. None when that entry is not in the tail,
    /// which then cannot be used.
    pub(crate) async fn go_on_after(mut self, end: &ResumeAt) -> Option<Self> {
        if end.optime == self.from.optime {
            // The log has not grown since the tail began, and the tail has dropped nothing.
            return Some(self);
        }
        let deadline = Instant::now() + CATCH_UP_PATIENCE;
        loop {
            self.forget_before(end.optime);
            if let Some(first) = self.held.front_mut() {
                if first.item.go_on_after(end) {
                    return Some(self);
                }
                warn!(
                    "the log's last entry is not among those tailed while standing by: tailing anew"
                );
                break;
            }
            match tokio::time::timeout_at(deadline, self.hold_next()).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    info!("the tail of the standby lags behind the log: tailing anew");
                    break;
                }
            }
        }
        self.close().await;
        None
    }

    /// Returns what the cutting task takes: first what is held, then what comes.
    pub(crate) fn into_parts(
        self,
    ) -> (VecDeque<queue::Held<Received>>, queue::Receiver<Received>, WarmTail) {
        (self.held, self.batches, WarmTail { tail: self.tail, stop: self.stop })
    }

    /// Ends the tail, which is no longer needed.
    pub async fn close(self) {
        if let Err(error) = self.end().await {
            warn!(%error, "a tail that is not needed any more failed");
        }
    }

    /// Ends the tail, and returns the error if the tail had failed.
    async fn end(self) -> Result<(), CaptureError> {
        let (held, batches, tail) = self.into_parts();
        drop((held, batches));
        tail.close().await
    }
}

/// The reading task of a [`Warm`].
pub(crate) struct WarmTail {
    tail: JoinHandle<Result<(), CaptureError>>,
    stop: CancellationToken,
}

impl WarmTail {
    /// Continues until shutdown, like a tail that begins with capture.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), CaptureError> {
        tokio::select! {
            biased;
            ended = &mut self.tail => joined(ended),
            () = shutdown.cancelled() => self.close().await,
        }
    }

    async fn close(self) -> Result<(), CaptureError> {
        self.stop.cancel();
        joined(self.tail.await)
    }
}

fn joined(
    ended: Result<Result<(), CaptureError>, tokio::task::JoinError>,
) -> Result<(), CaptureError> {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
