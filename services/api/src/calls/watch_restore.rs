//! `WatchRestore`: a restore's progress, until it is done.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1 as api;
use serde_json::Value;
use tonic::Status;

use crate::json::operation::OperationJson;
use crate::service::{Answers, ApiCall, Counted, Service, Streaming, about};
use crate::v1::answer::{Format, line, stream};
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Segments};
use crate::v1::restores::name;

impl ApiCall for api::WatchRestoreRequest {
    const NAME: &'static str = "WatchRestore";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = Operation;

    fn about(&self) -> Value {
        about::given([("name", self.name.as_str().into())])
    }
}

impl Streaming for api::WatchRestoreRequest {
    async fn answers(self, service: &Service) -> Result<Answers<Self::Answer>, Status> {
        service.restores.watch(&self.name)
    }
}

/// Streams the operation, one object per line: at once, and after each change until the restore is
/// done.
#[utoipa::path(get, path = "/v1/operations/{id}/watch", tag = "restores",
    params(("id" = String, Path, description = "the part of the name after `operations/`")), responses(
    (status = 200, body = OperationJson, content_type = "application/x-ndjson"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn watch(
    asker: Asker,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let states = asker.many(api::WatchRestoreRequest { name: name(&id) }).await?;
    Ok(stream(Format::Lines, states, |state, to| line(&OperationJson::of(state)?, to)))
}
