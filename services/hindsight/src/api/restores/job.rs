//! One restore: its state, and how it is run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hindsight_oplog::Timestamp;
use hindsight_proto::longrunning::{Operation, operation};
use hindsight_proto::v1 as api;
use hindsight_replayer::restore::{
    Phase, Prepared, Progress, ProgressSnapshot, RestoreError, RestoreFailure, RestoreReport,
};
use hindsight_runtime::CancellationToken;
use prost_types::Any;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic_types::Status as Failed;

use super::super::Reason;
use super::super::reason::status_of_restore;
use super::record;
use crate::extended_json::of_timestamp;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Tells two requests apart without holding the password of either.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(restore: &api::RestoreSpec) -> Self {
        Self(*blake3::hash(&prost::Message::encode_to_vec(restore)).as_bytes())
    }
}

#[derive(Clone)]
pub(in super::super) struct State {
    metadata: api::RestoreMetadata,
    ended: Option<Result<api::RestoreReport, Failed>>,
}

impl State {
    pub(in super::super) fn is_done(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn operation(&self, name: &str) -> Operation {
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

/// An operation that only says that everything was checked.
pub(super) fn validated(metadata: api::RestoreMetadata) -> Operation {
    let metadata = Some(packed(&metadata));
    Operation { metadata, done: true, ..Default::default() }
}

pub(in super::super) struct Job {
    pub(super) name: String,
    pub(super) request_id: String,
    /// Unknown of the restores of earlier processes.
    pub(super) fingerprint: Option<Fingerprint>,
    state: watch::Sender<State>,
    cancel: CancellationToken,
}

impl Job {
    pub(super) fn new(
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

    pub(super) fn of_record(operation: Operation) -> Self {
        let unpacked = operation.metadata.as_ref().map(Any::to_msg::<api::RestoreMetadata>);
        let metadata = unpacked.and_then(Result::ok).unwrap_or_default();
        let ended = operation.result.map(|result| match result {
            operation::Result::Error(failed) => Err(failed),
            operation::Result::Response(report) => Ok(report.to_msg().unwrap_or_default()),
        });
        Self {
            name: operation.name,
            request_id: metadata.request_id.clone(),
            fingerprint: None,
            state: watch::Sender::new(State { metadata, ended }),
            cancel: CancellationToken::new(),
        }
    }

    pub(in super::super) fn operation(&self) -> Operation {
        self.state.borrow().operation(&self.name)
    }

    pub(in super::super) fn is_done(&self) -> bool {
        self.state.borrow().is_done()
    }

    pub(in super::super) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Asks it to stop; it ends within a second or so. One that has ended stays as it is.
    pub(in super::super) fn cancel(&self) {
        if !self.is_done() {
            self.state.send_modify(|state| state.metadata.cancel_requested = true);
            self.cancel.cancel();
        }
    }

    /// Nobody runs it any more. Gives the operation to be put on record, unless it had ended.
    pub(super) fn interrupt(&self) -> Option<Operation> {
        if self.is_done() {
            return None;
        }
        let target = self.state.borrow().metadata.plan.clone().unwrap_or_default().target;
        let text = format!(
            "the process ended during the restore: the target {target} is incomplete and must not be used; drop what \
             was restored there and run the restore again"
        );
        self.end(Err(failed(&Reason::Interrupted.status(text))));
        Some(self.operation())
    }

    fn end(&self, ended: Result<api::RestoreReport, Failed>) {
        self.state.send_modify(|state| {
            if ended.is_ok() {
                state.metadata.phase = api::RestorePhase::Done.into();
            }
            state.metadata.ended_ms = now_ms();
            state.ended = Some(ended);
        });
    }

    fn show(&self, now: &ProgressSnapshot) {
        self.state.send_modify(|state| {
            let metadata = &mut state.metadata;
            metadata.phase = phase(now.phase).into();
            (metadata.done, metadata.total) = (now.done, now.total);
            (metadata.bytes_done, metadata.bytes_total) = (now.bytes_done, now.bytes_total);
            metadata.per_second = now.rate;
            metadata.remaining_seconds = now.remaining.map(|left| left.as_secs_f64());
        });
    }
}

/// Runs it to its end, on a thread of its own: the compiler cannot see that the restore's future may move between
/// threads (rust-lang/rust#102211).
pub(super) fn start(tasks: &TaskTracker, job: &Arc<Job>, prepared: Prepared, directory: &Path) {
    let runtime = tokio::runtime::Handle::current();
    let (job, directory): (Arc<Job>, PathBuf) = (Arc::clone(job), directory.to_owned());
    tasks.spawn_blocking(move || {
        runtime.block_on(run(&job, prepared));
        if let Err(error) = record::store(&directory, &job.operation()) {
            tracing::error!(restore = %job.name, error = %format!("{error:#}"), "its end is not on record");
        }
    });
}

async fn run(job: &Job, prepared: Prepared) {
    let progress = Arc::new(Progress::default());
    let running = prepared.run(Arc::clone(&progress), job.cancel.clone());
    tokio::pin!(running);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = ticks.tick() => job.show(&progress.snapshot()),
        }
    };
    job.show(&progress.snapshot());
    let was_asked = job.state.borrow().metadata.cancel_requested;
    job.end(match ended {
        Ok(report) => Ok(report_of(&report)),
        Err(failure) => Err(failed(&status_of_failure(&failure, was_asked))),
    });
}

fn status_of_failure(failure: &RestoreFailure, was_asked: bool) -> tonic::Status {
    let advice = failure.report.advice.as_deref().unwrap_or_default();
    match &failure.error {
        RestoreError::Cancelled if !was_asked => Reason::Interrupted
            .status(format!("the process was stopped during the restore: {advice}")),
        error => {
            let status = status_of_restore(error);
            let text = format!("{}. {advice}", status.message());
            tonic::Status::with_details(status.code(), text, status.details().to_vec().into())
        }
    }
}

/// A call's status as an operation holds it.
fn failed(status: &tonic::Status) -> Failed {
    // The details are the same message with its details in it.
    let details = <Failed as prost::Message>::decode(status.details()).unwrap_or_default().details;
    Failed { code: status.code().into(), message: status.message().to_owned(), details }
}

pub(super) fn now_ms() -> i64 {
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

fn phase(phase: Phase) -> api::RestorePhase {
    match phase {
        Phase::Checks => api::RestorePhase::Checks,
        Phase::Collections => api::RestorePhase::Collections,
        Phase::Documents => api::RestorePhase::Documents,
        Phase::Indexes => api::RestorePhase::Indexes,
        Phase::Views => api::RestorePhase::Views,
        Phase::Verification => api::RestorePhase::Verification,
        Phase::Expiry => api::RestorePhase::Expiry,
        Phase::Users => api::RestorePhase::Users,
        Phase::Done => api::RestorePhase::Done,
    }
}

fn report_of(report: &RestoreReport) -> api::RestoreReport {
    let mut json = serde_json::to_value(report).expect("a report is plain data");
    let verified = if report.verified { "verified" } else { "NOT verified" };
    let seconds = report.durations.total.as_secs_f64();
    let summary = format!(
        "restored {} documents ({}) in {} collections through {} in {seconds:.1} s, {verified}",
        report.documents,
        size(report.bytes),
        report.collections.len(),
        Timestamp::for_people(report.timestamp)
    );
    json["summary"] = Value::String(summary);
    json["through"] = of_timestamp(report.timestamp);
    api::RestoreReport { json: json.to_string(), verified: report.verified }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_nobody_runs_any_more_is_interrupted_once() {
        let plan = api::RestorePlan { target: "db9 (rs1)".into(), ..Default::default() };
        let metadata = api::RestoreMetadata { plan: Some(plan), ..Default::default() };
        let job = Job::new(metadata, Fingerprint([0; 32]), CancellationToken::new());
        let again = Job::of_record(job.operation());
        assert!(!again.is_done());
        let operation = again.interrupt().expect("it had not ended");
        let Some(operation::Result::Error(error)) = &operation.result else {
            panic!("an interrupted restore has failed: {operation:?}")
        };
        assert!(error.message.contains("db9 (rs1)") && !error.details.is_empty(), "{error:?}");
        let again = Job::of_record(operation.clone());
        assert!(again.interrupt().is_none());
        assert_eq!(again.operation(), operation);
    }

    #[test]
    fn names_are_file_names() {
        let name = new_name(1_795_000_000_000);
        assert!(name.starts_with("operations/restore-20261118-"), "{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(name["operations/".len()..].chars().all(plain), "{name}");
    }
}
