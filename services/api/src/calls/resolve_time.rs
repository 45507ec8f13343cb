//! `ResolveTime`: what a time means. It is resolved to its position, its window, and the entries
//! on both sides of it.

use std::sync::Arc;

use anyhow::Result;
use axum::response::Response;
use bytes::Bytes;
use hindsight_access::Role;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_refusal::{invalid, status_of};
use hindsight_replayer::Engine;
use hindsight_replayer::find::{EntryFilter, Search, SearchOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::json::texts::{Text, Texts};
use crate::json::{Notation, PositionJson, WindowJson};
use crate::service::{ApiCall, Counted, Place, Service, Unary, about};
use crate::times::{from_api, to_api, window_to_api};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Params};

impl ApiCall for api::ResolveTimeRequest {
    const NAME: &'static str = "ResolveTime";
    const ROLE: Role = Role::Viewer;
    /// The entries around the time.
    const DOCUMENTS: Counted<Self::Answer> = Some(|answer| {
        u64::from(!answer.last_included.is_empty()) + u64::from(!answer.first_excluded.is_empty())
    });
    type Answer = api::ResolveTimeResponse;

    fn about(&self) -> Value {
        about::given([("time", about::time(&self.time))])
    }
}

impl Unary for api::ResolveTimeRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let engine = &service.engine;
        let time = self.time.ok_or_else(|| invalid("time", "it is missing"))?;
        let at = engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
        let windows = engine.windows().map_err(status_of)?;
        let holds = windows.into_iter().find(|window| window.holds(at));
        // Before its beginning, the log knows neither the entry before the time nor the next one.
        let begins = engine.log_begins().map_err(status_of)?;
        let is_held = begins.is_none_or(|begins| begins <= at);
        let last = next(engine, Timestamp::ZERO, at, 1).await?.filter(|_| is_held);
        let first = next(engine, at.successor(), Timestamp::MAX, 0).await?.filter(|_| is_held);
        Ok(api::ResolveTimeResponse {
            at: Some(to_api(at)),
            window: holds.map(window_to_api),
            last_included: last.unwrap_or_default(),
            first_excluded: first.unwrap_or_default(),
        })
    }
}

/// Returns the first entry between two times, both included; with a limit of 1, the last entry.
async fn next(
    engine: &Engine,
    from: Timestamp,
    to: Timestamp,
    limit: usize,
) -> Result<Option<Bytes>, Status> {
    let (log, index) = (Arc::clone(&engine.log), Arc::clone(&engine.index));
    let filter = EntryFilter { from, to, ..EntryFilter::all() };
    let options = SearchOptions { limit, before_context: 0 };
    let mut search =
        Search::new(log, index, filter, options, engine.memory.clone()).map_err(status_of)?;
    let found = search.next().await.map_err(status_of)?;
    Ok(found.and_then(|found| found.into_iter().next()).map(|found| found.entry))
}

/// What a time resolves to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResolvedTime)]
pub struct ResolvedTimeJson {
    /// The last position included.
    pub at: Option<PositionJson>,
    /// `at` for people: UTC and the position.
    pub utc: Option<String>,
    pub window: Option<WindowJson>,
    /// The last entry at or before `at`; `null` when no such entry is held.
    #[schema(value_type = Option<Object>)]
    pub last_included: Option<Text>,
    /// The first entry after `at`; `null` when no such entry is held.
    #[schema(value_type = Option<Object>)]
    pub first_excluded: Option<Text>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl ResolvedTimeJson {
    pub fn of(answer: api::ResolveTimeResponse, notation: Notation) -> Result<Self> {
        let utc = answer.at.map(|at| from_api(at).for_people().to_string());
        let mut texts = Texts::new(notation);
        Ok(Self {
            at: answer.at.map(Into::into),
            utc,
            window: answer.window.map(Into::into),
            last_included: texts.some("last_included", Some(&answer.last_included))?,
            first_excluded: texts.some("first_excluded", Some(&answer.first_excluded))?,
            inexact: texts.inexact,
        })
    }
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
    asker: Asker,
    Params(params): Params<ResolveParams>,
) -> Result<Response, Problem> {
    let time = api::TimeSpec { text: params.time, exclusive: params.exclusive };
    let answer = asker.one(api::ResolveTimeRequest { time: Some(time) }).await?;
    Ok(json(&ResolvedTimeJson::of(answer, params.notation).map_err(unshowable)?))
}
