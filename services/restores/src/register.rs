//! The register of the restores that exist and of those being prepared. It decides whether a call
//! may begin a restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_refusal::Reason;
use hindsight_runtime::CancellationToken;
use tonic::Status;

use crate::fingerprint::Fingerprint;
use crate::job::Job;

/// Limit on concurrent restores, including those being prepared: each has its own connections and
/// readers.
const MAX_RUNNING: usize = 4;
/// Limit on the ended restores that are remembered. The oldest are forgotten first.
const MAX_ENDED: usize = 200;

#[derive(Default)]
pub(crate) struct Register {
    /// By name, which sorts by age.
    jobs: BTreeMap<String, Arc<Job>>,
    /// By `request_id`.
    preparing: BTreeMap<String, Preparing>,
}

struct Preparing {
    fingerprint: Fingerprint,
    /// Cancelled when the request has got a job, and when it will not get one.
    over: CancellationToken,
}

/// What a call that wants to begin a restore does next.
pub(crate) enum Turn {
    /// Prepare the restore. The request keeps its place until it is entered or released.
    Prepare,
    /// An earlier call with the same request prepares the restore: wait until that is over, and ask
    /// again.
    Wait(CancellationToken),
    /// An earlier call with the same request began the restore.
    Begun(Arc<Job>),
}

impl Register {
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Job>> {
        self.jobs.get(name)
    }

    /// Returns all jobs, newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values().rev()
    }

    /// # Errors
    /// Returns an error when another request has the id, or when there is no room.
    pub(crate) fn turn(
        &mut self,
        request_id: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Turn, Status> {
        if let Some(job) = self.jobs.values().find(|job| job.request_id == request_id) {
            check_same(request_id, &job.name, job.fingerprint.as_ref(), fingerprint)?;
            return Ok(Turn::Begun(Arc::clone(job)));
        }
        if let Some(other) = self.preparing.get(request_id) {
            let name = "a restore that is being prepared";
            check_same(request_id, name, Some(&other.fingerprint), fingerprint)?;
            return Ok(Turn::Wait(other.over.clone()));
        }
        self.check_room()?;
        let (fingerprint, over) = (fingerprint.clone(), CancellationToken::new());
        self.preparing.insert(request_id.to_owned(), Preparing { fingerprint, over });
        Ok(Turn::Prepare)
    }

    fn check_room(&self) -> Result<(), Status> {
        let running = self.jobs.values().filter(|job| !job.is_done()).count();
        let taken = running + self.preparing.len();
        if taken < MAX_RUNNING {
            return Ok(());
        }
        Err(Reason::TooManyCalls.status(format!(
            "{taken} restores run or are being prepared, which is the limit: wait for one, or cancel one"
        )))
    }

    /// Enters the job that was prepared for this request. The job takes over the place of the
    /// request.
    pub(crate) fn enter(&mut self, request_id: &str, job: &Arc<Job>) {
        self.add(job);
        self.release(request_id);
    }

    pub(crate) fn add(&mut self, job: &Arc<Job>) {
        self.jobs.insert(job.name.clone(), Arc::clone(job));
    }

    /// Frees the place of a request that nobody prepares any more. Does nothing the second time.
    pub(crate) fn release(&mut self, request_id: &str) {
        if let Some(preparing) = self.preparing.remove(request_id) {
            preparing.over.cancel();
        }
    }

    /// Returns the oldest ended restores, as many as exceed the number that is remembered.
    pub(crate) fn too_old(&self) -> Vec<Arc<Job>> {
        let ended: Vec<_> = self.jobs.values().filter(|job| job.is_done()).collect();
        let more = ended.len().saturating_sub(MAX_ENDED);
        ended.into_iter().take(more).map(Arc::clone).collect()
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.jobs.remove(name);
    }
}

