//! Restores as operations: begun by one call, watched, cancelled and looked up by others.
//!
//! ```text
//! CreateRestore ─▶ prepare (nothing written) ─▶ job ─▶ ended
//!                        │                      │ progress      │
//!                        ▼                      ▼               ▼
//!                   the call's error      WatchRestore    DATA/restores/NAME
//! ```
//!
//! A job goes on when its caller goes away, and ends with the process. A request is told from
//! others by its `request_id`: who repeats one, at once or after a restart, gets the same job.

mod fingerprint;
mod job;
mod prepare;
mod record;
mod register;
mod run;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bson::Uuid;
use futures_util::{StreamExt, stream};
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1 as api;
use hindsight_runtime::CancellationToken;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::{Answers, Reason, Service, invalid};
use fingerprint::Fingerprint;
use job::{Job, now_ms};
use register::{Register, Turn};

/// The restores of a data directory.
pub struct Restores {
    directory: PathBuf,
    register: Mutex<Register>,
    running: TaskTracker,
    stopping: CancellationToken,
}

impl Restores {
    /// Reads what earlier processes left. A restore that one of them did not end is interrupted.
    ///
    /// # Errors
    /// A record that cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self> {
        let mut register = Register::default();
        for record in record::load(directory)? {
            let job = Job::of_record(record);
            if let Some(interrupted) = job.interrupt() {
                record::store(directory, &interrupted)?;
            }
            register.add(&Arc::new(job));
        }
        Ok(Self {
            directory: directory.to_owned(),
            register: Mutex::new(register),
            running: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Cancels what runs, and returns once it has ended.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.running.close();
        self.running.wait().await;
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Job>, Status> {
        self.register().find(name).map(Arc::clone).ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            Reason::NoSuchOperation.status(format!("there is no restore {name:?}"))
        })
    }

    /// Newest first.
    pub(super) fn all(&self) -> Vec<Arc<Job>> {
        self.register().all().map(Arc::clone).collect()
    }

    /// The operation now and whenever it changes, until it is done.
    pub(super) fn watch(&self, name: &str) -> Result<Answers<Operation>, Status> {
        let job = self.find(name)?;
        let mut states = job.subscribe();
        states.mark_changed();
        Ok(stream::unfold(Some((job, states)), next_state).boxed())
    }

    /// Forgets a restore that has ended.
    pub(super) fn delete(&self, name: &str) -> Result<(), Status> {
        let job = self.find(name)?;
        if !job.is_done() {
            return Err(invalid("name", format!("{name} has not ended: cancel it first")));
        }
        self.forget(&job).map_err(|error| Reason::Unavailable.status(format!("{error:#}")))
    }

    fn forget(&self, job: &Job) -> Result<()> {
        record::remove(&self.directory, &job.name)?;
        self.register().remove(&job.name);
        Ok(())
    }

    fn forget_the_oldest(&self) {
        let too_old = self.register().too_old();
        for job in too_old {
            if let Err(error) = self.forget(&job) {
                // It is tried again when the next one begins.
                tracing::warn!(restore = %job.name, error = %format!("{error:#}"), "it cannot be forgotten");
            }
        }
    }

    /// The place of a restore that is to be prepared, or the job of an earlier call with the same
    /// request: while that call prepares it, this one waits.
    async fn reserve(
        &self,
        request_id: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Reserved<'_>, Status> {
        let mut request_id = request_id.to_owned();
        if request_id.is_empty() {
            // Nobody else has it: nobody repeats this request.
            request_id = Uuid::new().to_string();
        }
        loop {
            if self.stopping.is_cancelled() {
                return Err(Reason::Unavailable.status("the process is stopping"));
            }
            let turn = self.register().turn(&request_id, fingerprint)?;
            match turn {
                Turn::Prepare => return Ok(Reserved::Mine(Place { restores: self, request_id })),
                Turn::Begun(job) => return Ok(Reserved::Begun(job)),
                Turn::Wait(over) => over.cancelled().await,
            }
        }
    }
}

enum Reserved<'a> {
    Mine(Place<'a>),
    Begun(Arc<Job>),
}

/// The place of a restore that is being prepared. It is free again when this is dropped, with the
/// call of a caller who went away, say.
struct Place<'a> {
    restores: &'a Restores,
    request_id: String,
}

impl Place<'_> {
    /// Puts the new job on record and in this place.
    fn take(self, job: &Arc<Job>) -> Result<()> {
        record::store(&self.restores.directory, &job.record())?;
        self.restores.register().enter(&self.request_id, job);
        self.restores.forget_the_oldest();
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.restores.register().release(&self.request_id);
    }
}

/// The operation once it has changed, and what to wait for next: nothing once it is done.
async fn next_state(
    watched: Option<Watched>,
) -> Option<(Result<Operation, Status>, Option<Watched>)> {
    let (job, mut states) = watched?;
    states.changed().await.ok()?;
    let (operation, is_done) = {
        let state = states.borrow_and_update();
        (state.operation(&job.name), state.is_done())
    };
    Some((Ok(operation), (!is_done).then_some((job, states))))
}

type Watched = (Arc<Job>, watch::Receiver<job::State>);

/// What a restore would write. Nothing is.
pub(super) async fn plan(
    service: &Service,
    restore: Option<api::RestoreSpec>,
) -> Result<api::RestorePlan, Status> {
    let restore = restore.ok_or_else(|| invalid("restore", "it is missing"))?;
    Ok(prepare::prepare(service, &restore).await?.1)
}

pub(super) async fn create(
    service: &Service,
    request: api::CreateRestoreRequest,
    requested_by: &str,
) -> Result<Operation, Status> {
    let restore = request.restore.ok_or_else(|| invalid("restore", "it is missing"))?;
    if !request.request_id.is_empty() && Uuid::parse_str(&request.request_id).is_err() {
        return Err(invalid("request_id", "it is not a UUID"));
    }
    let metadata = |plan| api::RestoreMetadata {
        plan: Some(plan),
        phase: api::RestorePhase::Checks.into(),
        created_ms: now_ms(),
        requested_by: requested_by.to_owned(),
        request_id: request.request_id.clone(),
        ..Default::default()
    };
    if request.validate_only {
        // Whatever an earlier call with this id began: nothing of this one is begun.
        return Ok(job::validated(metadata(plan(service, Some(restore)).await?)));
    }
    let (restores, fingerprint) = (&service.restores, Fingerprint::of(&restore));
    let place = match restores.reserve(&request.request_id, &fingerprint).await? {
        Reserved::Mine(place) => place,
        Reserved::Begun(job) => return Ok(job.operation()),
    };
    let (prepared, plan) = prepare::prepare(service, &restore).await?;
    let job = Arc::new(Job::new(metadata(plan), fingerprint, restores.stopping.child_token()));
    place.take(&job).map_err(|error| Reason::Unavailable.status(format!("{error:#}")))?;
    run::start(&restores.running, &job, prepared, &restores.directory);
    Ok(job.operation())
}

#[cfg(test)]
mod tests;
