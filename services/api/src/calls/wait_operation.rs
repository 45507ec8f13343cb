//! `WaitOperation`: waits for the end of a restore. HTTP has no such call: there, the caller
//! watches.

use std::time::Duration;

use hindsight_access::Role;
use hindsight_proto::longrunning::{Operation, WaitOperationRequest};
use hindsight_refusal::invalid;
use serde_json::Value;
use tonic::Status;

use crate::service::{ApiCall, Counted, Place, Service, Unary, about};

/// Limit on the duration of a wait for which the caller sets no time-out.
const MAX_WAIT: Duration = Duration::from_secs(600);

impl ApiCall for WaitOperationRequest {
    const NAME: &'static str = "WaitOperation";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = Operation;

    fn about(&self) -> Value {
        about::given([("name", self.name.as_str().into())])
    }
}

impl Unary for WaitOperationRequest {
    async fn answer(self, service: &Service, _place: Place) -> Result<Self::Answer, Status> {
        let job = service.restores.find(&self.name)?;
        let patience = match self.timeout {
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
}
