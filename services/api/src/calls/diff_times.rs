//! `DiffTimes`: the differences between two times.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::Result;
use axum::response::Response;
use bson::RawDocument;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hindsight_access::Role;
use hindsight_history::ReadError;
use hindsight_oplog::NamespacePattern;
use hindsight_proto::v1 as api;
use hindsight_query::Filter;
use hindsight_refusal::{Reason, invalid, status_of};
use hindsight_replayer::{DiffRequest, Difference, QueryError, changed_fields};
use hindsight_runtime::CancellationToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::json::texts::{Text, Texts};
use crate::json::{Notation, PositionJson};
use crate::service::fields::query_of;
use crate::service::streams::{self, AHEAD, Gather};
use crate::service::{
    Answers, ApiCall, Counted, Service, Streaming, about, collation, whereabouts,
};
use crate::times::to_api;
use crate::v1::answer::{Format, line, object, stream};
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Params, document, limit_of, time};

impl ApiCall for api::DiffTimesRequest {
    const NAME: &'static str = "DiffTimes";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = Some(|answer| answer.changes.len() as u64);
    type Answer = api::DiffTimesResponse;

    fn about(&self) -> Value {
        about::given([
            ("ns", self.ns.as_str().into()),
            ("from", about::time(&self.from)),
            ("to", about::time(&self.to)),
            ("filter", about::document(&self.filter)),
        ])
    }
}

impl Streaming for api::DiffTimesRequest {
    async fn answers(self, service: &Service) -> Result<Answers<Self::Answer>, Status> {
        answers(service, self).await
    }
}

async fn answers(
    service: &Service,
    request: api::DiffTimesRequest,
) -> Result<Answers<api::DiffTimesResponse>, Status> {
    let from = request.from.ok_or_else(|| invalid("from", "it is missing"))?;
    let from = service.reach(Some(from)).await?;
    let to = service.reach(request.to).await?;
    let filter = query_of(&service.engine, Some(from.max(to)), &request.filter)?;
    let namespace = (!request.ns.is_empty()).then(|| NamespacePattern::parse(&request.ns));
    let mut excluded = BTreeSet::new();
    for at in [from, to] {
        let states = service.engine.view(at).map_err(status_of)?.collections();
        let is_asked_for = |ns: &str| namespace.as_ref().is_none_or(|it| it.concerns(ns));
        let left_out = states.iter().filter(|state| state.excluded && is_asked_for(&state.ns));
        excluded.extend(left_out.map(|state| state.ns.clone()));
        let compared = states.iter().filter(|state| is_asked_for(&state.ns));
        collation::check_filter(filter.as_ref(), compared.map(|state| &**state))?;
    }
    if excluded.contains(&request.ns) {
        return Err(status_of(QueryError::from(ReadError::Excluded { ns: request.ns })));
    }
    let mut notes = whereabouts::notes(&service.engine, &request.ns);
    notes.extend(excluded.iter().map(|ns| {
        format!("{ns} is left out of this history: what is different there cannot be shown")
    }));
    let asked = DiffRequest { from, to, namespace };
    let limit = if request.limit == 0 { u64::MAX } else { request.limit };
    let (sender, receiver) = mpsc::channel(AHEAD);
    let stop = CancellationToken::new();
    let reader = stop.clone().drop_guard();
    let engine = service.engine.clone();
    let runtime = tokio::runtime::Handle::current();
    let thread = tokio::task::spawn_blocking(move || {
        let message = |changes| api::DiffTimesResponse {
            changes,
            from: Some(to_api(from)),
            to: Some(to_api(to)),
            notes: Vec::new(),
        };
        let mut gather = Gather::new(sender, message);
        if !notes.is_empty() {
            gather.send_amended(|first| first.notes = notes);
        }
        let (mut left, mut failed) = (limit, None);
        let mut visit = |difference: Difference<'_>| {
            match change_of(&difference, filter.as_ref()) {
                Ok(None) => return ControlFlow::Continue(()),
                Ok(Some((change, bytes))) => {
                    left -= 1;
                    if gather.add(change, bytes) && left > 0 {
                        return ControlFlow::Continue(());
                    }
                }
                Err(status) => failed = Some(status),
            }
            ControlFlow::Break(())
        };
        let ended = runtime.block_on(engine.diff(&asked, &stop, &mut visit));
        let ended = ended.map_err(status_of).map(|_| ());
        gather.end(failed.map_or(ended, Err));
    });
    // The stream holds the guard, so the work stops when its reader goes away.
    let held_by_reader = move |_: &_| _ = &reader;
    Ok(streams::answers(receiver, thread).inspect(held_by_reader).boxed())
}

