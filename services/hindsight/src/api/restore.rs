//! A restore as a stream of steps: plan, progress, report.

use std::sync::Arc;
use std::time::Duration;

use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::restore_response::Step;
use hindsight_replayer::restore::{
    Prepared, Progress, RestoreError, RestoreReport, RestoreSettings, SourceIdentity, Target,
    listed, prepare,
};
use hindsight_replayer::{Engine, HistorySnapshot};
use hindsight_runtime::CancellationToken;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Answers;
use crate::extended_json::of_timestamp;
use crate::times::to_api;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Collections named in a summary.
const NAMES_SHOWN: usize = 5;

type Steps = mpsc::Sender<Result<api::RestoreResponse, Status>>;

/// Starts the restore. It is cancelled when the caller goes away.
pub(super) fn restore(
    engine: &Engine,
    request: api::RestoreRequest,
    at: Timestamp,
) -> Answers<api::RestoreResponse> {
    let (sender, receiver) = mpsc::channel(16);
    let engine = engine.clone();
    // On a thread of its own: the compiler cannot see that the restore's future may move between threads
    // (rust-lang/rust#102211).
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            if let Err(status) = run(&engine, &request, at, &sender).await {
                let _ = sender.send(Err(status)).await;
            }
        });
    });
    Box::pin(ReceiverStream::new(receiver))
}

async fn run(
    engine: &Engine,
    request: &api::RestoreRequest,
    at: Timestamp,
    steps: &Steps,
) -> Result<(), Status> {
    let snapshot =
        Arc::new(HistorySnapshot::new(Arc::clone(engine.history().map_err(super::status_of)?), at));
    let target = Target::connect(&request.to).await.map_err(|error| status_of(&error))?;
    let settings = RestoreSettings {
        allow_non_empty: request.allow_non_empty,
        source: source_of(engine, at).await,
        ..RestoreSettings::default()
    };
    let prepared = prepare(snapshot, target, settings).await.map_err(|error| status_of(&error))?;
    let plan =
        api::RestorePlan { through: Some(to_api(at)), text: plan_text(&prepared, request, at) };
    send(steps, Step::Plan(plan)).await;
    if request.dry_run {
        let report = dry_run_report(&prepared, at);
        send(steps, Step::Report(report.to_string())).await;
        return Ok(());
    }
    let report = run_watched(prepared, steps).await?;
    send(steps, Step::Report(report_json(&report)?.to_string())).await;
    Ok(())
}

async fn send(steps: &Steps, step: Step) {
    let _ = steps.send(Ok(api::RestoreResponse { step: Some(step) })).await;
}

/// Runs while telling the progress; a caller that went away cancels.
async fn run_watched(prepared: Prepared, steps: &Steps) -> Result<RestoreReport, Status> {
    let progress = Arc::new(Progress::default());
    let cancel = CancellationToken::new();
    let _cancel_when_dropped = cancel.clone().drop_guard();
    let running = prepared.run(Arc::clone(&progress), cancel.clone());
    tokio::pin!(running);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            ended = &mut running => {
                return ended.map_err(|failure| status_of(&failure.error));
            }
            () = steps.closed() => cancel.cancel(),
            _ = ticks.tick() => {
                let now = progress.snapshot();
                let step = Step::Progress(api::RestoreProgress {
                    phase: serde_json::to_value(now.phase)
                        .ok()
                        .and_then(|phase| phase.as_str().map(str::to_owned))
                        .unwrap_or_default(),
                    documents: now.done,
                    bytes: now.bytes_done,
                });
                // A slow reader misses a tick, the restore does not wait for it.
                let _ = steps.try_send(Ok(api::RestoreResponse { step: Some(step) }));
            }
        }
    }
}

/// What the log and the base tell about the source, for the checks of the target.
async fn source_of(engine: &Engine, at: Timestamp) -> SourceIdentity {
    let end = engine.log.end().await.ok().flatten();
    let replica_set_id = end.map(|end| {
        end.header.source.replica_set_id.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    let base = engine.index.plan(at).ok().map(|plan| engine.bases.join(plan.base.name));
    let opened = base.and_then(|path| hindsight_base::Base::open(&path).ok());
    let version = opened.map(|base| base.manifest().origin.source.server_version.clone());
    SourceIdentity { replica_set_id, version }
}

fn plan_text(prepared: &Prepared, request: &api::RestoreRequest, at: Timestamp) -> String {
    let asked = request.time.as_ref();
    let how = match asked {
        Some(time) if time.exclusive => format!("everything before {} (excluded)", time.text),
        Some(time) => format!("everything until {} (included)", time.text),
        None => "everything".to_owned(),
    };
    let plan = prepared.plan();
    let mut text = format!(
        "restoring {how}: the last timestamp included is {}\ninto {}: {} collections, {} views",
        at.for_people(),
        prepared.target(),
        plan.collections.len(),
        plan.views.len()
    );
    for warning in prepared.warnings() {
        text.push_str("\nwarning: ");
        text.push_str(warning);
    }
    text
}

fn dry_run_report(prepared: &Prepared, at: Timestamp) -> Value {
    let namespaces: Vec<String> = prepared.plan().namespaces().collect();
    json!({
        "dry_run": true,
        "through": of_timestamp(at),
        "target": prepared.target(),
        "collections": namespaces,
        "skipped": prepared.plan().skipped,
        "warnings": prepared.warnings(),
        "summary": format!("dry run: nothing was written; {} would be", listed(&namespaces, NAMES_SHOWN)),
    })
}

/// `a, b and 3 more`
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn report_json(report: &RestoreReport) -> Result<Value, Status> {
    let mut json =
        serde_json::to_value(report).map_err(|error| Status::internal(error.to_string()))?;
    let verified = if report.verified { "verified" } else { "NOT verified" };
    let seconds = report.durations.total.as_secs_f64();
    let summary = format!(
        "restored {} documents ({}) in {} collections through {} in {seconds:.1} s, {verified}",
        report.documents,
        size(report.bytes),
        report.collections.len(),
        report.timestamp.for_people()
    );
    json["summary"] = Value::String(summary);
    json["through"] = of_timestamp(report.timestamp);
    Ok(json)
}

fn status_of(error: &RestoreError) -> Status {
    let text = error.to_string();
    match error {
        RestoreError::TargetNotEmpty { .. } => Status::failed_precondition(format!(
            "{text}. Nothing was written. To write beside what is there, give --allow-non-empty"
        )),
        RestoreError::Settings(_) => Status::invalid_argument(text),
        RestoreError::VerificationFailed { .. } => Status::data_loss(text),
        RestoreError::TargetUnsuitable { .. }
        | RestoreError::Unavailable { .. }
        | RestoreError::WriteRefused { .. }
        | RestoreError::Cancelled
        | RestoreError::Source { .. }
        | RestoreError::Defect(_) => Status::internal(text),
    }
}
