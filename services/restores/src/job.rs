//! One restore, and its state from beginning to end.

use std::path::Path;

use hindsight_proto::longrunning::{Operation, operation};
use hindsight_proto::v1 as api;
use hindsight_refusal::Reason;
use hindsight_runtime::CancellationToken;
use prost_types::Any;
use tokio::sync::watch;
use tonic_types::Status as Failed;

use crate::fingerprint::Fingerprint;
use crate::record::{self, Record};

/// How a restore ended.
pub(crate) type Ended = Result<api::RestoreReport, Failed>;

/// How far a restore is, or how it ended.
#[derive(Clone)]
pub struct State {
    metadata: api::RestoreMetadata,
    ended: Option<Ended>,
}

impl State {
    /// Returns whether the restore has ended.
    pub fn is_done(&self) -> bool {
        self.ended.is_some()
    }

    pub(crate) fn operation(&self, name: &str) -> Operation {
        let result = self.ended.clone().map(|ended| match ended {
            Ok(report) => operation::Result::Response(packed(&report)),
            Err(failed) => operation::Result::Error(failed),
        });
        let metadata = Some(packed(&self.metadata));
        Operation { name: name.to_owned(), metadata, done: self.is_done(), result }
    }
}

fn packed(message: &impl prost::Name) -> Any {
    Any::from_msg(message).expect("a vector grows as needed")
}

/// Returns the operation of a request that was only validated.
pub(crate) fn validated(metadata: api::RestoreMetadata) -> Operation {
    let metadata = Some(packed(&metadata));
    Operation { metadata, done: true, ..Default::default() }
}

/// A restore that runs, or that has ended.
pub struct Job {
    pub(crate) name: String,
    pub(crate) request_id: String,
    /// Unknown for restores begun by earlier versions.
    pub(crate) fingerprint: Option<Fingerprint>,
    state: watch::Sender<State>,
    pub(crate) cancel: CancellationToken,
}

impl Job {
    pub(crate) fn new(
        metadata: api::RestoreMetadata,
        fingerprint: Fingerprint,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            name: new_name(metadata.created_ms),
            request_id: metadata.request_id.clone(),
            fingerprint: Some(fingerprint),
            state: watch::Sender::new(State { metadata, ended: None }),
            cancel,
        }
    }

    pub(crate) fn of_record(Record { operation, fingerprint }: Record) -> Self {
        let unpacked = operation.metadata.as_ref().map(Any::to_msg::<api::RestoreMetadata>);
        let metadata = unpacked.and_then(Result::ok).unwrap_or_default();
        let ended = operation.result.map(|result| match result {
            operation::Result::Error(failed) => Err(failed),
            operation::Result::Response(report) => Ok(report.to_msg().unwrap_or_default()),
        });
        Self {
            name: operation.name,
            request_id: metadata.request_id.clone(),
            fingerprint,
            state: watch::Sender::new(State { metadata, ended }),
            cancel: CancellationToken::new(),
        }
    }

    /// Returns the restore as an operation, as it is now.
    pub fn operation(&self) -> Operation {
        self.state.borrow().operation(&self.name)
    }

    /// Returns whether the restore has ended.
    pub fn is_done(&self) -> bool {
        self.state.borrow().is_done()
    }

    /// Returns the states of the restore, as they change.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Asks the restore to stop. It ends within about a second. A restore that has ended stays as
    /// it is.
    pub fn cancel(&self) {
        let was_running = self.state.send_if_modified(|state| {
            let is_running = !state.is_done();
            state.metadata.cancel_requested |= is_running;
            is_running
        });
        if was_running {
            self.cancel.cancel();
        }
    }

    /// Returns whether somebody asked the restore to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.borrow().metadata.cancel_requested
    }

    pub(crate) fn record(&self) -> Record {
        self.record_of(&self.state.borrow())
    }

    fn record_of(&self, state: &State) -> Record {
        let fingerprint = self.fingerprint.clone();
        Record { operation: state.operation(&self.name), fingerprint }
    }

    /// Ends a restore that no process runs any more. Returns the record to store, or `None` when
    /// the restore had already ended.
    pub(crate) fn interrupt(&self) -> Option<Record> {
        if self.is_done() {
            return None;
        }
        let status = self.incomplete(Reason::Interrupted, "the process ended during the restore");
        self.state.send_replace(self.ended_so(Err(failed(&status))));
        Some(self.record())
    }

    /// Returns the status of a restore that was cut short: why, and what that means for the target.
    pub(crate) fn incomplete(&self, reason: Reason, why: &str) -> tonic::Status {
        let target = self.state.borrow().metadata.plan.clone().unwrap_or_default().target;
        reason.status(format!(
            "{why}: the target {target} is incomplete and must not be used; drop what was restored there and run the \
             restore again"
        ))
    }

    /// Ends the restore. Its end goes on record first, so that an end that somebody saw is still
    /// that end after a crash, and a restore that is deleted right after its end does not come
    /// back.
    pub(crate) fn end(&self, directory: &Path, ended: Ended) {
        let state = self.ended_so(ended);
        if let Err(error) = record::store(directory, &self.record_of(&state)) {
            tracing::error!(restore = %self.name, error = %format!("{error:#}"), "its end is not on record");
        }
        self.state.send_replace(state);
    }

    fn ended_so(&self, ended: Ended) -> State {
        let mut state = self.state.borrow().clone();
        if ended.is_ok() {
            state.metadata.phase = api::RestorePhase::Done.into();
        }
        state.metadata.ended_ms = now_ms();
        state.ended = Some(ended);
        state
    }

    /// Updates the progress that callers see.
    pub(crate) fn show(&self, change: impl FnOnce(&mut api::RestoreMetadata)) {
        self.state.send_modify(|state| change(&mut state.metadata));
    }
}

