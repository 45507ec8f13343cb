//! The state of the running process, as the JSON that callers see.

mod catalog;

use std::time::Duration;

use hindsight_copy::{CopyBoard, CopyState};
use hindsight_oplog::{OpTime, Timestamp};
use hindsight_proto::v1 as api;
use hindsight_remedy::{Finding, Remedy, of_all};
use hindsight_replayer::{Applied, Engine, QueryError};
use hindsight_tailer::{PositionBoard, Positions, Role, StatusBoard};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use super::reason::invalid_unless;
use super::{Reason, Service, status_of};
use crate::extended_json::of_timestamp;

/// Limit on a wait, however long the caller is willing to wait.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What the parts of a running process publish.
#[derive(Clone)]
pub struct Live {
    pub positions: PositionBoard,
    pub capture: StatusBoard,
    pub applied: watch::Receiver<Applied>,
    /// The base copy in progress.
    pub copy: CopyBoard,
    /// The address at which the API is served, with its scheme.
    pub url: String,
    /// `None` in a process that does not capture.
    pub source: Option<SourceLook>,
}

/// Asks the source for its newest write now.
#[derive(Clone)]
pub struct SourceLook {
    pub source: hindsight_tailer::Source,
}

impl SourceLook {
    /// Returns the primary's newest write.
    async fn newest_write(&self) -> Result<Timestamp, Status> {
        let unavailable =
            |error: hindsight_tailer::CaptureError| Reason::Unavailable.status(error.to_string());
        let client = self.source.set_client().map_err(unavailable)?;
        hindsight_tailer::newest_write(&client, "the source").await.map_err(unavailable)
    }
}

impl Live {
    fn source(&self) -> Result<&SourceLook, Status> {
        self.source.as_ref().ok_or_else(|| {
            let text = format!(
                "this process knows the log and not the source, so it cannot tell what was committed until now: {}",
                Remedy::Time
            );
            invalid_unless("time", text, &[Remedy::Time])
        })
    }

    /// Waits until a time (default: everything acknowledged when the call arrives) can be restored
    /// and read. Fails when the source cannot be asked now: an older answer would promise too much.
    pub(super) async fn wait(
        &self,
        engine: &Engine,
        request: api::WaitRestorableRequest,
    ) -> Result<Timestamp, Status> {
        let patience = Duration::from_millis(request.timeout_ms).min(MAX_WAIT);
        let deadline = Instant::now() + patience;
        let is_named = request.time.is_some();
        let target = match request.time {
            Some(time) => engine.bound(&time.text, false).map_err(status_of)?,
            None => tokio::time::timeout_at(deadline, self.source()?.newest_write())
                .await
                .map_err(|_| {
                    Reason::TimedOut
                        .status("the source did not say in time what was committed until now")
                })??,
        };
        let mut applied = self.applied.clone();
        loop {
            let through = engine.latest().map_err(status_of)?;
            let read = applied.borrow_and_update().clone();
            match progress(target, through, engine.history.is_some().then_some(&read)) {
                // A time that the caller named may lie in a gap, or before every window. Without a
                // named time, the target is what was acknowledged until now. Every later state
                // contains that, so the target itself need not be restorable.
                Progress::Reached(through) if is_named => {
                    return engine.check(target).map(|()| through).map_err(status_of);
                }
                Progress::Reached(through) => return Ok(through),
                Progress::Stopped(reason) => return Err(Reason::HistoryStopped.status_of(reason)),
                Progress::NotYet => {}
            }
            let changed = tokio::time::timeout(Duration::from_millis(100), applied.changed());
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let reached = through.map_or("nothing yet".to_owned(), |ts| ts.to_string());
                return Err(Reason::TimedOut.status(format!(
                    "{target} is not restorable within {patience:?}; restorable through: {reached}"
                )));
            }
        }
    }
}

/// Where a wait for a time stands.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// The log has reached the time, and so has the history if there is one. Holds the newest
    /// restorable time.
    Reached(Timestamp),
    /// The history will not reach the time.
    Stopped(Finding),
    NotYet,
}

/// `through` is the newest restorable time. `history` is `None` in a process that keeps no history.
fn progress(target: Timestamp, through: Option<Timestamp>, history: Option<&Applied>) -> Progress {
    if let Some(history) = history
        && history.through < Some(target)
    {
        let stopped = history.stopped.as_ref();
        return stopped.map_or(Progress::NotYet, |it| Progress::Stopped(it.reason.clone()));
    }
    through.filter(|through| *through >= target).map_or(Progress::NotYet, Progress::Reached)
}

pub(super) fn answer(service: &Service) -> Result<api::GetStatusResponse, Status> {
    let json = status(service).map_err(status_of)?.to_string();
    Ok(api::GetStatusResponse { json })
}

