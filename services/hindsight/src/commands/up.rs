use clap::Args;
use hindsight_holdings::LogRetentionArgs;
use hindsight_replayer::HistoryArgs;

use crate::exit::{Exit, Result};
use crate::global::Global;
use crate::serve::{self, CaptureArgs, Listen, Services};

/// Capture, copy a base, keep the history and serve the API, in one process.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight up --uri mongodb://db1.example:27017/?replicaSet=rs0"
)]
pub(crate) struct Up {
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub store: HistoryArgs,
    #[command(flatten)]
    pub retention: LogRetentionArgs,
}

impl Up {
    /// Returns what the process is to do.
    pub(super) fn services(&self) -> Services<'_> {
        let (capture, history) = (Some(&self.capture), Some(&self.store));
        Services { listen: &self.listen, capture, history, retention: Some(&self.retention) }
    }

    pub(super) async fn run(&self, global: &Global) -> Result<Exit> {
        serve::run(global, self.services()).await
    }
}
