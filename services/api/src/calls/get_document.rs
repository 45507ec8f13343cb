//! `GetDocument`: one document as it was at a time.

use anyhow::Result;
use axum::response::Response;
use hindsight_access::Role;
use hindsight_history::ReadError;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, status_of};
use hindsight_replayer::QueryError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::json::texts::{Text, Texts};
use crate::json::{Notation, PositionJson};
use crate::service::absent::no_such_collection;
use crate::service::fields::{check_ns, id_of};
use crate::service::{ApiCall, Counted, Place, Service, Unary, about, collation};
use crate::times::to_api;
use crate::v1::answer::{Format, json, raw};
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Params, Segments, id, time};

impl ApiCall for api::GetDocumentRequest {
    const NAME: &'static str = "GetDocument";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = Some(|_| 1);
    type Answer = api::GetDocumentResponse;

    fn about(&self) -> Value {
        about::given([
            ("ns", self.ns.as_str().into()),
            ("id", about::id(&self.id)),
            ("at", about::time(&self.at)),
        ])
    }
}

impl Unary for api::GetDocumentRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        check_ns(&self.ns)?;
        let id = id_of(&self.id)?;
        let at = service.reach(self.at).await?;
        let view = service.engine.view(at).map_err(status_of)?;
        let found = view.get(&self.ns, id).map_err(|error| match error {
            ReadError::NoSuchCollection { .. } => no_such_collection(&view, &self.ns),
            other => status_of(QueryError::from(other)),
        })?;
        let Some(document) = found else {
            collation::check_absent(id, view.collection(&self.ns).as_deref())?;
            let text = format!("{} holds no document with this _id at {at}", self.ns);
            return Err(Reason::NoSuchDocument.status(text));
        };
        Ok(api::GetDocumentResponse { document: document.into(), at: Some(to_api(at)) })
    }
}

/// A document as it was at a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DocumentAt)]
pub struct DocumentJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Object)]
    pub document: Text,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl DocumentJson {
    pub fn of(answer: &api::GetDocumentResponse, notation: Notation) -> Result<Self> {
        let mut texts = Texts::new(notation);
        let document = texts.document("document", &answer.document)?;
        Ok(Self { at: answer.at.map(Into::into), document, inexact: texts.inexact })
    }
}

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
    asker: Asker,
    format: Format,
    Segments((ns, wanted)): Segments<(String, String)>,
    Params(params): Params<GetParams>,
) -> Result<Response, Problem> {
    let request = api::GetDocumentRequest { ns, id: id(&wanted)?, at: time(params.at) };
    let answer = asker.one(request).await?;
    if format == Format::Bson {
        return Ok(raw(answer.document, answer.at));
    }
    Ok(json(&DocumentJson::of(&answer, params.notation).map_err(unshowable)?))
}
