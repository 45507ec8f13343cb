//! Restores as operations: begun by one call, watched, cancelled and looked up by others.
//!
//! ```text
//! CreateRestore ─▶ prepare (nothing written) ─▶ job ─▶ ended
//!                        │                      │ progress      │
//!                        ▼                      ▼               ▼
//!                   the call's error      WatchRestore    DATA/restores/NAME
//! ```
//!
//! A job goes on when its caller goes away, and ends with the process.

mod job;
mod prepare;
mod record;

use std::collections::BTreeMap;
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
use job::{Fingerprint, Job, now_ms};

/// Restores at the same time: each has connections and readers of its own.
const MAX_RUNNING: usize = 4;
/// Ended restores that are remembered; the oldest ones are forgotten.
const MAX_ENDED: usize = 200;

/// The restores of a data directory.
pub struct Restores {
    directory: PathBuf,
    jobs: Mutex<BTreeMap<String, Arc<Job>>>,
    /// One restore is prepared at a time, so that a request repeated meanwhile finds what the first one made.
    creating: tokio::sync::Mutex<()>,
    running: TaskTracker,
    stopping: CancellationToken,
}

impl Restores {
    /// Reads what earlier processes left. A restore that one of them did not end is interrupted.
    ///
    /// # Errors
    /// A record that cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self> {
        let mut jobs = BTreeMap::new();
        for operation in record::load(directory)? {
            let job = Job::of_record(operation);
            if let Some(interrupted) = job.interrupt() {
                record::store(directory, &interrupted)?;
            }
            jobs.insert(job.name.clone(), Arc::new(job));
        }
        Ok(Self {
            directory: directory.to_owned(),
            jobs: Mutex::new(jobs),
            creating: tokio::sync::Mutex::new(()),
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

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Job>, Status> {
        self.jobs().get(name).map(Arc::clone).ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            Reason::NoSuchOperation.status(format!("there is no restore {name:?}"))
        })
    }

    /// Newest first.
    pub(super) fn all(&self) -> Vec<Arc<Job>> {
        self.jobs().values().rev().map(Arc::clone).collect()
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
        self.jobs().remove(&job.name);
        Ok(())
    }

    /// What an earlier call with the same request made.
    fn repeated(
        &self,
        request_id: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Arc<Job>>, Status> {
        if request_id.is_empty() {
            return Ok(None);
        }
        let jobs = self.jobs();
        let Some(job) = jobs.values().find(|job| job.request_id == request_id) else {
            return Ok(None);
        };
        if job.fingerprint.as_ref().is_some_and(|known| known != fingerprint) {
            return Err(Reason::RequestIdReused.status(format!(
                "request_id {request_id} belongs to {}, which was asked for with other arguments",
                job.name
            )));
        }
        Ok(Some(Arc::clone(job)))
    }

    fn check_room(&self) -> Result<(), Status> {
        if self.stopping.is_cancelled() {
            return Err(Reason::Unavailable.status("the process is stopping"));
        }
        let running = self.jobs().values().filter(|job| !job.is_done()).count();
        if running < MAX_RUNNING {
            return Ok(());
        }
        Err(Reason::TooManyCalls.status(format!(
            "{running} restores run already, which is the limit: wait for one, or cancel one"
        )))
    }

    /// Puts a new job on record, and the oldest ended one out of it when there are many.
    fn add(&self, job: &Arc<Job>) -> Result<()> {
        record::store(&self.directory, &job.operation())?;
        self.jobs().insert(job.name.clone(), Arc::clone(job));
        let ended: Vec<Arc<Job>> =
            self.jobs().values().filter(|job| job.is_done()).map(Arc::clone).collect();
        for old in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
            self.forget(old)?;
        }
        Ok(())
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
    let restores = &service.restores;
    let fingerprint = Fingerprint::of(&restore);
    let _creating = restores.creating.lock().await;
    if let Some(job) = restores.repeated(&request.request_id, &fingerprint)? {
        return Ok(job.operation());
    }
    restores.check_room()?;
    let (prepared, plan) = prepare::prepare(service, &restore).await?;
    let metadata = api::RestoreMetadata {
        plan: Some(plan),
        phase: api::RestorePhase::Checks.into(),
        created_ms: now_ms(),
        requested_by: requested_by.to_owned(),
        request_id: request.request_id,
        ..Default::default()
    };
    if request.validate_only {
        return Ok(job::validated(metadata));
    }
    let job = Arc::new(Job::new(metadata, fingerprint, restores.stopping.child_token()));
    let unavailable = |error: anyhow::Error| Reason::Unavailable.status(format!("{error:#}"));
    restores.add(&job).map_err(unavailable)?;
    job::start(&restores.running, &job, prepared, &restores.directory);
    Ok(job.operation())
}
