//! Restores as operations: one call starts a restore, and other calls watch it, cancel it and look
//! it up.
//!
//! ```text
//! CreateRestore ─▶ prepare (nothing written) ─▶ job ─▶ ended
//!                        │                      │ progress      │
//!                        ▼                      ▼               ▼
//!                   the call's error      WatchRestore    DATA/restores/NAME
//! ```
//!
//! A job continues when its caller goes away, and ends with the process. Requests are told apart by
//! their `request_id`: a caller who repeats a request, at once or after a restart, gets the same
//! job.

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
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, invalid};
use hindsight_replayer::Engine;
use hindsight_runtime::CancellationToken;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::Status;

use fingerprint::Fingerprint;
use job::now_ms;
pub use job::{Job, State};
use register::{Register, Turn};

/// The restores of a data directory.
pub struct Restores {
    directory: PathBuf,
    register: Mutex<Register>,
    running: TaskTracker,
    stopping: CancellationToken,
}

impl Restores {
    /// Reads the records that earlier processes left. A restore that its process did not end is
    /// marked as interrupted.
    ///
    /// # Errors
    /// Returns an error when a record cannot be read or written.
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

    /// Cancels the running restores, and returns once they have ended.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.running.close();
        self.running.wait().await;
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the restore of this name.
    ///
    /// # Errors
    /// Returns NO_SUCH_OPERATION when there is none.
    pub fn find(&self, name: &str) -> Result<Arc<Job>, Status> {
        self.register().find(name).map(Arc::clone).ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            Reason::NoSuchOperation.status(format!("there is no restore {name:?}"))
        })
    }

    /// Returns all jobs, newest first.
    pub fn all(&self) -> Vec<Arc<Job>> {
        self.register().all().map(Arc::clone).collect()
    }

    /// Streams the operation: at once, and after each change until it is done.
    ///
    /// # Errors
    /// Returns NO_SUCH_OPERATION when there is none of this name.
    pub fn watch(
        &self,
        name: &str,
    ) -> Result<BoxStream<'static, Result<Operation, Status>>, Status> {
        let job = self.find(name)?;
        let mut states = job.subscribe();
        states.mark_changed();
        Ok(stream::unfold(Some((job, states)), next_state).boxed())
    }

    /// Deletes the record of a restore that has ended.
    ///
    /// # Errors
    /// Returns INVALID_ARGUMENT when the restore has not ended, NO_SUCH_OPERATION when there is
    /// none of this name, and UNAVAILABLE when the record cannot be deleted.
    pub fn delete(&self, name: &str) -> Result<(), Status> {
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
                // The next restore that begins tries this again.
                tracing::warn!(restore = %job.name, error = %format!("{error:#}"), "it cannot be forgotten");
            }
        }
    }

    /// Begins a restore, or returns the restore that an earlier call with the same `request_id`
    /// began.
    ///
    /// # Errors
    /// Returns the errors of [`plan`], REQUEST_ID_REUSED when another request has the id,
    /// TOO_MANY_CALLS when there is no room, and UNAVAILABLE when the restore cannot be put on
    /// record or the process is stopping.
    pub async fn begin(
        &self,
        engine: &Engine,
        restore: &api::RestoreSpec,
        metadata: api::RestoreMetadata,
    ) -> Result<Operation, Status> {
        let fingerprint = Fingerprint::of(restore);
        let place = match self.reserve(&metadata.request_id, &fingerprint).await? {
            Reserved::Mine(place) => place,
            Reserved::Begun(job) => return Ok(job.operation()),
        };
        let (prepared, plan) = prepare::prepare(engine, restore).await?;
        let metadata = planned(metadata, plan);
        let job = Arc::new(Job::new(metadata, fingerprint, self.stopping.child_token()));
        place.take(&job).map_err(|error| Reason::Unavailable.status(format!("{error:#}")))?;
        run::start(&self.running, &job, prepared, &self.directory);
        Ok(job.operation())
    }

    /// Reserves the place of a restore that is to be prepared, or returns the job of an earlier
    /// call with the same request. While an earlier call prepares the job, this call waits.
    async fn reserve(
        &self,
        request_id: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Reserved<'_>, Status> {
        let mut request_id = request_id.to_owned();
        if request_id.is_empty() {
            // The caller chose no id, so nobody can repeat this request.
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

/// The place of a restore that is being prepared. Dropping it frees the place, for example when the
/// caller went away and its call was dropped.
struct Place<'a> {
    restores: &'a Restores,
    request_id: String,
}

impl Place<'_> {
    /// Puts the new job on record, and gives the place to it.
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

/// Returns the operation once it has changed, and what to watch next: `None` once the operation is
/// done.
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

type Watched = (Arc<Job>, watch::Receiver<State>);

/// Returns what a restore would write. Writes nothing.
///
/// # Errors
/// Returns an error when the time cannot be restored, or when the target cannot take the restore or
/// does not answer.
pub async fn plan(engine: &Engine, restore: &api::RestoreSpec) -> Result<api::RestorePlan, Status> {
    Ok(prepare::prepare(engine, restore).await?.1)
}

/// Returns the metadata of a restore that is not planned yet.
pub fn metadata(requested_by: &str, request_id: String) -> api::RestoreMetadata {
    api::RestoreMetadata {
        phase: api::RestorePhase::Checks.into(),
        requested_by: requested_by.to_owned(),
        request_id,
        ..Default::default()
    }
}

/// Plans a restore, and begins none: the operation is done, and has no name.
///
/// # Errors
/// Returns the errors of [`plan`].
pub async fn validate(
    engine: &Engine,
    restore: &api::RestoreSpec,
    metadata: api::RestoreMetadata,
) -> Result<Operation, Status> {
    Ok(job::validated(planned(metadata, plan(engine, restore).await?)))
}

fn planned(metadata: api::RestoreMetadata, plan: api::RestorePlan) -> api::RestoreMetadata {
    api::RestoreMetadata { plan: Some(plan), created_ms: now_ms(), ..metadata }
}

#[cfg(test)]
mod tests;
