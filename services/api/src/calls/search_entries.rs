//! `SearchEntries`: finds the operation that did the damage.

use std::sync::Arc;

use anyhow::Result;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream;
use hindsight_access::Role;
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;
use hindsight_oplog::update::FieldPath;
use hindsight_proto::v1 as api;
use hindsight_refusal::{invalid, status_of};
use hindsight_replayer::Engine;
use hindsight_replayer::find::{
    EntryFilter, Found, NamespacePattern, Pattern, Search, SearchOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::extended_json::written;
use crate::json::Notation;
use crate::json::texts::{Text, Texts};
use crate::metrics;
use crate::service::fields::{id_of, query_of};
use crate::service::{Answers, ApiCall, Counted, Service, Streaming, about, missing, whereabouts};
use crate::v1::answer::{self, Format, line, object};
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Params, document, id, time};

/// The most entries in one JSON object.
const MAX_IN_OBJECT: u64 = 10_000;
const DEFAULT_LIMIT: u64 = 100;

impl ApiCall for api::SearchEntriesRequest {
    const NAME: &'static str = "SearchEntries";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = Some(|answer| answer.entries.len() as u64);
    type Answer = api::SearchEntriesResponse;

    fn about(&self) -> Value {
        about::given([
            ("ns", self.ns.as_str().into()),
            ("op", self.op.join(",").into()),
            ("id", about::id(&self.id)),
            ("from", about::time(&self.from)),
            ("to", about::time(&self.to)),
            ("limit", self.limit.into()),
            ("transaction", self.transaction.as_str().into()),
            ("session", self.session.as_str().into()),
            ("changed_field", self.changed_field.as_str().into()),
            ("grep", self.grep.as_str().into()),
            ("filter", about::document(&self.filter)),
            ("follow", self.follow.into()),
        ])
    }
}

impl Streaming for api::SearchEntriesRequest {
    async fn answers(self, service: &Service) -> Result<Answers<Self::Answer>, Status> {
        answers(service, &self)
    }
}

fn answers(
    service: &Service,
    request: &api::SearchEntriesRequest,
) -> Result<Answers<api::SearchEntriesResponse>, Status> {
    let engine = &service.engine;
    let filter = filter_of(engine, request)?;
    let mut notes = whereabouts::notes(engine, &request.ns);
    notes.extend(missing::notes(engine, Some(filter.from), Some(filter.to))?);
    if request.follow && request.to.is_some() {
        return Err(invalid("follow", "nothing follows after `to`: leave one of them out"));
    }
    let options = SearchOptions {
        limit: usize::try_from(request.limit).unwrap_or(usize::MAX),
        before_context: usize::try_from(request.before_context).unwrap_or(usize::MAX),
    };
    let (log, index) = (Arc::clone(&engine.log), Arc::clone(&engine.index));
    let search =
        Search::new(log, index, filter, options, engine.memory.clone()).map_err(status_of)?;
    let with_context = request.before_context > 0;
    let first =
        (!notes.is_empty()).then(|| api::SearchEntriesResponse { notes, ..Default::default() });
    let first = stream::iter(first.map(Ok));
    if !request.follow {
        return Ok(first.chain(found(search, with_context)).boxed());
    }
    let live = service.live.as_ref().ok_or_else(|| {
        invalid("follow", "no process takes in new entries here: start one, or ask without it")
    })?;
    let news = live.positions.watch();
    let answers = stream::try_unfold((search, news), move |(mut search, mut news)| async move {
        let next = search.follow(&mut news).await.map_err(status_of)?;
        Ok(Some((message(next, with_context), (search, news))))
    });
    Ok(first.chain(answers).boxed())
}

/// Returns the matching entries that are in the log now.
fn found(search: Search, with_context: bool) -> Answers<api::SearchEntriesResponse> {
    let answers = stream::try_unfold(search, move |mut search| async move {
        match search.next().await.map_err(status_of)? {
            Some(next) => Ok(Some((message(next, with_context), search))),
            None => {
                let searched = search.searched();
                metrics::searched(searched.segments, searched.frames, searched.entries);
                Ok(None)
            }
        }
    });
    answers.boxed()
}

