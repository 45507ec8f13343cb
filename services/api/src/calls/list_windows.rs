//! `ListWindows`: the times that can be restored, and the gaps.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use hindsight_refusal::status_of;
use serde::Serialize;
use serde_json::Value;
use tonic::Status;
use utoipa::ToSchema;

use crate::json::{PositionJson, WindowJson};
use crate::service::{ApiCall, Counted, Place, Service, Unary};
use crate::times::{to_api, window_to_api};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::Asker;

impl ApiCall for api::ListWindowsRequest {
    const NAME: &'static str = "ListWindows";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::ListWindowsResponse;

    fn about(&self) -> Value {
        Value::Null
    }
}

impl Unary for api::ListWindowsRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let windows = service.engine.windows().map_err(status_of)?;
        let gaps = service.engine.gaps().map_err(status_of)?;
        let gaps = gaps.into_iter().map(|gap| api::Gap {
            after: Some(to_api(gap.after.ts)),
            before: Some(to_api(gap.before.ts)),
            reason: gap.reason,
        });
        Ok(api::ListWindowsResponse {
            windows: windows.into_iter().map(window_to_api).collect(),
            gaps: gaps.collect(),
        })
    }
}

/// The times that can be restored, and the gaps in which entries are missing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Windows)]
pub struct WindowsJson {
    /// Oldest first.
    pub windows: Vec<WindowJson>,
    pub gaps: Vec<GapJson>,
}

/// A gap: entries after `after` and before `before` were never captured.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
pub struct GapJson {
    pub after: Option<PositionJson>,
    pub before: Option<PositionJson>,
    pub reason: String,
}

impl From<api::ListWindowsResponse> for WindowsJson {
    fn from(answer: api::ListWindowsResponse) -> Self {
        let gap = |gap: api::Gap| GapJson {
            after: gap.after.map(Into::into),
            before: gap.before.map(Into::into),
            reason: gap.reason,
        };
        Self {
            windows: answer.windows.into_iter().map(Into::into).collect(),
            gaps: answer.gaps.into_iter().map(gap).collect(),
        }
    }
}

/// Lists the times that can be restored, and the gaps in which entries are missing.
#[utoipa::path(get, path = "/v1/windows", tag = "times", responses(
    (status = 200, body = WindowsJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn windows(asker: Asker) -> Result<Response, Problem> {
    let answer = asker.one(api::ListWindowsRequest {}).await?;
    Ok(json(&WindowsJson::from(answer)))
}
