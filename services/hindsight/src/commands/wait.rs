use std::time::{Duration, Instant};

use clap::Args;
use hindsight_api::times::{included, json_of, shown};
use hindsight_proto::v1::WaitRestorableRequest;
use hindsight_runtime::values::duration;
use serde_json::json;

use super::ask::Ask;
use super::print::{print_json, print_line};
use crate::backend::{Backend, Needs};
use crate::exit::{Exit, Failure, Result};
use crate::global::{Global, Output};

/// The server itself reports when the time-out has passed. A server that does not is given this
/// much longer.
const GRACE: Duration = Duration::from_secs(1);

/// The server waits no longer than this for anyone.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Wait until a time can be restored (default: everything committed so far).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight wait --timeout 2m")]
pub(crate) struct Wait {
    /// Time to wait for. Default: the newest write at the source when the command is called.
    #[arg(long = "for", value_name = "T")]
    pub time: Option<String>,
    /// Give up after this long (`500ms`, `60s`, `5m`), a day at most.
    #[arg(
        long,
        default_value = "60s",
        value_parser = duration(Duration::ZERO, LONGEST_WAIT),
        value_name = "DURATION"
    )]
    pub timeout: Duration,
}

impl Wait {
    /// Begins to wait. The time-out also covers looking for the process.
    pub(super) fn begin(&self) -> Waiting<'_> {
        Waiting { wait: self, begun: Instant::now() }
    }
}

pub(super) struct Waiting<'a> {
    wait: &'a Wait,
    begun: Instant,
}

impl Ask for Waiting<'_> {
    fn needs(&self) -> Needs {
        Needs::Process { patience: self.wait.timeout }
    }

    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let left = self.wait.timeout.saturating_sub(self.begun.elapsed());
        let time = self.wait.time.as_deref().map(included);
        let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let mut client = backend.hindsight();
        let call = client.wait_restorable(WaitRestorableRequest { time, timeout_ms });
        let answer = tokio::time::timeout(left.saturating_add(GRACE), call).await;
        let answer = answer.map_err(|_| {
            Failure::ServerUnavailable(format!(
                "the server did not answer within {left:.0?}; `hindsight status` shows whether it does now"
            ))
        })??;
        let through = answer.into_inner().restorable_through;
        match global.output {
            Output::Json => print_json(&json!({"restorable_through": json_of(through)}))?,
            Output::Text => print_line(&format!("restorable through {}", shown(through)))?,
        }
        Ok(Exit::Done)
    }
}
