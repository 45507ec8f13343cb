//! `WaitRestorable`: waits until a time can be restored and read.

use std::time::Duration;

use axum::response::Response;
use hindsight_access::Role;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, status_of};
use hindsight_remedy::Finding;
use hindsight_replayer::{Applied, Engine};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tonic::Status;
use utoipa::IntoParams;

use crate::json::PositionJson;
use crate::service::{ApiCall, Counted, Live, Place, Service, Unary, about};
use crate::times::to_api;
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Params, time};

/// Limit on a wait, however long the caller is willing to wait.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

impl ApiCall for api::WaitRestorableRequest {
    const NAME: &'static str = "WaitRestorable";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::WaitRestorableResponse;

    fn about(&self) -> Value {
        about::given([("time", about::time(&self.time))])
    }
}

impl Unary for api::WaitRestorableRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let live = service
            .live
            .as_ref()
            .ok_or_else(|| Reason::Unavailable.status("no process runs on this data directory"))?;
        let through = wait_for(live, &service.engine, self).await?;
        Ok(api::WaitRestorableResponse { restorable_through: Some(to_api(through)) })
    }
}

/// Waits until a time (default: everything acknowledged when the call arrives) can be restored
/// and read. Fails when the source cannot be asked now: an older answer would promise too much.
async fn wait_for(
    live: &Live,
    engine: &Engine,
    request: api::WaitRestorableRequest,
) -> Result<Timestamp, Status> {
    let patience = Duration::from_millis(request.timeout_ms).min(MAX_WAIT);
    let deadline = Instant::now() + patience;
    let is_named = request.time.is_some();
    let target = match request.time {
        Some(time) => engine.bound(&time.text, false).map_err(status_of)?,
        None => tokio::time::timeout_at(deadline, live.source()?.newest_write()).await.map_err(
            |_| {
                Reason::TimedOut
                    .status("the source did not say in time what was committed until now")
            },
        )??,
    };
    let mut applied = live.applied.clone();
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

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitParams {
    /// The time to wait for. Default: everything committed at the source when the call arrives.
    time: Option<String>,
    /// Give up after this many milliseconds. Default: 60,000.
    timeout_ms: Option<u32>,
}

/// Waits until a time can be restored and read.
#[utoipa::path(get, path = "/v1/wait", tag = "times", params(WaitParams), responses(
    (status = 200, body = Object, description = "`restorable_through`, a position"),
    (status = 408, body = ProblemJson, content_type = "application/problem+json", description = "not restorable within the time-out"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn wait(
    asker: Asker,
    Params(params): Params<WaitParams>,
) -> Result<Response, Problem> {
    let timeout_ms = u64::from(params.timeout_ms.unwrap_or(60_000));
    let request = api::WaitRestorableRequest { time: time(params.time), timeout_ms };
    let through = asker.one(request).await?.restorable_through.map(PositionJson::from);
    Ok(json(&serde_json::json!({"restorable_through": through})))
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
