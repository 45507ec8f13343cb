use std::time::Duration;

use hindsight_api::times::{included, json_of, shown};
use hindsight_proto::v1::WaitRestorableRequest;
use serde_json::json;

use super::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output, Wait};
use crate::exit::{Exit, Failure, Result};

/// The server itself reports when the time-out has passed. A server that does not is given this
/// much longer.
const GRACE: Duration = Duration::from_secs(1);

/// `left` is what remains of the time-out after looking for the process.
pub(super) async fn run(
    global: &Global,
    wait: &Wait,
    left: Duration,
    backend: &Backend,
) -> Result<Exit> {
    let time = wait.time.as_deref().map(included);
    let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let mut client = backend.hindsight();
    let call = client.wait_restorable(WaitRestorableRequest { time, timeout_ms });
    let answer = tokio::time::timeout(left.saturating_add(GRACE), call).await;
    let answer = answer.map_err(|_| {
        Failure::ServerUnavailable(format!(
            "the server did not answer within {left:.0?}; `hindsight status` shows whether it does now"
        ))
    })??;
    let answer = answer.into_inner();
    match global.output {
        Output::Json => {
            print_json(&json!({"restorable_through": json_of(answer.restorable_through)}))?
        }
        Output::Text => {
            print_line(&format!("restorable through {}", shown(answer.restorable_through)))?
        }
    }
    Ok(Exit::Done)
}
