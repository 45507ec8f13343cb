//! Finds the operation that did the damage.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Format, json, line, object, stream};
use super::problem::{Problem, ProblemJson};
use super::question::{Asker, Params, document, id, time};
use crate::extended_json::written;
use crate::json::{EntriesJson, Notation, TimelineJson};
use crate::service::{Service, invalid};

/// The most entries in one JSON object.
const MAX_IN_OBJECT: u64 = 10_000;
const DEFAULT_LIMIT: u64 = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TimelineParams {
    /// `db.collection`, or `db.*`. Default: all.
    ns: Option<String>,
    /// Default: from the first entry held.
    from: Option<String>,
    /// Default: to the last entry held.
    to: Option<String>,
    /// Length of a bucket in seconds. Default, and for 0: a length that makes at most 60 buckets.
    bucket_seconds: Option<u32>,
}

/// Counts operations per namespace and stretch of time, and lists the commands among them.
#[utoipa::path(get, path = "/v1/timeline", tag = "search", params(TimelineParams), responses(
    (status = 200, body = TimelineJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn timeline(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Params(params): Params<TimelineParams>,
) -> Result<Response, Problem> {
    let request = api::GetTimelineRequest {
        ns: params.ns.unwrap_or_default(),
        from: time(params.from),
        to: time(params.to),
        bucket_seconds: params.bucket_seconds.unwrap_or_default(),
    };
    let answer = service.get_timeline(asker.asks(request)).await?;
    Ok(json(&TimelineJson::from(answer.into_inner())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParams {
    /// `db.collection`, or `db.*`. Default: all.
    ns: Option<String>,
    /// Kinds of operations (`i`, `u`, `d`, `n`, `c`) or names of commands such as `drop`, separated
    /// by commas.
    op: Option<String>,
    /// `_id` of the document.
    id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// Limit on the number of matches: the newest are returned. Default: 100; at most 10,000 in one
    /// JSON object. 0 returns all matches, and only as a stream.
    limit: Option<u64>,
    /// `SESSION:NUMBER`: the UUID in `lsid.id`, and `txnNumber`.
    transaction: Option<String>,
    /// The UUID in `lsid.id`.
    session: Option<String>,
    /// A dotted path. Return updates that write this field, a part of it, or a field that contains
    /// it.
    changed_field: Option<String>,
    /// A regular expression that matches somewhere in the entry, written as relaxed Extended JSON.
    grep: Option<String>,
    /// A filter in MongoDB's query language, applied to the entry itself: `{"o.status":"paid"}`.
    filter: Option<String>,
    /// Number of entries before each match that are also returned.
    before_context: Option<u32>,
    /// Continue with entries as they become durable, until the call is cancelled. Only as a stream.
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Returns entries of the oplog, oldest first.
#[utoipa::path(get, path = "/v1/entries", tag = "search", params(SearchParams), responses(
    (status = 200, content(
        (EntriesJson = "application/json"), (Object = "application/x-ndjson"), (String = "application/bson"))),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn search(
    State(service): State<Arc<Service>>,
    asker: Asker,
    format: Format,
    Params(params): Params<SearchParams>,
) -> Result<Response, Problem> {
    let (notation, request) = (params.notation, request_of(params, format)?);
    let limit = request.limit;
    let answers = service.search_entries(asker.asks(request)).await?.into_inner();
    match format {
        Format::Json => {
            let add =
                |to: &mut EntriesJson, it: &api::SearchEntriesResponse| to.add(it, notation, limit);
            object(answers, add).await
        }
        Format::Lines => Ok(stream(format, answers, move |answer, to| {
            answer
                .entries
                .iter()
                .try_for_each(|entry| line(&written(entry, notation.into())?.marked(), to))
        })),
        Format::Bson => Ok(stream(format, answers, |answer, to| {
            answer.entries.iter().for_each(|entry| to.extend_from_slice(entry));
            Ok(())
        })),
    }
}

fn request_of(params: SearchParams, format: Format) -> Result<api::SearchEntriesRequest, Problem> {
    let follows_only = if params.follow { 0 } else { DEFAULT_LIMIT };
    let limit = params.limit.unwrap_or(follows_only);
    if format == Format::Json && (params.follow || limit == 0 || limit > MAX_IN_OBJECT) {
        let text = format!(
            "a JSON object holds at most {MAX_IN_OBJECT} entries: for more, or to follow, ask for a stream \
             (Accept: application/x-ndjson)"
        );
        return Err(invalid("limit", text).into());
    }
    let op = params.op.iter().flat_map(|op| op.split(','));
    Ok(api::SearchEntriesRequest {
        ns: params.ns.unwrap_or_default(),
        op: op.filter(|op| !op.is_empty()).map(str::to_owned).collect(),
        id: params.id.as_deref().map(id).transpose()?.unwrap_or_default(),
        from: time(params.from),
        to: time(params.to),
        limit,
        transaction: params.transaction.unwrap_or_default(),
        session: params.session.unwrap_or_default(),
        changed_field: params.changed_field.unwrap_or_default(),
        grep: params.grep.unwrap_or_default(),
        filter: document("filter", params.filter.as_deref())?,
        before_context: params.before_context.unwrap_or_default(),
        follow: params.follow,
    })
}
