//! Runs a restore, and reports its progress and its result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, status_of_restore};
use hindsight_restore::{
    CollectionReport, Phase, Prepared, Progress, ProgressSnapshot, RestoreError, RestoreFailure,
    RestoreReport, Skipped,
};
use tokio_util::task::TaskTracker;

use crate::job::{Ended, Job, failed};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the restore to its end on its own thread: the compiler cannot see that the restore's future
/// may move between threads (rust-lang/rust#102211).
pub(crate) fn start(tasks: &TaskTracker, job: &Arc<Job>, prepared: Prepared, directory: &Path) {
    let runtime = tokio::runtime::Handle::current();
    let (job, directory): (Arc<Job>, PathBuf) = (Arc::clone(job), directory.to_owned());
    tasks.spawn_blocking(move || {
        carry_out(&job, &directory, || runtime.block_on(run(&job, prepared)));
    });
}

/// Does the work, and ends the job with the result.
fn carry_out(job: &Job, directory: &Path, work: impl FnOnce() -> Ended) {
    let _also_by_a_panic = EndsItsJob { job, directory };
    let ended = work();
    job.end(directory, ended);
}

/// Ends a job whose work panicked. Otherwise the job would seem to run for ever, and would keep its
/// place.
struct EndsItsJob<'a> {
    job: &'a Job,
    directory: &'a Path,
}

impl Drop for EndsItsJob<'_> {
    fn drop(&mut self) {
        if !self.job.is_done() {
            let why = "a defect of this program ended the restore (the process's log says more)";
            let status = self.job.incomplete(Reason::Internal, why);
            self.job.end(self.directory, Err(failed(&status)));
        }
    }
}

async fn run(job: &Job, prepared: Prepared) -> Ended {
    let progress = Arc::new(Progress::default());
    let running = prepared.run(Arc::clone(&progress), job.cancel.clone());
    tokio::pin!(running);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = ticks.tick() => show(job, &progress.snapshot()),
        }
    };
    show(job, &progress.snapshot());
    match ended {
        Ok(report) => Ok(report_of(&report)),
        Err(failure) => Err(failed(&status_of_failure(&failure, job.is_cancelled()))),
    }
}

