//! `ScanCollection`: the documents of a collection at a time, all of them or the documents that a
//! filter selects.

use anyhow::Result;
use axum::response::Response;
use bson::RawDocument;
use bytes::{Bytes, BytesMut};
use hindsight_access::Role;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_query::{Filter, Projection};
use hindsight_refusal::{Reason, invalid, status_of};
use hindsight_replayer::{Engine, QueryError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::extended_json::written;
use crate::json::texts::{Text, Texts};
use crate::json::{Notation, PositionJson};
use crate::service::absent::no_such_collection;
use crate::service::fields::{check_ns, query_of};
use crate::service::page::PageKey;
use crate::service::streams::{self, AHEAD, Gather, MESSAGE_BYTES};
use crate::service::{Answers, ApiCall, Counted, Service, Streaming, about, collation};
use crate::times::to_api;
use crate::v1::answer::{Format, line, object, stream};
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Params, Segments, document, limit_of, time};

impl ApiCall for api::ScanCollectionRequest {
    const NAME: &'static str = "ScanCollection";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = Some(|answer| answer.documents.len() as u64);
    type Answer = api::ScanCollectionResponse;

    fn about(&self) -> Value {
        about::given([
            ("ns", self.ns.as_str().into()),
            ("at", about::time(&self.at)),
            ("limit", self.limit.into()),
            ("filter", about::document(&self.filter)),
            ("projection", about::document(&self.projection)),
        ])
    }
}

impl Streaming for api::ScanCollectionRequest {
    async fn answers(self, service: &Service) -> Result<Answers<Self::Answer>, Status> {
        answers(service, self).await
    }
}

/// Which documents to return, and which of their fields.
struct Selection {
    filter: Option<Filter>,
    projection: Option<Projection>,
    limit: usize,
}

/// Copies documents, many of them into one piece of memory: allocating memory for each document,
/// and freeing it on another thread, takes longer than copying the document.
#[derive(Default)]
struct Copies(BytesMut);

impl Copies {
    fn of(&mut self, document: &[u8]) -> Bytes {
        if self.0.capacity() < document.len() {
            self.0 = BytesMut::with_capacity(MESSAGE_BYTES.max(document.len()));
        }
        self.0.extend_from_slice(document);
        self.0.split().freeze()
    }
}

impl Selection {
    fn parse(
        engine: &Engine,
        at: Timestamp,
        request: &api::ScanCollectionRequest,
    ) -> Result<Self, Status> {
        let mut projection = None;
        if !request.projection.is_empty() {
            let document = RawDocument::from_bytes(&request.projection[..])
                .map_err(|error| invalid("projection", error))?;
            let parsed = Projection::parse(document);
            projection = Some(parsed.map_err(|error| invalid("projection", error))?);
        }
        let limit = match request.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let filter = query_of(engine, Some(at), &request.filter)?;
        Ok(Self { filter, projection, limit })
    }

    /// Returns what the answer shows of a document, or `None` when the filter excludes the
    /// document.
    fn select(&self, document: &[u8], copies: &mut Copies) -> Result<Option<Bytes>, Status> {
        if self.filter.is_none() && self.projection.is_none() {
            return Ok(Some(copies.of(document)));
        }
        let corrupt = |error: &dyn std::fmt::Display| Reason::Corrupt.status(error.to_string());
        let raw = RawDocument::from_bytes(document).map_err(|error| corrupt(&error))?;
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(raw)) {
            return Ok(None);
        }
        match &self.projection {
            Some(projection) => {
                let selected = projection.apply(raw).map_err(|error| corrupt(&error))?;
                Ok(Some(selected.into_bytes().into()))
            }
            None => Ok(Some(copies.of(document))),
        }
    }
}

/// A scan, or the next page of a scan.
struct Scan {
    ns: String,
    at: Timestamp,
    /// The id key after which the scan continues.
    after: Option<Vec<u8>>,
    selection: Selection,
    key: PageKey,
}

async fn answers(
    service: &Service,
    request: api::ScanCollectionRequest,
) -> Result<Answers<api::ScanCollectionResponse>, Status> {
    check_ns(&request.ns)?;
    let parts = [request.ns.as_bytes(), &request.filter, &request.projection];
    let key = PageKey::new("scan", &parts);
    let (at, after) = match key.position_and_time(&request.page_token)? {
        // Later pages show the same time as the first page.
        Some((at, after)) => {
            service.engine.check(at).map_err(status_of)?;
            (at, Some(after))
        }
        None => (service.reach(request.at.clone()).await?, None),
    };
    let selection = Selection::parse(&service.engine, at, &request)?;
    let scan = Scan { ns: request.ns, at, after, selection, key };
    // Checked here, so that an error becomes the status of the call itself.
    let view = service.engine.view(at).map_err(status_of)?;
    let Some(state) = view.collection(&scan.ns) else {
        return Err(no_such_collection(&view, &scan.ns));
    };
    collation::check_filter(scan.selection.filter.as_ref(), [&*state])?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let engine = service.engine.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let message = |documents| api::ScanCollectionResponse {
            documents,
            at: Some(to_api(at)),
            next_page_token: String::new(),
        };
        let mut gather = Gather::new(sender, message);
        let result = scan.run(&engine, &mut gather);
        gather.end(result);
    });
    Ok(streams::answers(receiver, thread))
}

impl Scan {
    fn run<F>(
        &self,
        engine: &Engine,
        gather: &mut Gather<Bytes, api::ScanCollectionResponse, F>,
    ) -> Result<(), Status>
    where
        F: Fn(Vec<Bytes>) -> api::ScanCollectionResponse,
    {
        let view = engine.view(self.at).map_err(status_of)?;
        let after = self.after.as_deref();
        let documents = view.scan_after(&self.ns, after);
        let mut documents = documents.map_err(QueryError::from).map_err(status_of)?;
        let (mut left, mut copies) = (self.selection.limit, Copies::default());
        loop {
            let scanned = documents.next_document();
            let scanned = scanned.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
            let Some(scanned) = scanned else { return Ok(()) };
            // A filter may exclude documents for a long time, and the caller may be gone by then.
            if !gather.is_wanted() {
                return Ok(());
            }
            let Some(selected) = self.selection.select(scanned.document, &mut copies)? else {
                continue;
            };
            let bytes = selected.len();
            left -= 1;
            if !gather.add(selected, bytes) {
                return Ok(());
            }
            if left == 0 {
                let token = self.key.token_at(self.at, scanned.id_key)?;
                gather.send_amended(|last| last.next_page_token = token);
                return Ok(());
            }
        }
    }
}

/// Documents as they were at a time, in the order of `_id`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = DocumentsAt)]
pub struct DocumentsJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Vec<Object>)]
    pub documents: Vec<Text>,
    /// Empty on the last page.
    pub next_page_token: String,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl DocumentsJson {
    /// Adds an answer. Returns the length of the text that was added.
    pub fn add(
        &mut self,
        answer: &api::ScanCollectionResponse,
        notation: Notation,
    ) -> Result<usize> {
        let mut texts = Texts::new(notation);
        let documents = texts.each("documents", self.documents.len(), &answer.documents)?;
        self.at = answer.at.map(Into::into);
        self.documents.extend(documents);
        self.next_page_token.clone_from(&answer.next_page_token);
        self.inexact.extend(texts.inexact);
        Ok(texts.bytes)
    }
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
    let answers = asker.many(request).await?;
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
