//! google.longrunning.Operations for restores (AIP-151).

use std::time::Duration;

use hindsight_access::Call;
use hindsight_proto::longrunning::operations_server::Operations;
use hindsight_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation, WaitOperationRequest,
};
use tonic::{Request, Response, Status};

use super::page::{Page, PageKey};
use super::{Restores, Service, invalid};

/// Limit on the duration of a wait for which the caller sets no time-out.
const MAX_WAIT: Duration = Duration::from_secs(600);

#[tonic::async_trait]
impl Operations for Service {
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let call = self.admission.begin(Call::ListOperations, &request)?;
        call.one(async { list(&self.restores, request.into_inner()) }).await
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let call = self.admission.begin(Call::GetOperation, &request)?;
        call.one(async { Ok(self.restores.find(&request.get_ref().name)?.operation()) }).await
    }

    async fn wait_operation(
        &self,
        request: Request<WaitOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let call = self.admission.begin(Call::WaitOperation, &request)?;
        call.one(wait(&self.restores, request.into_inner())).await
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let call = self.admission.begin(Call::CancelOperation, &request)?;
        call.one(async {
            self.restores.find(&request.get_ref().name)?.cancel();
            Ok(())
        })
        .await
    }

    async fn delete_operation(
        &self,
        request: Request<DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let call = self.admission.begin(Call::DeleteOperation, &request)?;
        call.one(async { self.restores.delete(&request.get_ref().name) }).await
    }
}

fn list(
    restores: &Restores,
    request: ListOperationsRequest,
) -> Result<ListOperationsResponse, Status> {
    if !request.filter.is_empty() {
        return Err(invalid("filter", "filters are not supported"));
    }
    let key = PageKey::new("operations", &[]);
    let after = key.position_in(&request.page_token)?;
    let size = u32::try_from(request.page_size);
    let size = size.map_err(|_| invalid("page_size", "it is negative"))?;
    let mut page = Page::of(size);
    for job in restores.all() {
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

async fn wait(restores: &Restores, request: WaitOperationRequest) -> Result<Operation, Status> {
    let job = restores.find(&request.name)?;
    let patience = match request.timeout {
        None => MAX_WAIT,
        Some(timeout) => Duration::try_from(timeout)
            .map_err(|_| invalid("timeout", "it is no length of time"))?
            .min(MAX_WAIT),
    };
    let mut states = job.subscribe();
    // Running out of time is not an error (AIP-151): the operation returned is not done.
    let _ = tokio::time::timeout(patience, states.wait_for(|state| state.is_done())).await;
    Ok(job.operation())
}