fn show(job: &Job, now: &ProgressSnapshot) {
    job.show(|metadata| {
        metadata.phase = phase(now.phase).into();
        (metadata.done, metadata.total) = (now.done, now.total);
        (metadata.bytes_done, metadata.bytes_total) = (now.bytes_done, now.bytes_total);
        metadata.per_second = now.rate;
        metadata.remaining_seconds = now.remaining.map(|left| left.as_secs_f64());
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
    let collection = |collection: &CollectionReport| api::RestoredCollection {
        ns: collection.ns.clone(),
        documents: collection.documents,
        bytes: collection.bytes,
        digest: collection.digest.to_string(),
        indexes: collection.indexes as u64,
        verified: collection.verified,
    };
    let skipped =
        |skipped: &Skipped| api::Skipped { ns: skipped.ns.clone(), reason: skipped.reason.clone() };
    let through = api::Timestamp { t: report.timestamp.seconds(), i: report.timestamp.increment() };
    api::RestoreReport {
        through: Some(through),
        verified: report.verified,
        documents: report.documents,
        bytes: report.bytes,
        collections: report.collections.iter().map(collection).collect(),
        views: report.views.clone(),
        users: report.users,
        roles: report.roles,
        skipped: report.skipped.iter().map(skipped).collect(),
        warnings: report.warnings.clone(),
        documents_per_second: report.documents_per_second,
        bytes_per_second: report.bytes_per_second,
        seconds: Some(api::RestoreSeconds {
            total: seconds(report.durations.total),
            collections: seconds(report.durations.collections),
            documents: seconds(report.durations.documents),
            indexes: seconds(report.durations.indexes),
            verification: seconds(report.durations.verification),
        }),
        summary: summary_of(report),
    }
}

/// Returns a duration in seconds, to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

fn summary_of(report: &RestoreReport) -> String {
    let verified = if report.verified { "verified" } else { "NOT verified" };
    let seconds = report.durations.total.as_secs_f64();
    format!(
        "restored {} documents ({}) in {} collections, {} users and {} roles through {} in {seconds:.1} s, {verified}",
        report.documents,
        size(report.bytes),
        report.collections.len(),
        report.users,
        report.roles,
        Timestamp::for_people(report.timestamp)
    )
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
    use hindsight_restore::{Digest, Outcome};

    use super::*;
    use crate::job::State;
    use crate::job::tests::{error_of, job};
    use crate::record;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_sees_the_end_finds_it_on_record() {
        let directory = tempfile::tempdir().expect("a directory");
        let (job, path) = (Arc::new(job()), directory.path().to_owned());
        let (watched, read) = (Arc::clone(&job), path.clone());
        let watch = tokio::spawn(async move {
            let mut states = watched.subscribe();
            states.wait_for(State::is_done).await.map(drop).expect("it ends");
            record::load(&read).expect("readable")
        });
        tokio::task::yield_now().await;
        let ends = Arc::clone(&job);
        let end = move || carry_out(&ends, &path, || Ok(api::RestoreReport::default()));
        tokio::task::spawn_blocking(end).await.expect("no panic");
        let on_record = watch.await.expect("no panic");
        assert_eq!(on_record, [job.record()]);
        assert!(on_record[0].operation.done);
    }

    #[test]
    fn the_report_as_a_message() {
        let skipped = Skipped { ns: "shop.v".into(), reason: "it is broken".into() };
        let collection = CollectionReport {
            ns: "shop.orders".into(),
            documents: 2,
            bytes: 3000,
            digest: Digest::default(),
            indexes: 1,
            verified: true,
        };
        let mut report = RestoreReport {
            outcome: Outcome::Complete,
            advice: None,
            timestamp: Timestamp::new(7, 1),
            verified: true,
            documents: 2,
            bytes: 3000,
            collections: vec![collection],
            views: vec!["shop.paid".into()],
            users: 3,
            roles: 4,
            skipped: vec![skipped],
            warnings: vec!["odd".into()],
            documents_per_second: 20.0,
            bytes_per_second: 30_000.0,
            durations: Default::default(),
        };
        report.durations.total = Duration::from_micros(1_234_567);
        let collection = api::RestoredCollection {
            ns: "shop.orders".into(),
            documents: 2,
            bytes: 3000,
            digest: "00000000000000000000000000000000".into(),
            indexes: 1,
            verified: true,
        };
        let expected = api::RestoreReport {
            through: Some(api::Timestamp { t: 7, i: 1 }),
            verified: true,
            documents: 2,
            bytes: 3000,
            collections: vec![collection],
            views: vec!["shop.paid".into()],
            users: 3,
            roles: 4,
            skipped: vec![api::Skipped { ns: "shop.v".into(), reason: "it is broken".into() }],
            warnings: vec!["odd".into()],
            documents_per_second: 20.0,
            bytes_per_second: 30_000.0,
            seconds: Some(api::RestoreSeconds { total: 1.235, ..Default::default() }),
            summary: "restored 2 documents (3.0 kB) in 1 collections, 3 users and 4 roles through \
                      1970-01-01T00:00:07Z (7,1) in 1.2 s, verified"
                .into(),
        };
        assert_eq!(report_of(&report), expected);
    }

    #[test]
    fn a_panic_ends_the_restore_and_is_on_record() {
        let directory = tempfile::tempdir().expect("a directory");
        let job = job();
        let work = || carry_out(&job, directory.path(), || panic!("a defect"));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).expect_err("it panics");
        assert!(job.is_done());
        let error = error_of(&job.operation()).clone();
        assert_eq!(error.code, i32::from(tonic::Code::Internal));
        assert!(error.message.contains("db9 (rs1) is incomplete"), "{error:?}");
        assert_eq!(record::load(directory.path()).expect("readable"), [job.record()]);
    }
}
