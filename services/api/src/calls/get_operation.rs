//! `GetOperation`: a restore's progress, or how it ended.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::longrunning::{GetOperationRequest, Operation};
use serde_json::Value;
use tonic::Status;

use crate::json::operation::OperationJson;
use crate::service::{ApiCall, Counted, Place, Service, Unary, about};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Segments};
use crate::v1::restores::name;

impl ApiCall for GetOperationRequest {
    const NAME: &'static str = "GetOperation";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = Operation;

    fn about(&self) -> Value {
        about::given([("name", self.name.as_str().into())])
    }
}

impl Unary for GetOperationRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        Ok(service.restores.find(&self.name)?.operation())
    }
}

/// Returns the progress of a restore, or how it ended.
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 200, body = OperationJson),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn get_operation(
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = GetOperationRequest { name: name(&id) };
    let answer = asker.one(request).await?;
    Ok(json(&OperationJson::of(&answer).map_err(unshowable)?))
}
