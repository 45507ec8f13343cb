//! `DeleteOperation`: deletes the record of a restore that has ended.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hindsight_access::Role;
use hindsight_proto::longrunning::DeleteOperationRequest;
use serde_json::Value;
use tonic::Status;

use crate::service::{ApiCall, Counted, Place, Service, Unary, about};
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Segments};
use crate::v1::restores::name;

impl ApiCall for DeleteOperationRequest {
    const NAME: &'static str = "DeleteOperation";
    const ROLE: Role = Role::Operator;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = ();

    fn about(&self) -> Value {
        about::given([("name", self.name.as_str().into())])
    }
}

impl Unary for DeleteOperationRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        service.restores.delete(&self.name)
    }
}

/// Deletes the record of a restore that has ended.
#[utoipa::path(delete, path = "/v1/operations/{id}", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 204, description = "the record is deleted"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn delete(
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = DeleteOperationRequest { name: name(&id) };
    asker.one(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
