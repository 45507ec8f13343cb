use std::time::Duration;

use anyhow::Result;
use hindsight_proto::v1::WaitRestorableRequest;
use serde_json::json;

use super::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output, Wait};
use crate::exit::Exit;
use crate::times::{included, json_of, shown};

/// `left` is what looking for the process has left of the time-out.
pub async fn run(global: &Global, wait: &Wait, left: Duration, backend: &Backend) -> Result<Exit> {
    let time = wait.time.as_deref().map(included);
    let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let answer = backend.wait_restorable(WaitRestorableRequest { time, timeout_ms }).await?;
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
