//! Documents as of a time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::BytesMut;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Format, json, line, object, raw, stream};
use super::problem::{Problem, ProblemJson, unshowable};
use super::question::{Asker, Params, Segments, document, id, time};
use crate::extended_json::written;
use crate::json::{ChangeJson, ChangesJson, DocumentJson, DocumentsJson, Notation, VersionsJson};
use crate::service::{Service, invalid};

/// The most documents or changes in one JSON object.
const MAX_IN_OBJECT: u64 = 10_000;
const DEFAULT_IN_OBJECT: u64 = 1_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetParams {
    /// Default: latest.
    at: Option<String>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Returns one document as it was at a time.
#[utoipa::path(get, path = "/v1/collections/{ns}/documents/{id}", tag = "data",
    params(
        ("ns" = String, Path, description = "`db.collection`"),
        ("id" = String, Path, description = "`_id`, percent-encoded"),
        GetParams),
    responses(
        (status = 200, content((DocumentJson = "application/json"), (String = "application/bson"))),
        (status = 404, body = ProblemJson, content_type = "application/problem+json", description = "the document did not exist then"),
        (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn get_document(
    State(service): State<Arc<Service>>,
    asker: Asker,
    format: Format,
    Segments((ns, wanted)): Segments<(String, String)>,
    Params(params): Params<GetParams>,
) -> Result<Response, Problem> {
    let request = api::GetDocumentRequest { ns, id: id(&wanted)?, at: time(params.at) };
    let answer = service.get_document(asker.asks(request)).await?.into_inner();
    if format == Format::Bson {
        return Ok(raw(answer.document, answer.at));
    }
    Ok(json(&DocumentJson::of(&answer, params.notation).map_err(unshowable)?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionsParams {
    /// Limit on the number of versions. Default: 1,000; at most 10,000.
    page_size: Option<u32>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Lists every version of one document, oldest first.
#[utoipa::path(get, path = "/v1/collections/{ns}/documents/{id}/versions", tag = "data",
    params(
        ("ns" = String, Path, description = "`db.collection`"),
        ("id" = String, Path, description = "`_id`, percent-encoded"),
        VersionsParams),
    responses(
        (status = 200, body = VersionsJson),
        (status = 404, body = ProblemJson, content_type = "application/problem+json", description = "the document never existed"),
        (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn versions(
    State(service): State<Arc<Service>>,
    asker: Asker,
    Segments((ns, wanted)): Segments<(String, String)>,
    Params(params): Params<VersionsParams>,
) -> Result<Response, Problem> {
    let request = api::ListVersionsRequest {
        ns,
        id: id(&wanted)?,
        page_size: params.page_size.unwrap_or_default(),
        page_token: params.page_token.unwrap_or_default(),
    };
    let answer = service.list_versions(asker.asks(request)).await?.into_inner();
    Ok(json(&VersionsJson::of(answer, params.notation).map_err(unshowable)?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScanParams {
    /// Default: latest.
    at: Option<String>,
    /// A filter in MongoDB's query language: `{"total":{"$gt":100}}`. In a collection with a
    /// collation, a filter that compares strings, other than by `$regex`, is refused.
    filter: Option<String>,
    /// Which fields to return, as `find` takes it: `{"total":1}`.
    projection: Option<String>,
    /// Limit on the number of documents. Default: 1,000 in one JSON object, which holds at most
    /// 10,000; no limit in a stream.
    limit: Option<u64>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Returns the documents of a collection as they were at a time, in the order of `_id`.
#[utoipa::path(get, path = "/v1/collections/{ns}/documents", tag = "data",
    params(("ns" = String, Path, description = "`db.collection`"), ScanParams),
    responses(
        (status = 200, content(
            (DocumentsJson = "application/json"), (Object = "application/x-ndjson"), (String = "application/bson"))),
        (status = 404, body = ProblemJson, content_type = "application/problem+json", description = "the collection did not exist then"),
        (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn scan(
    State(service): State<Arc<Service>>,
    asker: Asker,
    format: Format,
    Segments(ns): Segments<String>,
    Params(params): Params<ScanParams>,
) -> Result<Response, Problem> {
    let notation = params.notation;
    let request = api::ScanCollectionRequest {
        ns,
        at: time(params.at),
        limit: limit_of(params.limit, format)?,
        filter: document("filter", params.filter.as_deref())?,
        projection: document("projection", params.projection.as_deref())?,
        page_token: params.page_token.unwrap_or_default(),
    };
    let answers = service.scan_collection(asker.asks(request)).await?.into_inner();
    match format {
        Format::Json => object(answers, |to: &mut DocumentsJson, it| to.add(it, notation)).await,
        Format::Lines => Ok(stream(format, answers, move |answer, to| {
            answer
                .documents
                .iter()
                .try_for_each(|document| line(&written(document, notation.into())?.marked(), to))
        })),
        Format::Bson => Ok(stream(format, answers, |answer, to| {
            answer.documents.iter().for_each(|document| to.extend_from_slice(document));
            Ok(())
        })),
    }
}

/// Returns the limit to ask for: one JSON object holds at most [`MAX_IN_OBJECT`] items, a stream
/// any number.
fn limit_of(wanted: Option<u64>, format: Format) -> Result<u64, Problem> {
    match wanted {
        None if format == Format::Json => Ok(DEFAULT_IN_OBJECT),
        Some(limit) if format == Format::Json && !(1..=MAX_IN_OBJECT).contains(&limit) => {
            let text = format!(
                "a JSON object holds 1 to {MAX_IN_OBJECT} items: for more, ask for a stream (Accept: application/x-ndjson)"
            );
            Err(invalid("limit", text).into())
        }
        wanted => Ok(wanted.unwrap_or(0)),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffParams {
    from: String,
    /// Default: latest.
    to: Option<String>,
    /// `db.collection`, or `db.*`. Default: all.
    ns: Option<String>,
    /// Return only documents that match this filter at `from` or at `to`: `{"total":{"$gt":100}}`.
    filter: Option<String>,
    /// Limit on the number of changes. Default: 1,000 in one JSON object, which holds at most
    /// 10,000; no limit in a stream.
    limit: Option<u64>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Returns the differences between two times, by namespace, then `_id`.
#[utoipa::path(get, path = "/v1/diff", tag = "data", params(DiffParams),
    responses(
        (status = 200, content((ChangesJson = "application/json"), (ChangeJson = "application/x-ndjson"))),
        (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn diff(
    State(service): State<Arc<Service>>,
    asker: Asker,
    format: Format,
    Params(params): Params<DiffParams>,
) -> Result<Response, Problem> {
    let format = if format == Format::Bson { Format::Json } else { format };
    let notation = params.notation;
    let limit = limit_of(params.limit, format)?;
    let request = api::DiffTimesRequest {
        ns: params.ns.unwrap_or_default(),
        from: time(Some(params.from)),
        to: time(params.to),
        filter: document("filter", params.filter.as_deref())?,
        // One change more than fits into the object shows whether there are more changes.
        limit: if format == Format::Json { limit + 1 } else { limit },
    };
    let answers = service.diff_times(asker.asks(request)).await?.into_inner();
    if format == Format::Json {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        return object(answers, |to: &mut ChangesJson, it| to.add(it, notation, most)).await;
    }
    Ok(stream(format, answers, move |answer, to: &mut BytesMut| {
        answer.changes.iter().try_for_each(|change| line(&ChangeJson::of(change, notation)?, to))
    }))
}