/// Returns a call's status in the form that an operation holds.
pub(crate) fn failed(status: &tonic::Status) -> Failed {
    // A status encodes its details as this same message, with the details inside.
    let details = <Failed as prost::Message>::decode(status.details()).unwrap_or_default().details;
    Failed { code: status.code().into(), message: status.message().to_owned(), details }
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Names sort by the time of creation.
fn new_name(created_ms: i64) -> String {
    let created = jiff::Timestamp::from_millisecond(created_ms).unwrap_or_default();
    let random = bson::Uuid::new().bytes();
    format!(
        "{}restore-{}-{:02x}{:02x}{:02x}",
        record::COLLECTION,
        created.strftime("%Y%m%d-%H%M%S"),
        random[0],
        random[1],
        random[2]
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn job() -> Job {
        let plan = api::RestorePlan { target: "db9 (rs1)".into(), ..Default::default() };
        let metadata = api::RestoreMetadata { plan: Some(plan), ..Default::default() };
        Job::new(metadata, Fingerprint::of(&Default::default()), CancellationToken::new())
    }

    pub(crate) fn error_of(operation: &Operation) -> &Failed {
        let Some(operation::Result::Error(error)) = &operation.result else {
            panic!("it has not failed: {operation:?}")
        };
        error
    }

    #[test]
    fn a_restore_that_nobody_runs_any_more_is_interrupted_once() {
        let again = Job::of_record(job().record());
        assert!(!again.is_done());
        let record = again.interrupt().expect("it had not ended");
        let error = error_of(&record.operation);
        assert!(error.message.contains("db9 (rs1)") && !error.details.is_empty(), "{error:?}");
        let again = Job::of_record(record.clone());
        assert!(again.interrupt().is_none());
        again.cancel();
        assert_eq!(again.record(), record);
    }

    #[test]
    fn names_are_file_names() {
        let name = new_name(1_795_000_000_000);
        assert!(name.starts_with("operations/restore-20261118-"), "{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(name["operations/".len()..].chars().all(plain), "{name}");
    }
}
