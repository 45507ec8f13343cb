use clap::Args;
use hindsight_replayer::HistoryArgs;

use crate::exit::{Exit, Result};
use crate::global::Global;
use crate::serve::{self, Listen, Services};

/// Keep the history of a log that a tailer writes, and serve the API.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight replayer --log kafka://k1:9092,k2:9092/hindsight.rs0 --bases /bases"
)]
pub(crate) struct Replayer {
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub store: HistoryArgs,
}

impl Replayer {
    pub(super) async fn run(&self, global: &Global) -> Result<Exit> {
        let (listen, history) = (&self.listen, Some(&self.store));
        serve::run(global, Services { listen, capture: None, history, retention: None }).await
    }
}
