//! Standing by while another tailer captures: what it appends is absorbed, and the source is tailed
//! all the same, so that capture goes on at once when this one takes over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hindsight_index::Index;
use hindsight_log::{Instance, SharedLog};
use hindsight_oplog::OpTime;
use hindsight_runtime::{CancellationToken, queue};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::absorb::absorb_new;
use crate::capture::{BATCH_QUEUE_BYTES, Boards, CaptureSettings, resume_at};
use crate::election::{Verdict, Vigil};
use crate::error::CaptureError;
use crate::overdue::told_while_overdue;
use crate::resume::ResumeAt;
use crate::status::Role;
use crate::tail::{Received, Tail};

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(250);
/// How long a tail that lags behind the log may take to get there, before capture begins with
/// another one.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(1);

/// A tailer that does not capture, and may have to.
pub struct StandBy {
    pub settings: CaptureSettings,
    pub log: Arc<dyn SharedLog>,
    pub index: Arc<Index>,
    pub boards: Boards,
    pub instance: Instance,
}

impl StandBy {
    /// Returns when the log is to be taken over, with the tail that is under way; with nothing at
    /// shutdown.
    ///
    /// # Errors
    /// A log that is damaged, a source that is not the log's: what no waiting mends.
    pub async fn wait(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Option<Warm>>, CaptureError> {
        let mut vigil = Vigil::new(self.instance);
        let mut warm = None;
        let outcome = loop {
            match self.look(&mut vigil, &mut warm).await {
                Ok(verdict) => {
                    self.boards.status.log_failed(None);
                    if let Verdict::TakeOver(reason) = verdict {
                        info!(reason, "taking the log over");
                        return Ok(Some(warm));
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
                Held::Stopped => break Ok(None),
                // By itself it ends only when no retry can mend it.
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
        // Of an empty log there is nothing to tail from.
        let can_capture = end.is_none() || status.member.is_some();
        Ok(vigil.look(&leader, can_capture, Instant::now()))
    }

    async fn warm_up(&self) -> Result<Option<Warm>, CaptureError> {
        let Some(end) = self.log.end().await? else { return Ok(None) };
        let resume = resume_at(self.log.as_ref(), &end).await?;
        Ok(Some(Warm::start(&self.settings, &self.boards, resume)))
    }
}

/// What ended a while of holding.
enum Held {
    Passed,
    Stopped,
    TailEnded,
}

/// Lets time pass while what is tailed is held.
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
            () = &mut until => return Held::Passed,
            () = shutdown.cancelled() => return Held::Stopped,
            goes_on = hold => if !goes_on {
                return Held::TailEnded;
            },
        }
    }
}

/// A tail under way, and what of it the log did not hold when it was last looked at.
pub struct Warm {
    /// The entry it began after.
    from: ResumeAt,
    tail: JoinHandle<Result<(), CaptureError>>,
    stop: CancellationToken,
    batches: queue::Receiver<Received>,
    /// Counts against the queue: a tail that is far ahead of the log waits.
    held: VecDeque<queue::Held<Received>>,
}

impl Warm {
    pub(crate) fn start(settings: &CaptureSettings, boards: &Boards, resume: ResumeAt) -> Self {
        let (sender, batches) = queue::bounded(BATCH_QUEUE_BYTES);
        let stop = CancellationToken::new();
        let tail = Tail::new(settings, boards, resume).run(sender, stop.clone());
        Self { from: resume, tail: tokio::spawn(tail), stop, batches, held: VecDeque::new() }
    }

    /// Holds what comes next; false when the tail has ended. May be dropped while it waits.
    async fn hold_next(&mut self) -> bool {
        let received = self.batches.recv().await;
        let goes_on = received.is_some();
        self.held.extend(received);
        goes_on
    }

    /// Forgets what the log holds. The batch with its last entry stays, as the proof that the tail
    /// passed there.
    fn forget_before(&mut self, end: OpTime) {
        while self.held.front().is_some_and(|first| first.item.last() < end) {
            self.held.pop_front();
        }
    }

    /// Makes the tail go on after the log's last entry. None when that entry is not in it: it
    /// cannot be used then.
    pub(crate) async fn go_on_after(mut self, end: &ResumeAt) -> Option<Self> {
        if end.optime == self.from.optime {
            // Nothing was appended since it began, and nothing forgotten.
            return Some(self);
        }
        let deadline = tokio::time::Instant::now() + CATCH_UP_PATIENCE;
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

    /// What the cutting task gets: what is held, then what comes.
    pub(crate) fn into_parts(
        self,
    ) -> (VecDeque<queue::Held<Received>>, queue::Receiver<Received>, WarmTail) {
        (self.held, self.batches, WarmTail { tail: self.tail, stop: self.stop })
    }

    /// Ends the tail, which is not needed any more.
    pub async fn close(self) {
        if let Err(error) = self.end().await {
            warn!(%error, "a tail that is not needed any more failed");
        }
    }

    /// Ends the tail; an error when it had failed.
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
    /// Runs on until shutdown, as a tail that begins with capture does.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), CaptureError> {
        tokio::select! {
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
