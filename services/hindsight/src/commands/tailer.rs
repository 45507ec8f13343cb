use clap::Args;

use crate::exit::{Exit, Result};
use crate::global::Global;
use crate::serve::{self, CaptureArgs, Listen, Services};

/// Capture only: one of several tailers of a log captures, the others stand by.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight tailer --uri mongodb://db1.example/?replicaSet=rs0 \\\n      --log kafka://k1:9092,k2:9092 --bases /bases"
)]
pub(crate) struct Tailer {
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub listen: Listen,
}

impl Tailer {
    pub(super) async fn run(&self, global: &Global) -> Result<Exit> {
        let (listen, capture) = (&self.listen, Some(&self.capture));
        serve::run(global, Services { listen, capture, history: None, retention: None }).await
    }
}
