//! The calls of the API, one file each. The file of a call holds:
//!
//! - what the call is: its name, the least role that may make it, and how many documents an answer
//!   holds
//! - what the audit file says about a request
//! - the answer
//! - the answer as JSON, where `-o json` and HTTP write it
//! - the handler of its path under /v1, with the description for /openapi.json
//!
//! The table below lists all calls. The methods of the service, the roles and the routes come from
//! the table. What several calls share is in [`crate::service`], [`crate::json`] and `v1`.

// Outside of the table, because rustfmt only finds files that are named like this.
pub mod cancel_operation;
pub mod create_restore;
pub mod delete_operation;
pub mod diff_times;
pub mod get_document;
pub mod get_operation;
pub mod get_status;
pub mod get_timeline;
pub mod list_bases;
pub mod list_collections;
pub mod list_operations;
pub mod list_versions;
pub mod list_windows;
pub mod plan_restore;
pub mod resolve_time;
pub mod scan_collection;
pub mod search_entries;
pub mod verify;
pub mod wait_operation;
pub mod wait_restorable;
pub mod watch_restore;

use std::sync::Arc;

use hindsight_access::Call;
use hindsight_proto::longrunning as operations;
use hindsight_proto::longrunning::operations_server::Operations;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use tonic::{Request, Response, Status};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::{ApiCall, Service};

/// What a method of the generated traits returns, by the kind of the call.
#[allow(non_camel_case_types)]
mod reply {
    use crate::service::{Answers, ApiCall};

    /// One answer.
    pub(super) type one<C> = <C as ApiCall>::Answer;
    /// A stream of answers.
    pub(super) type many<C> = Answers<<C as ApiCall>::Answer>;
}

/// Defines what comes from the table. A row is `KIND FILE: REQUEST, http HANDLER;`. For a stream of
/// answers, the generated trait also wants a name for the stream's type.
macro_rules! calls {
    ($($service:ident {
        $($kind:ident $file:ident: $request:ty $(, type $stream:ident)? $(, http $handler:ident)?;)*
    })*) => {
        $(#[tonic::async_trait]
        impl $service for Service {
            $($(type $stream = reply::$kind<$request>;)?)*

            $(async fn $file(
                &self,
                request: Request<$request>,
            ) -> Result<Response<reply::$kind<$request>>, Status> {
                self.$kind(request).await
            })*
        })*

        /// Every call of the API.
        pub const ALL: &[Call] = &[$($(<$request as ApiCall>::CALL,)*)*];

        /// Adds the paths of the calls, and their descriptions.
        pub(crate) fn route(router: OpenApiRouter<Arc<Service>>) -> OpenApiRouter<Arc<Service>> {
            router $($($(.routes(routes!($file::$handler)))?)*)*
        }
    };
}

calls! {
    Hindsight {
        one get_status: api::GetStatusRequest, http status;
        one list_windows: api::ListWindowsRequest, http windows;
        one list_bases: api::ListBasesRequest, http bases;
        one wait_restorable: api::WaitRestorableRequest, http wait;
        one resolve_time: api::ResolveTimeRequest, http resolve;
        one get_timeline: api::GetTimelineRequest, http timeline;
        many search_entries: api::SearchEntriesRequest, type SearchEntriesStream, http search;
        one list_collections: api::ListCollectionsRequest, http list_collections;
        many scan_collection: api::ScanCollectionRequest, type ScanCollectionStream, http scan;
        one get_document: api::GetDocumentRequest, http get_document;
        one list_versions: api::ListVersionsRequest, http versions;
        many diff_times: api::DiffTimesRequest, type DiffTimesStream, http diff;
        one plan_restore: api::PlanRestoreRequest, http plan;
        one create_restore: api::CreateRestoreRequest, http create;
        many watch_restore: api::WatchRestoreRequest, type WatchRestoreStream, http watch;
        one verify: api::VerifyRequest, http verify;
    }
    Operations {
        one list_operations: operations::ListOperationsRequest, http list_operations;
        one get_operation: operations::GetOperationRequest, http get_operation;
        one delete_operation: operations::DeleteOperationRequest, http delete;
        one cancel_operation: operations::CancelOperationRequest, http cancel;
        one wait_operation: operations::WaitOperationRequest;
    }
}

#[cfg(test)]
mod tests;