/// Checks that a `request_id` belongs to this request. When it is not known which request the id
/// belongs to, the call is refused, not answered as if the requests were the same.
fn check_same(
    request_id: &str,
    name: &str,
    known: Option<&Fingerprint>,
    asked: &Fingerprint,
) -> Result<(), Status> {
    let why = match known {
        Some(known) if known == asked => return Ok(()),
        Some(_) => "which was asked for with other arguments",
        None => "and it is not on record what that was asked for with: take another one",
    };
    Err(Reason::RequestIdReused.status(format!("request_id {request_id} belongs to {name}, {why}")))
}

#[cfg(test)]
mod tests {
    use hindsight_proto::v1 as api;
    use tonic::Code;

    use super::*;
    use crate::record::Record;

    fn asked(to: &str) -> Fingerprint {
        Fingerprint::of(&api::RestoreSpec { to: to.into(), ..Default::default() })
    }

    fn job(request_id: &str, fingerprint: Fingerprint) -> Arc<Job> {
        let metadata = api::RestoreMetadata { request_id: request_id.into(), ..Default::default() };
        Arc::new(Job::new(metadata, fingerprint, CancellationToken::new()))
    }

    #[test]
    fn who_repeats_a_request_waits_for_it_and_gets_its_job() {
        let mut register = Register::default();
        let first = register.turn("id", &asked("db1"));
        assert!(matches!(first, Ok(Turn::Prepare)));
        let Ok(Turn::Wait(over)) = register.turn("id", &asked("db1")) else { panic!("it waits") };
        let other = register.turn("id", &asked("db2")).map(drop).expect_err("another target");
        assert_eq!(other.code(), Code::AlreadyExists);
        assert!(!over.is_cancelled());
        let job = job("id", asked("db1"));
        register.enter("id", &job);
        assert!(over.is_cancelled());
        let Ok(Turn::Begun(begun)) = register.turn("id", &asked("db1")) else { panic!("it is") };
        assert_eq!(begun.name, job.name);
        let other = register.turn("id", &asked("db2")).map(drop).expect_err("another target");
        assert_eq!(other.code(), Code::AlreadyExists);
    }

    #[test]
    fn who_waited_for_one_that_was_not_begun_prepares_it() {
        let mut register = Register::default();
        assert!(matches!(register.turn("id", &asked("db1")), Ok(Turn::Prepare)));
        let Ok(Turn::Wait(over)) = register.turn("id", &asked("db1")) else { panic!("it waits") };
        register.release("id");
        register.release("id");
        assert!(over.is_cancelled());
        assert!(matches!(register.turn("id", &asked("db1")), Ok(Turn::Prepare)));
    }

    #[test]
    fn a_request_of_which_nothing_is_on_record_is_not_answered_as_another() {
        let mut register = Register::default();
        let operation = job("id", asked("db1")).operation();
        register.add(&Arc::new(Job::of_record(Record { operation, fingerprint: None })));
        let error = register.turn("id", &asked("db1")).map(drop).expect_err("not known");
        assert_eq!(error.code(), Code::AlreadyExists);
        assert!(error.message().contains("not on record"), "{error:?}");
    }

    #[test]
    fn what_is_prepared_has_a_place_among_those_that_run() {
        let mut register = Register::default();
        for id in ["1", "2", "3", "4"] {
            assert!(matches!(register.turn(id, &asked("db1")), Ok(Turn::Prepare)), "{id}");
        }
        let full = |register: &mut Register| match register.turn("5", &asked("db1")) {
            Ok(_) => false,
            Err(status) => status.code() == Code::ResourceExhausted,
        };
        assert!(full(&mut register));
        let running = job("4", asked("db1"));
        register.enter("4", &running);
        assert!(full(&mut register));
        running.interrupt().expect("it ran");
        assert!(!full(&mut register));
        register.release("5");
        register.release("1");
        assert!(matches!(register.turn("6", &asked("db1")), Ok(Turn::Prepare)));
    }
}
