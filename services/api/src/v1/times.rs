//! What is held, and what a time means.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::json;
use super::problem::{Problem, ProblemJson, unshowable};
use super::question::{Asker, Body, Params, time};
use crate::json::{BasesJson, Notation, PositionJson, ResolvedTimeJson, WindowsJson};
use crate::service::Service;

/// Answers with an object that is already JSON text.
fn object(text: &str) -> Result<Response, Problem> {
    let value: Value = serde_json::from_str(text).map_err(|error| unshowable(error.into()))?;
    Ok(json(&value))
}

/// Returns positions, lags, the member that Hindsight reads from, and the last errors.
#[utoipa::path(get, path = "/v1/status", tag = "times", responses(
    (status = 200, body = Object), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn status(
    State(service): State<Arc<Service>>,
    asker: Asker,
) -> Result<Response, Problem> {
    let answer = service.get_status(asker.asks(api::GetStatusRequest {})).await?;
    object(&answer.get_ref().json)
}

/// Lists the times that can be restored, and the gaps in which entries are missing.
#[utoipa::path(get, path = "/v1/windows", tag = "times", responses(
    (status = 200, body = WindowsJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn windows(
    State(service): State<Arc<Service>>,
    asker: Asker,
) -> Result<Response, Problem> {
    let answer = service.list_windows(asker.asks(api::ListWindowsRequest {})).await?;
    Ok(json(&WindowsJson::from(answer.into_inner())))
}

/// Lists the bases: copies of all data, from which states are built.
#[utoipa::path(get, path = "/v1/bases", tag = "times", responses(
    (status = 200, body = BasesJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn bases(
    State(service): State<Arc<Service>>,
    asker: Asker,
) -> Result<Response, Problem> {
    let answer = service.list_bases(asker.asks(api::ListBasesRequest {})).await?;
    Ok(json(&BasesJson::from(answer.into_inner())))
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
    State(service): State<Arc<Service>>,
    asker: Asker,
    Params(params): Params<WaitParams>,
) -> Result<Response, Problem> {
    let timeout_ms = u64::from(params.timeout_ms.unwrap_or(60_000));
    let request = api::WaitRestorableRequest { time: time(params.time), timeout_ms };
    let answer = service.wait_restorable(asker.asks(request)).await?.into_inner();
    let through = answer.restorable_through.map(PositionJson::from);
    Ok(json(&serde_json::json!({"restorable_through": through})))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResolveParams {
    time: String,
    /// Exclude the time itself. When the time is a whole second, exclude the whole second.
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Resolves a time: returns the position, its window, and the entries around it.
#[utoipa::path(get, path = "/v1/resolve", tag = "times", params(ResolveParams), responses(
    (status = 200, body = ResolvedTimeJson),
    (status = 422, body = ProblemJson, content_type = "application/problem+json", description = "the time cannot be restored"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn resolve(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Params(params): Params<ResolveParams>,
) -> Result<Response, Problem> {
    let time = api::TimeSpec { text: params.time, exclusive: params.exclusive };
    let request = api::ResolveTimeRequest { time: Some(time) };
    let answer = service.resolve_time(asker.asks(request)).await?.into_inner();
    Ok(json(&ResolvedTimeJson::of(answer, params.notation).map_err(unshowable)?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerifyRequest)]
pub(super) struct VerifyBody {
    /// Read every byte of the log and the bases, not only the seals.
    #[serde(default)]
    deep: bool,
}

/// Checks the chain of segments and its checksums, and the bases.
#[utoipa::path(post, path = "/v1/verify", tag = "times", request_body = VerifyBody, responses(
    (status = 200, body = Object, description = "the report; `sound` says whether everything is sound"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn verify(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Body(body): Body<VerifyBody>,
) -> Result<Response, Problem> {
    let answer = service.verify(asker.asks(api::VerifyRequest { deep: body.deep })).await?;
    object(&answer.get_ref().json)
}
