//! Restores, and the operations that represent them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hindsight_proto::longrunning::operations_server::Operations;
use hindsight_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
};
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Format, json, line, stream};
use super::problem::{Problem, ProblemJson, unshowable};
use super::question::{Asker, Body, Params, Segments};
use crate::json::PlanJson;
use crate::json::operation::{OperationJson, OperationsJson};
use crate::service::{Service, invalid};

/// Which state to restore, and where to. Exactly one of `until` and `before` is needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restore)]
pub(super) struct RestoreBody {
    /// Restore everything up to and including this time.
    until: Option<String>,
    /// Restore everything before this time.
    before: Option<String>,
    /// The target's connection string. It is never logged, stored, or returned.
    to: String,
    /// Write into a target that holds other collections. Nothing is ever overwritten.
    #[serde(default)]
    #[schema(required = false)]
    allow_non_empty: bool,
    /// Leave out individual indexes, options and documents that the target can never hold, and name
    /// them in the report.
    #[serde(default)]
    #[schema(required = false)]
    leave_out_unrestorable: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateRestore)]
pub(super) struct CreateBody {
    restore: RestoreBody,
    /// A UUID that the caller chooses. A second call with the same UUID returns the operation of
    /// the first call.
    #[serde(default)]
    #[schema(required = false)]
    request_id: String,
    /// Check everything, and start nothing.
    #[serde(default)]
    #[schema(required = false)]
    validate_only: bool,
}

fn spec(body: RestoreBody) -> Result<Option<api::RestoreSpec>, Problem> {
    let time = match (body.until, body.before) {
        (Some(text), None) => api::TimeSpec { text, exclusive: false },
        (None, Some(text)) => api::TimeSpec { text, exclusive: true },
        _ => {
            return Err(
                invalid("until", "give either until (included) or before (excluded)").into()
            );
        }
    };
    Ok(Some(api::RestoreSpec {
        time: Some(time),
        to: body.to,
        allow_non_empty: body.allow_non_empty,
        leave_out_unrestorable: body.leave_out_unrestorable,
    }))
}

/// Returns what a restore would write, and whether the target can take it. Writes nothing.
#[utoipa::path(post, path = "/v1/restores/plan", tag = "restores", request_body = RestoreBody, responses(
    (status = 200, body = PlanJson),
    (status = 409, body = ProblemJson, content_type = "application/problem+json", description = "the target cannot take the restore"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn plan(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Body(body): Body<RestoreBody>,
) -> Result<Response, Problem> {
    let request = api::PlanRestoreRequest { restore: spec(body)? };
    let answer = service.plan_restore(asker.asks(request)).await?;
    Ok(json(&PlanJson::from(answer.into_inner())))
}

/// Starts a restore of everything as of a time into another MongoDB deployment.
#[utoipa::path(post, path = "/v1/restores", tag = "restores", request_body = CreateBody, responses(
    (status = 200, body = OperationJson),
    (status = 409, body = ProblemJson, content_type = "application/problem+json", description = "the target cannot take the restore"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Body(body): Body<CreateBody>,
) -> Result<Response, Problem> {
    let request = api::CreateRestoreRequest {
        restore: spec(body.restore)?,
        request_id: body.request_id,
        validate_only: body.validate_only,
    };
    let answer = service.create_restore(asker.asks(request)).await?;
    Ok(json(&OperationJson::of(answer.get_ref()).map_err(unshowable)?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Limit on the number of restores. Default: 1,000; at most 10,000.
    page_size: Option<u32>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
}

/// Lists all restores, newest first.
#[utoipa::path(get, path = "/v1/operations", tag = "restores", params(ListParams), responses(
    (status = 200, body = OperationsJson),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let request = ListOperationsRequest {
        page_size: i32::try_from(params.page_size.unwrap_or_default()).unwrap_or(i32::MAX),
        page_token: params.page_token.unwrap_or_default(),
        ..Default::default()
    };
    let answer = service.list_operations(asker.asks(request)).await?;
    Ok(json(&OperationsJson::of(answer.get_ref()).map_err(unshowable)?))
}

fn name(id: &str) -> String {
    format!("operations/{id}")
}

/// Returns the progress of a restore, or how it ended.
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 200, body = OperationJson),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn get_operation(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = GetOperationRequest { name: name(&id) };
    let answer = service.get_operation(asker.asks(request)).await?;
    Ok(json(&OperationJson::of(answer.get_ref()).map_err(unshowable)?))
}

/// Deletes the record of a restore that has ended.
#[utoipa::path(delete, path = "/v1/operations/{id}", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 204, description = "the record is deleted"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = DeleteOperationRequest { name: name(&id) };
    service.delete_operation(asker.asks(request)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Streams the operation, one object per line: at once, and after each change until the restore is
/// done.
#[utoipa::path(get, path = "/v1/operations/{id}/watch", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 200, body = OperationJson, content_type = "application/x-ndjson"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn watch(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = api::WatchRestoreRequest { name: name(&id) };
    let states = service.watch_restore(asker.asks(request)).await?.into_inner();
    Ok(stream(Format::Lines, states, |state, to| line(&OperationJson::of(state)?, to)))
}

/// Cancels a restore, which then stops within seconds. What it wrote stays in the target, which
/// must not be used.
#[utoipa::path(post, path = "/v1/operations/{id}/cancel", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 204, description = "the restore was told to stop"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn cancel(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = CancelOperationRequest { name: name(&id) };
    service.cancel_operation(asker.asks(request)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