/// Returns the change and its size, or `None` when neither side matches the filter.
fn change_of(
    difference: &Difference<'_>,
    filter: Option<&Filter>,
) -> Result<Option<(api::Change, usize)>, Status> {
    let corrupt = |error: &dyn std::fmt::Display| Reason::Corrupt.status(error.to_string());
    let (before, after) = (difference.before, difference.after);
    if let Some(filter) = filter {
        let mut matches = false;
        for side in [before, after].into_iter().flatten() {
            let raw = RawDocument::from_bytes(side).map_err(|error| corrupt(&error))?;
            matches |= filter.matches(raw);
        }
        if !matches {
            return Ok(None);
        }
    }
    let (kind, fields) = match (before, after) {
        (Some(before), Some(after)) => {
            let fields = changed_fields(before, after).map_err(|error| corrupt(&error))?;
            (api::change::Kind::Changed, fields)
        }
        (None, _) => (api::change::Kind::Added, Vec::new()),
        (Some(_), None) => (api::change::Kind::Removed, Vec::new()),
    };
    let id = difference.id_document().map_err(|error| corrupt(&error))?;
    let bytes = before.map_or(0, <[u8]>::len) + after.map_or(0, <[u8]>::len) + id.len();
    let change = api::Change {
        kind: kind.into(),
        ns: difference.ns.to_owned(),
        id: id.into(),
        before: before.map(Bytes::copy_from_slice),
        after: after.map(Bytes::copy_from_slice),
        fields,
    };
    Ok(Some((change, bytes)))
}

/// The differences between two times.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Changes)]
pub struct ChangesJson {
    pub from: Option<PositionJson>,
    pub to: Option<PositionJson>,
    pub changes: Vec<ChangeJson>,
    /// Whether there are more changes.
    pub truncated: bool,
    /// For people: where to look for what a time-series collection or a view of this name shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
}

/// A document that differs between the two times.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeJson {
    /// `added`, `removed` or `changed`.
    pub change: String,
    pub ns: String,
    #[schema(value_type = Object)]
    pub id: Text,
    #[schema(value_type = Option<Object>)]
    pub before: Option<Text>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<Text>,
    /// For a changed document: the dotted paths of the fields that differ.
    pub fields: Vec<String>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
    #[serde(skip)]
    bytes: usize,
}

impl ChangeJson {
    pub fn of(change: &api::Change, notation: Notation) -> Result<Self> {
        let mut texts = Texts::new(notation);
        Ok(Self {
            change: change.kind().as_str_name().to_ascii_lowercase(),
            ns: change.ns.clone(),
            id: texts.id(&change.id)?,
            before: texts.some("before", change.before.as_ref())?,
            after: texts.some("after", change.after.as_ref())?,
            fields: change.fields.clone(),
            inexact: texts.inexact,
            bytes: texts.bytes,
        })
    }
}

impl ChangesJson {
    /// Adds an answer, and keeps at most `most` changes in all: the request asks for one change
    /// more, which shows whether there are more. Returns the length of the text that was added.
    pub fn add(
        &mut self,
        answer: &api::DiffTimesResponse,
        notation: Notation,
        most: usize,
    ) -> Result<usize> {
        (self.from, self.to) = (answer.from.map(Into::into), answer.to.map(Into::into));
        self.notes.extend_from_slice(&answer.notes);
        let left = most.saturating_sub(self.changes.len());
        self.truncated |= answer.changes.len() > left;
        let mut bytes = 0;
        for change in answer.changes.iter().take(left) {
            let change = ChangeJson::of(change, notation)?;
            bytes += change.bytes;
            self.changes.push(change);
        }
        Ok(bytes)
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
    let answers = asker.many(request).await?;
    if format == Format::Json {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        return object(answers, |to: &mut ChangesJson, it| to.add(it, notation, most)).await;
    }
    Ok(stream(format, answers, move |answer, to: &mut BytesMut| {
        answer.changes.iter().try_for_each(|change| line(&ChangeJson::of(change, notation)?, to))
    }))
}

#[cfg(test)]
mod tests;