fn status(service: &Service) -> Result<Value, QueryError> {
    let applied = service.engine.applied.borrow().clone();
    let windows = service.engine.windows()?;
    let gaps = service.engine.gaps()?;
    let bases = service.engine.index.view().bases().map_err(QueryError::corrupt)?;
    let live = service.live.as_ref();
    let positions = live.map(|live| live.positions.now()).unwrap_or_default();
    let capture = live.map(|live| live.capture.now()).unwrap_or_default();
    let errors = errors(&capture, &applied);
    Ok(json!({
        "positions": positions_json(&positions, &applied),
        "restorable_from": windows.last().map(|window| of_timestamp(window.from)),
        "restorable_through": windows.last().map(|window| of_timestamp(window.through)),
        "lags_seconds": lags(&positions, &applied),
        "rollover_headroom_seconds": positions.headroom_seconds(),
        "api": live.map(|live| live.url.clone()),
        "member": capture.member,
        "member_reason": capture.member_reason,
        "role": role_json(&capture.role),
        "windows": windows.len(),
        "gaps": gaps.len(),
        "bases": bases.iter().map(|base| base.name.clone()).collect::<Vec<_>>(),
        "base_copy": live.map(|live| copy_json(&live.copy.now())),
        "history_loading": applied.loading,
        "unknown_commands_skipped": service.engine.history.as_ref().map(|it| it.skipped()),
        "catalog": catalog::json(&capture.catalog, service.engine.history.as_deref()),
        "remedies": of_all(&errors),
        "errors": errors.into_iter().map(|error| error.text).collect::<Vec<_>>(),
    }))
}

fn copy_json(copy: &CopyState) -> Value {
    match copy {
        CopyState::Idle => Value::Null,
        CopyState::Failed(reason) => json!({ "failed": reason }),
        CopyState::Copying(progress) => json!({
            "stage": format!("{:?}", progress.stage),
            "collections_done": progress.collections_done,
            "collections": progress.collections,
            "documents": progress.documents,
            "bytes": progress.raw_bytes,
            "last_failure": progress.last_failure,
        }),
    }
}

fn role_json(role: &Role) -> Value {
    match role {
        Role::None => Value::Null,
        Role::Leading { epoch } => json!({"leading": true, "epoch": epoch.0}),
        Role::StandingBy { leader, epoch } => {
            json!({"leading": false, "leader": leader, "epoch": epoch.0})
        }
    }
}

fn positions_json(positions: &Positions, applied: &Applied) -> Value {
    let of = |optime: Option<OpTime>| optime.map(|optime| of_timestamp(optime.ts));
    json!({
        "majority": of(positions.majority),
        "received": of(positions.received),
        "durable": of(positions.durable),
        "indexed": of(positions.indexed),
        "applied": of(applied.applied),
    })
}

/// Differences between two named positions, in seconds of cluster time.
fn lags(positions: &Positions, applied: &Applied) -> Value {
    json!({
        "majority_to_durable": positions.capture_lag_seconds(),
        "durable_to_applied": positions.apply_lag_seconds(applied.applied),
    })
}

fn errors(capture: &hindsight_tailer::CaptureStatus, applied: &Applied) -> Vec<Finding> {
    let stopped = applied.stopped.as_ref().map(|stopped| stopped.reason.clone());
    // A failure is reported until the attempt succeeds, also while it is being retried.
    let log = capture.log_error.clone().or_else(|| capture.log_overdue.clone());
    let waiting = applied.waiting.clone();
    [capture.source_error.clone(), log.map(Into::into), waiting.map(Into::into), stopped]
        .into_iter()
        .flatten()
        .chain(capture.risks.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use hindsight_replayer::Stopped;

    use super::*;

    #[test]
    fn a_wait_ends_where_the_history_stopped_only_for_later_times() {
        let ts = |seconds| Timestamp::new(seconds, 1);
        let at = |seconds| Applied { through: Some(ts(seconds)), ..Applied::default() };
        let stopped = Some(Stopped { reason: "no such document".into(), needs_base: false });
        let stopped_at = |seconds| Applied { stopped: stopped.clone(), ..at(seconds) };
        let reached = |seconds| Progress::Reached(ts(seconds));
        let stops = || Progress::Stopped("no such document".into());
        for (through, history, wanted) in [
            (Some(9), Some(at(9)), reached(9)),
            (Some(5), None, reached(5)),
            (Some(9), Some(at(4)), Progress::NotYet),
            (Some(4), Some(at(9)), Progress::NotYet),
            (None, Some(Applied::default()), Progress::NotYet),
            (None, None, Progress::NotYet),
            (Some(7), Some(stopped_at(7)), reached(7)),
            (Some(4), Some(stopped_at(4)), stops()),
            (None, Some(Applied { stopped: stopped.clone(), ..Applied::default() }), stops()),
        ] {
            let about = format!("{through:?} {history:?}");
            assert_eq!(progress(ts(5), through.map(ts), history.as_ref()), wanted, "{about}");
        }
    }
}