fn message(found: Vec<Found>, with_context: bool) -> api::SearchEntriesResponse {
    let mut message = api::SearchEntriesResponse::default();
    for found in found {
        message.entries.push(found.entry);
        if with_context {
            message.context.push(found.is_context);
        }
    }
    message
}

fn filter_of(engine: &Engine, request: &api::SearchEntriesRequest) -> Result<EntryFilter, Status> {
    let bound = |time: &Option<api::TimeSpec>, lower: bool| match time {
        None => Ok(if lower { Timestamp::ZERO } else { Timestamp::MAX }),
        Some(time) => engine.bound(&time.text, lower).map_err(status_of),
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut filter = EntryFilter::all();
    filter.namespace = given(&request.ns).map(|ns| NamespacePattern::parse(&ns));
    filter.ops.clone_from(&request.op);
    (filter.from, filter.to) = (bound(&request.from, true)?, bound(&request.to, false)?);
    if !request.id.is_empty() {
        id_of(&request.id)?;
        let id = Doc::new(&request.id).expect("id_of checked it");
        filter.set_id(id).map_err(|error| invalid("id", error))?;
    }
    let parsed = given(&request.transaction).map(|text| text.parse()).transpose();
    filter.transaction = parsed.map_err(|error| invalid("transaction", error))?;
    let parsed = given(&request.session).map(|text| text.parse()).transpose();
    filter.session = parsed.map_err(|error| invalid("session", error))?;
    let parsed = given(&request.changed_field).map(|path| FieldPath::parse(&path)).transpose();
    filter.changed_field = parsed.map_err(|error| invalid("changed_field", error))?;
    let parsed = given(&request.grep).map(|text| Pattern::parse(&text)).transpose();
    filter.grep = parsed.map_err(|error| invalid("grep", error))?;
    let until = request.to.as_ref().map(|_| filter.to);
    filter.query = query_of(engine, until, &request.filter)?.map(Arc::new);
    Ok(filter)
}

/// Entries of the oplog, oldest first.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Entries)]
pub struct EntriesJson {
    #[schema(value_type = Vec<Object>)]
    pub entries: Vec<Text>,
    /// With `before_context`: for each entry, whether it is returned only as context of the match
    /// that follows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub context: Vec<bool>,
    /// Whether the limit was reached. Older entries may then match too.
    pub truncated: bool,
    /// For people: gaps in the range that was searched, and where to look for what a time-series
    /// collection or a view of this name shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
    #[serde(skip)]
    matches: u64,
}

impl EntriesJson {
    /// Adds an answer. `limit` is the number of matches that were asked for. Returns the length of
    /// the text that was added.
    pub fn add(
        &mut self,
        answer: &api::SearchEntriesResponse,
        notation: Notation,
        limit: u64,
    ) -> Result<usize> {
        let mut texts = Texts::new(notation);
        let entries = texts.each("entries", self.entries.len(), &answer.entries)?;
        let context = answer.context.iter().filter(|is_context| **is_context).count();
        self.matches += (entries.len() - context) as u64;
        self.truncated = self.matches >= limit;
        self.entries.extend(entries);
        self.context.extend(&answer.context);
        self.notes.extend_from_slice(&answer.notes);
        self.inexact.extend(texts.inexact);
        Ok(texts.bytes)
    }
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
    asker: Asker,
    format: Format,
    Params(params): Params<SearchParams>,
) -> Result<Response, Problem> {
    let (notation, request) = (params.notation, request_of(params, format)?);
    let limit = request.limit;
    let answers = asker.many(request).await?;
    match format {
        Format::Json => {
            let add =
                |to: &mut EntriesJson, it: &api::SearchEntriesResponse| to.add(it, notation, limit);
            object(answers, add).await
        }
        Format::Lines => Ok(answer::stream(format, answers, move |answer, to| {
            answer
                .entries
                .iter()
                .try_for_each(|entry| line(&written(entry, notation.into())?.marked(), to))
        })),
        Format::Bson => Ok(answer::stream(format, answers, |answer, to| {
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

#[cfg(test)]
mod tests;
