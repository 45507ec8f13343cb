//! `GetStatus`: the state of the running process.

mod catalog;
mod json;

use std::collections::BTreeMap;

use axum::response::Response;
use hindsight_access::Role as CallerRole;
use hindsight_copy::{CopyProgress, CopyStage, CopyState};
use hindsight_holdings::DiskUse;
use hindsight_oplog::OpTime;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::base_copy::State;
use hindsight_proto::v1::base_copy_progress::Stage;
use hindsight_refusal::{remedies, status_of};
use hindsight_remedy::{Finding, of_all};
use hindsight_replayer::{Applied, QueryError};
use hindsight_tailer::{CaptureStatus, Positions, Role};
use serde_json::Value;
use tonic::Status;

use crate::service::{ApiCall, Counted, Place, Service, Unary};
use crate::times::to_api;
use crate::v1::answer;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::Asker;

pub use json::StatusJson;

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
        current(service).map_err(status_of)
    }
}

fn current(service: &Service) -> Result<api::GetStatusResponse, QueryError> {
    let engine = &service.engine;
    let applied = engine.applied.borrow().clone();
    let windows = engine.windows()?;
    let bases = engine.index.view().bases().map_err(QueryError::corrupt)?;
    let live = service.live.as_ref();
    let positions = live.map(|live| live.positions.now()).unwrap_or_default();
    let capture = live.map(|live| live.capture.now()).unwrap_or_default();
    let nearly_full = live.and_then(|live| nearly_full(&live.disk.now()));
    let errors = errors(&capture, &applied).into_iter().chain(nearly_full).collect::<Vec<_>>();
    let history = engine.history.as_deref();
    let skipped =
        |counts: BTreeMap<_, _>| api::SkippedCommands { counts: counts.into_iter().collect() };
    Ok(api::GetStatusResponse {
        restorable_from: windows.last().map(|window| to_api(window.from)),
        restorable_through: windows.last().map(|window| to_api(window.through)),
        lags_seconds: Some(api::Lags {
            majority_to_durable: positions.capture_lag_seconds(),
            durable_to_applied: positions.apply_lag_seconds(applied.applied),
        }),
        rollover_headroom_seconds: positions.headroom_seconds(),
        positions: Some(positions_of(&positions, &applied)),
        api: live.map(|live| live.url.clone()),
        role: role_of(&capture.role),
        windows: windows.len() as u64,
        gaps: engine.gaps()?.len() as u64,
        bases: bases.into_iter().map(|base| base.name).collect(),
        base_copy: live.and_then(|live| copy_of(live.copy.now())),
        history_loading: applied.loading.clone(),
        unknown_commands_skipped: history.map(|history| skipped(history.skipped())),
        catalog: Some(catalog::check_of(&capture.catalog, history)),
        remedies: of_all(&errors).iter().map(remedies::to_api).collect(),
        errors: errors.into_iter().map(|error| error.text).collect(),
        disk: live.map(|live| disk_of(&live.disk.now())),
        member: capture.member,
        member_reason: capture.member_reason,
    })
}

fn disk_of(disk: &DiskUse) -> api::DiskUse {
    api::DiskUse {
        log_bytes: disk.log_bytes,
        base_bytes: disk.base_bytes,
        history_bytes: disk.history_bytes,
        free_bytes: disk.free_bytes,
        growth_bytes_per_hour: disk.growth_bytes_per_hour,
        full_in_hours: disk.full_in_hours(),
    }
}

/// Fewer hours than this are reported as something that is wrong.
const FEW_HOURS: u64 = 24;

/// Returns what to say about a disk that will soon be full.
fn nearly_full(disk: &DiskUse) -> Option<Finding> {
    let hours = disk.full_in_hours().filter(|hours| *hours < FEW_HOURS)?;
    let (free, growth) = (disk.free_bytes?, disk.growth_bytes_per_hour?);
    let text = format!(
        "the disk is full in about {hours} hours: {} MB are free, and {} MB more are used in an hour. Capture waits when \
         it is full",
        free / 1_000_000,
        growth / 1_000_000
    );
    Some(text.into())
}

fn positions_of(positions: &Positions, applied: &Applied) -> api::Positions {
    let of = |optime: Option<OpTime>| optime.map(|optime| to_api(optime.ts));
    api::Positions {
        majority: of(positions.majority),
        received: of(positions.received),
        durable: of(positions.durable),
        indexed: of(positions.indexed),
        applied: of(applied.applied),
    }
}

fn role_of(role: &Role) -> Option<api::TailerRole> {
    match role {
        Role::None => None,
        Role::Leading { epoch } => {
            Some(api::TailerRole { leading: true, leader: None, epoch: epoch.0 })
        }
        Role::StandingBy { leader, epoch } => {
            Some(api::TailerRole { leading: false, leader: Some(leader.clone()), epoch: epoch.0 })
        }
    }
}

fn copy_of(copy: CopyState) -> Option<api::BaseCopy> {
    let state = match copy {
        CopyState::Idle => return None,
        CopyState::Failed(reason) => State::Failed(reason),
        CopyState::Copying(progress) => State::Copying(progress_of(progress)),
    };
    Some(api::BaseCopy { state: Some(state) })
}

fn progress_of(progress: CopyProgress) -> api::BaseCopyProgress {
    let stage = match progress.stage {
        CopyStage::Listing => Stage::Listing,
        CopyStage::Scanning => Stage::Scanning,
        CopyStage::AwaitingMajority => Stage::AwaitingMajority,
        CopyStage::Finishing => Stage::Finishing,
        CopyStage::Done => Stage::Done,
    };
    api::BaseCopyProgress {
        stage: stage.into(),
        collections_done: progress.collections_done,
        collections: progress.collections,
        documents: progress.documents,
        bytes: progress.raw_bytes,
        last_failure: progress.last_failure,
    }
}

fn errors(capture: &CaptureStatus, applied: &Applied) -> Vec<Finding> {
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
    (status = 200, body = StatusJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn status(asker: Asker) -> Result<Response, Problem> {
    let answer = asker.one(api::GetStatusRequest {}).await?;
    Ok(answer::json(&StatusJson::from(answer)))
}

#[cfg(test)]
mod tests;
