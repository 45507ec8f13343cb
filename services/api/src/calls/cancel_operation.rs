//! `CancelOperation`: stops a restore.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hindsight_access::Role;
use hindsight_proto::longrunning::CancelOperationRequest;
use serde_json::Value;
use tonic::Status;

use crate::service::{ApiCall, Counted, Place, Service, Unary, about};
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Segments};
use crate::v1::restores::name;

impl ApiCall for CancelOperationRequest {
    const NAME: &'static str = "CancelOperation";
    const ROLE: Role = Role::Operator;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = ();

    fn about(&self) -> Value {
        about::given([("name", self.name.as_str().into())])
    }
}

impl Unary for CancelOperationRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        service.restores.find(&self.name)?.cancel();
        Ok(())
    }
}

/// Cancels a restore, which then stops within seconds. What it wrote stays in the target, which
/// must not be used.
#[utoipa::path(post, path = "/v1/operations/{id}/cancel", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 204, description = "the restore was told to stop"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn cancel(
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let request = CancelOperationRequest { name: name(&id) };
    asker.one(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
