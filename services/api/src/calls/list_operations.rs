//! `ListOperations`: all restores, newest first.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::longrunning::{ListOperationsRequest, ListOperationsResponse};
use hindsight_refusal::invalid;
use serde::Deserialize;
use serde_json::Value;
use tonic::Status;
use utoipa::IntoParams;

use crate::json::operation::OperationsJson;
use crate::service::page::{Page, PageKey};
use crate::service::{ApiCall, Counted, Place, Service, Unary};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Params};

impl ApiCall for ListOperationsRequest {
    const NAME: &'static str = "ListOperations";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = ListOperationsResponse;

    fn about(&self) -> Value {
        Value::Null
    }
}

impl Unary for ListOperationsRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        if !self.filter.is_empty() {
            return Err(invalid("filter", "filters are not supported"));
        }
        let key = PageKey::new("operations", &[]);
        let after = key.position_in(&self.page_token)?;
        let size = u32::try_from(self.page_size);
        let size = size.map_err(|_| invalid("page_size", "it is negative"))?;
        let mut page = Page::of(size);
        for job in service.restores.all() {
            let operation = job.operation();
            // Newest first, and names sort by age.
            if after.as_deref().is_some_and(|after| operation.name.as_bytes() >= after) {
                continue;
            }
            let bytes = prost::Message::encoded_len(&operation);
            if !page.take(operation, bytes) {
                break;
            }
        }
        let last = page.items.last().map(|operation| operation.name.as_bytes());
        let next_page_token =
            last.filter(|_| page.is_cut).map_or_else(String::new, |last| key.token(last));
        let operations = page.items;
        Ok(ListOperationsResponse { operations, next_page_token, ..Default::default() })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Limit on the number of restores. Default: 1,000; at most 10,000.
    page_size: Option<u32>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
}

/// Lists all restores, newest first.
#[utoipa::path(get, path = "/v1/operations", tag = "restores", params(ListParams), responses(
    (status = 200, body = OperationsJson),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn list_operations(
    asker: Asker,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let request = ListOperationsRequest {
        page_size: i32::try_from(params.page_size.unwrap_or_default()).unwrap_or(i32::MAX),
        page_token: params.page_token.unwrap_or_default(),
        ..Default::default()
    };
    let answer = asker.one(request).await?;
    Ok(json(&OperationsJson::of(&answer).map_err(unshowable)?))
}
