//! What every call goes through, over whichever transport it came: role, room, audit file,
//! deadline, metrics.
//!
//! ```text
//! begin: role allowed? room left? audit line written?  ─▶ answer ─▶ end: metrics, audit file
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use hindsight_access::{AuditEntry, AuditLog, Call, Caller, Phase};
use hindsight_refusal::Reason;
use hindsight_runtime::CancellationToken;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Request, Response, Status};

use super::{Answers, ApiCall, Counted};
use crate::metrics;

/// Decides which calls are answered.
pub struct Admission {
    audit: Arc<AuditLog>,
    room: Arc<Semaphore>,
    /// The only caller is the command that holds the files.
    is_offline: bool,
}

impl Admission {
    /// The admission of a process that serves; `room` is its limit on concurrent calls.
    pub fn of_server(audit: AuditLog, room: usize) -> Self {
        let room = Arc::new(Semaphore::new(room));
        Self { audit: Arc::new(audit), room, is_offline: false }
    }

    /// The admission of a command that works on the files.
    pub fn of_command(audit: AuditLog) -> Self {
        let room = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { audit: Arc::new(audit), room, is_offline: true }
    }

    /// Admits a call, and records the beginning of a call that is audited.
    ///
    /// # Errors
    /// Returns the reason why the call is not answered.
    pub(super) fn begin<C: ApiCall>(
        &self,
        request: &Request<C>,
    ) -> Result<Ongoing<C::Answer>, Status> {
        let caller = match self.is_offline {
            true => Caller::local(None),
            false => Caller::of(request.extensions())?.clone(),
        };
        let admitted = self.admit(request, &caller);
        if let Err(status) = &admitted {
            count(C::CALL, status.code());
        }
        let (permit, about) = admitted?;
        metrics::call_began();
        Ok(Ongoing {
            call: C::CALL,
            counted: C::DOCUMENTS,
            about,
            audit: Arc::clone(&self.audit),
            started: Instant::now(),
            deadline: timeout(request).map(|timeout| Instant::now() + timeout),
            documents: 0,
            ended: None,
            place: Place(Arc::new(Taken {
                caller,
                stop: CancellationToken::new(),
                _permit: permit,
            })),
        })
    }

    fn admit<C: ApiCall>(
        &self,
        request: &Request<C>,
        caller: &Caller,
    ) -> Result<(OwnedSemaphorePermit, Value), Status> {
        let call = C::CALL;
        let about = if call.is_audited() { request.get_ref().about() } else { Value::Null };
        if let Err(refused) = caller.may(call) {
            let phase = Phase::Ended { code: refused.code(), documents: None };
            self.audit.require(&AuditEntry { caller, call, phase, about }, false)?;
            return Err(refused);
        }
        let permit = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            Reason::TooManyCalls
                .status("the limit on concurrent calls is reached: try again in a moment")
        })?;
        if call.is_audited() {
            let phase = Phase::Begins;
            let entry = AuditEntry { caller, call, phase, about: about.clone() };
            self.audit.require(&entry, call.is_recorded_durably())?;
        }
        Ok((permit, about))
    }
}

/// A call that is being answered. However the call ends, its end is counted and recorded.
pub(super) struct Ongoing<A> {
    call: Call,
    counted: Counted<A>,
    about: Value,
    audit: Arc<AuditLog>,
    started: Instant,
    deadline: Option<Instant>,
    documents: u64,
    ended: Option<Code>,
    place: Place,
}

/// The room that a call takes, and who takes it. Work for the call on another thread holds the room
/// too, so that work whose caller is gone still counts until it ends.
#[derive(Clone)]
pub struct Place(Arc<Taken>);

struct Taken {
    caller: Caller,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Returns whether the caller still waits for the answer. Long work checks this now and then,
    /// and ends when the caller is gone.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.stop.is_cancelled()
    }

    /// Returns the token that is cancelled when the caller is gone.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Returns who makes the call.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }
}

impl<A> Ongoing<A> {
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    fn count(&mut self, answer: &A) {
        self.documents += self.counted.map_or(0, |count| count(answer));
    }

    /// Runs a call that has one answer.
    pub(super) async fn one(
        mut self,
        answer: impl Future<Output = Result<A, Status>>,
    ) -> Result<Response<A>, Status> {
        let answer = self.in_time(answer).await;
        self.ended = Some(answer.as_ref().map_or_else(Status::code, |_| Code::Ok));
        let answer = answer?;
        self.count(&answer);
        Ok(Response::new(answer))
    }

    /// Runs a call whose answers come one after the other. The call lasts until the last answer, or
    /// until the caller goes away.
    pub(super) async fn many(
        mut self,
        answers: impl Future<Output = Result<Answers<A>, Status>>,
    ) -> Result<Response<Answers<A>>, Status>
    where
        A: 'static,
    {
        match self.in_time(answers).await {
            Ok(answers) => {
                let sleep = self.deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
                Ok(Response::new(Box::pin(Stretched { ongoing: self, answers, sleep })))
            }
            Err(status) => {
                self.ended = Some(status.code());
                Err(status)
            }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        match self.deadline {
            Some(deadline) => {
                tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(too_late()))
            }
            None => work.await,
        }
    }
}

fn too_late() -> Status {
    Reason::TimedOut.status("the caller's deadline has passed")
}

impl<A> Drop for Ongoing<A> {
    fn drop(&mut self) {
        self.place.0.stop.cancel();
        // The call was dropped before its end: the caller went away.
        let code = self.ended.unwrap_or(Code::Cancelled);
        metrics::call_ended(self.call.name, self.started.elapsed().as_secs_f64());
        count(self.call, code);
        if self.call.is_audited() {
            let documents = self.call.reads_documents.then_some(self.documents);
            let phase = Phase::Ended { code, documents };
            let about = std::mem::take(&mut self.about);
            let entry = AuditEntry { caller: self.place.caller(), call: self.call, phase, about };
            // The beginning of the call is on record. The audit file itself logs and counts a
            // failure to write.
            let _ = self.audit.record(&entry, false);
        }
    }
}

fn count(call: Call, code: Code) {
    metrics::call_counted(call.name, &format!("{code:?}"));
}

/// The answers of an ongoing call.
struct Stretched<A> {
    ongoing: Ongoing<A>,
    answers: Answers<A>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<A> Stream for Stretched<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ongoing.ended.is_some() {
            return Poll::Ready(None);
        }
        if let Some(sleep) = &mut self.sleep
            && sleep.as_mut().poll(context).is_ready()
        {
            self.ongoing.ended = Some(Code::DeadlineExceeded);
            return Poll::Ready(Some(Err(too_late())));
        }
        let next = std::task::ready!(self.answers.as_mut().poll_next(context));
        match &next {
            Some(Ok(answer)) => self.ongoing.count(answer),
            Some(Err(status)) => self.ongoing.ended = Some(status.code()),
            None => self.ongoing.ended = Some(Code::Ok),
        }
        Poll::Ready(next)
    }
}

/// Returns the time-out in gRPC's `grpc-timeout` header: at most 8 digits and a unit.
fn timeout<T>(request: &Request<T>) -> Option<Duration> {
    let text = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
