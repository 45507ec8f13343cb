//! `CreateRestore`: starts to restore everything as of a time into another deployment.

use axum::response::Response;
use bson::Uuid;
use hindsight_access::Role;
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1 as api;
use hindsight_refusal::invalid;
use serde::Deserialize;
use serde_json::Value;
use tonic::Status;
use utoipa::ToSchema;

use crate::json::operation::OperationJson;
use crate::service::{ApiCall, Counted, Place, Service, Unary, about};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Body};
use crate::v1::restores::RestoreBody;

impl ApiCall for api::CreateRestoreRequest {
    const NAME: &'static str = "CreateRestore";
    const ROLE: Role = Role::Restorer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = Operation;

    fn about(&self) -> Value {
        let mut about = about::restore(self.restore.as_ref());
        about["validate_only"] = self.validate_only.into();
        about["request_id"] = self.request_id.as_str().into();
        about
    }
}

impl Unary for api::CreateRestoreRequest {
    async fn answer(self, service: &Service, place: Place) -> Result<Self::Answer, Status> {
        let restore = self.restore.ok_or_else(|| invalid("restore", "it is missing"))?;
        if !self.request_id.is_empty() && Uuid::parse_str(&self.request_id).is_err() {
            return Err(invalid("request_id", "it is not a UUID"));
        }
        let metadata = hindsight_restores::metadata(&place.caller().name, self.request_id);
        if self.validate_only {
            // Even when an earlier call with this id began a restore, this call begins none.
            return hindsight_restores::validate(&service.engine, &restore, metadata).await;
        }
        service.restores.begin(&service.engine, &restore, metadata).await
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateRestore)]
pub(super) struct CreateBody {
    restore: RestoreBody,
    /// A UUID that the caller chooses. A second call with the same UUID returns the operation of
    /// the first call.
    #[serde(default)]
    #[schema(required = false)]
    request_id: String,
    /// Check everything, and start nothing.
    #[serde(default)]
    #[schema(required = false)]
    validate_only: bool,
}

/// Starts a restore of everything as of a time into another MongoDB deployment.
#[utoipa::path(post, path = "/v1/restores", tag = "restores", request_body = CreateBody, responses(
    (status = 200, body = OperationJson),
    (status = 409, body = ProblemJson, content_type = "application/problem+json", description = "the target cannot take the restore"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn create(
    asker: Asker,
    Body(body): Body<CreateBody>,
) -> Result<Response, Problem> {
    let request = api::CreateRestoreRequest {
        restore: Some(body.restore.spec()?),
        request_id: body.request_id,
        validate_only: body.validate_only,
    };
    let answer = asker.one(request).await?;
    Ok(json(&OperationJson::of(&answer).map_err(unshowable)?))
}
