//! `GetStatus`: the state of the running process.

mod catalog;

use axum::response::Response;
use hindsight_access::Role as CallerRole;
use hindsight_copy::CopyState;
use hindsight_oplog::OpTime;
use hindsight_proto::v1 as api;
use hindsight_remedy::{Finding, of_all};
use hindsight_replayer::{Applied, QueryError};
use hindsight_tailer::{Positions, Role};
use serde_json::{Value, json};
use tonic::Status;

use crate::extended_json::of_timestamp;
use crate::service::{ApiCall, Counted, Place, Service, Unary, status_of};
use crate::v1::answer::json_text;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::Asker;

impl ApiCall for api::GetStatusRequest {
    const NAME: &'static str = "GetStatus";
    const ROLE: CallerRole = CallerRole::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::GetStatusResponse;

    fn about(&self) -> Value {
        Value::Null
    }
}

impl Unary for api::GetStatusRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let json = object_of(service).map_err(status_of)?.to_string();
        Ok(api::GetStatusResponse { json })
    }
}

fn object_of(service: &Service) -> Result<Value, QueryError> {
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

/// Returns positions, lags, the member that Hindsight reads from, and the last errors.
#[utoipa::path(get, path = "/v1/status", tag = "times", responses(
    (status = 200, body = Object), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn status(asker: Asker) -> Result<Response, Problem> {
    let answer = asker.one(api::GetStatusRequest {}).await?;
    json_text(&answer.json)
}
