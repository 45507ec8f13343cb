//! The collections that existed at a time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::json;
use super::problem::{Problem, ProblemJson, unshowable};
use super::question::{Asker, Params, time};
use crate::json::{CollectionsJson, Notation};
use crate::service::Service;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Default: latest.
    at: Option<String>,
    /// `db.collection`, or `db.*`. Default: all.
    ns: Option<String>,
    /// Limit on the number of collections. Default: 1,000; at most 10,000.
    page_size: Option<u32>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Lists the collections and views that existed at a time, with options and indexes, by name.
#[utoipa::path(get, path = "/v1/collections", tag = "data", params(ListParams), responses(
    (status = 200, body = CollectionsJson),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let request = api::ListCollectionsRequest {
        at: time(params.at),
        ns: params.ns.unwrap_or_default(),
        page_size: params.page_size.unwrap_or_default(),
        page_token: params.page_token.unwrap_or_default(),
    };
    let answer = service.list_collections(asker.asks(request)).await?.into_inner();
    Ok(json(&CollectionsJson::of(answer, params.notation).map_err(unshowable)?))
}
