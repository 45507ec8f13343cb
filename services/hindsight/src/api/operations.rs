//! google.longrunning.Operations over the restores (AIP-151).

use std::time::Duration;

use hindsight_proto::longrunning::operations_server::Operations;
use hindsight_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation, WaitOperationRequest,
};
use tonic::{Request, Response, Status};

use super::page::{Page, PageKey};
use super::{Service, invalid};

/// How long a wait without a time-out of its own takes at most.
const MAX_WAIT: Duration = Duration::from_secs(600);

#[tonic::async_trait]
impl Operations for Service {
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let request = request.into_inner();
        if !request.filter.is_empty() {
            return Err(invalid("filter", "filters are not supported"));
        }
        let key = PageKey::new("operations", &[]);
        let after = key.position_in(&request.page_token)?;
        let size = u32::try_from(request.page_size);
        let size = size.map_err(|_| invalid("page_size", "it is negative"))?;
        let mut page = Page::of(size);
        for job in self.restores.all() {
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
        Ok(Response::new(ListOperationsResponse {
            operations: page.items,
            next_page_token,
            ..Default::default()
        }))
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        Ok(Response::new(self.restores.find(&request.into_inner().name)?.operation()))
    }

    async fn wait_operation(
        &self,
        request: Request<WaitOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let request = request.into_inner();
        let job = self.restores.find(&request.name)?;
        let patience = match request.timeout {
            None => MAX_WAIT,
            Some(timeout) => Duration::try_from(timeout)
                .map_err(|_| invalid("timeout", "it is no length of time"))?
                .min(MAX_WAIT),
        };
        let mut states = job.subscribe();
        // Too long is no error (AIP-151): the answer says that it is not done.
        let _ = tokio::time::timeout(patience, states.wait_for(|state| state.is_done())).await;
        Ok(Response::new(job.operation()))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        self.restores.find(&request.into_inner().name)?.cancel();
        Ok(Response::new(()))
    }

    async fn delete_operation(
        &self,
        request: Request<DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        self.restores.delete(&request.into_inner().name)?;
        Ok(Response::new(()))
    }
}
