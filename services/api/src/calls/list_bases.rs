//! `ListBases`: the copies of all data, from which states are built.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use hindsight_refusal::Reason;
use serde::Serialize;
use serde_json::Value;
use tonic::Status;
use utoipa::ToSchema;

use crate::json::PositionJson;
use crate::service::{ApiCall, Counted, Place, Service, Unary};
use crate::times::to_api;
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::Asker;

impl ApiCall for api::ListBasesRequest {
    const NAME: &'static str = "ListBases";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::ListBasesResponse;

    fn about(&self) -> Value {
        Value::Null
    }
}

impl Unary for api::ListBasesRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let bases = service.engine.index.view().bases();
        let bases = bases.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
        let base = |base: hindsight_index::BaseSummary| api::Base {
            name: base.name,
            start: Some(to_api(base.start)),
            exact_from: Some(to_api(base.exact_from.ts)),
            created_ms: base.created_wall_ms,
            documents: base.documents,
            bytes: base.bytes,
        };
        Ok(api::ListBasesResponse { bases: bases.into_iter().map(base).collect() })
    }
}

/// The bases: copies of all data, from which states are built.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bases)]
pub struct BasesJson {
    pub bases: Vec<BaseJson>,
}

/// A base: a copy of all data, from which states are built.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Base)]
pub struct BaseJson {
    pub name: String,
    pub start: Option<PositionJson>,
    /// States are exact from this position on: the copy took from `start` until then.
    pub exact_from: Option<PositionJson>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    pub documents: u64,
    pub bytes: u64,
}

impl From<api::Base> for BaseJson {
    fn from(base: api::Base) -> Self {
        Self {
            name: base.name,
            start: base.start.map(Into::into),
            exact_from: base.exact_from.map(Into::into),
            created_ms: base.created_ms,
            documents: base.documents,
            bytes: base.bytes,
        }
    }
}

impl From<api::ListBasesResponse> for BasesJson {
    fn from(answer: api::ListBasesResponse) -> Self {
        Self { bases: answer.bases.into_iter().map(Into::into).collect() }
    }
}

/// Lists the bases: copies of all data, from which states are built.
#[utoipa::path(get, path = "/v1/bases", tag = "times", responses(
    (status = 200, body = BasesJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn bases(asker: Asker) -> Result<Response, Problem> {
    let answer = asker.one(api::ListBasesRequest {}).await?;
    Ok(json(&BasesJson::from(answer)))
}
