//! `Verify`: checks what is held.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tonic::Status;
use utoipa::ToSchema;

use crate::service::{ApiCall, Counted, Place, Reason, Service, Unary, about, apart, status_of};
use crate::v1::answer::json_text;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Body};

impl ApiCall for api::VerifyRequest {
    const NAME: &'static str = "Verify";
    const ROLE: Role = Role::Operator;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::VerifyResponse;

    fn about(&self) -> Value {
        about::given([("deep", self.deep.into())])
    }
}

impl Unary for api::VerifyRequest {
    async fn answer(self, service: &Service, place: Place) -> Result<Self::Answer, Status> {
        let (engine, runtime) = (service.engine.clone(), Handle::current());
        let report = move |place: &Place| {
            let (log, bases) = (engine.log.as_ref(), &engine.bases);
            let report = hindsight_replayer::verify(log, bases, self.deep, place.stop());
            runtime.block_on(report).map_err(status_of)
        };
        let report = apart(place, report).await?;
        let json = serde_json::to_string(&report)
            .map_err(|error| Reason::Internal.status(error.to_string()))?;
        Ok(api::VerifyResponse { json, sound: report.sound })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerifyRequest)]
pub(super) struct VerifyBody {
    /// Read every byte of the log and the bases, not only the seals.
    #[serde(default)]
    deep: bool,
}

/// Checks the chain of segments and its checksums, and the bases.
#[utoipa::path(post, path = "/v1/verify", tag = "times", request_body = VerifyBody, responses(
    (status = 200, body = Object, description = "the report; `sound` says whether everything is sound"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn verify(
    asker: Asker,
    Body(body): Body<VerifyBody>,
) -> Result<Response, Problem> {
    let answer = asker.one(api::VerifyRequest { deep: body.deep }).await?;
    json_text(&answer.json)
}
