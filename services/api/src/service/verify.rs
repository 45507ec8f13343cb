//! Checking what is held.

use hindsight_proto::v1 as api;
use hindsight_replayer::Engine;
use hindsight_runtime::CancellationToken;
use tonic::Status;

use super::{Reason, status_of};

pub(super) async fn verify(
    engine: &Engine,
    request: &api::VerifyRequest,
    stop: &CancellationToken,
) -> Result<api::VerifyResponse, Status> {
    let (log, bases) = (engine.log.as_ref(), &engine.bases);
    let report = hindsight_replayer::verify(log, bases, request.deep, stop);
    let report = report.await.map_err(status_of)?;
    let json = serde_json::to_string(&report)
        .map_err(|error| Reason::Internal.status(error.to_string()))?;
    Ok(api::VerifyResponse { json, sound: report.sound })
}
