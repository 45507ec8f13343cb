//! `PlanRestore`: what a restore would write, and whether the target can take it.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use hindsight_refusal::invalid;
use serde_json::Value;
use tonic::Status;

use crate::json::PlanJson;
use crate::service::{ApiCall, Counted, Place, Service, Unary, about};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Body};
use crate::v1::restores::RestoreBody;

impl ApiCall for api::PlanRestoreRequest {
    const NAME: &'static str = "PlanRestore";
    const ROLE: Role = Role::Operator;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::RestorePlan;

    fn about(&self) -> Value {
        about::restore(self.restore.as_ref())
    }
}

impl Unary for api::PlanRestoreRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let restore = self.restore.ok_or_else(|| invalid("restore", "it is missing"))?;
        hindsight_restores::plan(&service.engine, &restore).await
    }
}

/// Returns what a restore would write, and whether the target can take it. Writes nothing.
#[utoipa::path(post, path = "/v1/restores/plan", tag = "restores", request_body = RestoreBody, responses(
    (status = 200, body = PlanJson),
    (status = 409, body = ProblemJson, content_type = "application/problem+json", description = "the target cannot take the restore"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn plan(asker: Asker, Body(body): Body<RestoreBody>) -> Result<Response, Problem> {
    let answer = asker.one(api::PlanRestoreRequest { restore: Some(body.spec()?) }).await?;
    Ok(json(&PlanJson::from(answer)))
}
