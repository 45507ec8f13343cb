//! How much of the log to keep, as the command line takes it.

use std::time::Duration;

use clap::Args;
use hindsight_runtime::values::{LONGEST, duration};

use crate::error::HoldingsError;
use crate::log_choice::LogUrl;

/// The shortest time for which the log can be kept: less than this is a mistake.
const SHORTEST_KEEP: Duration = Duration::from_secs(10);

/// How much of the log to keep.
#[derive(Debug, Args)]
pub struct LogRetentionArgs {
    /// Keep the log for this long before the newest restorable time (`7d`), and remove what is
    /// older, together with bases that nothing needs any more. What is restorable within that time
    /// stays restorable from base and log alone, so the log is kept from before the last base
    /// older than that. Without it everything is kept. Bases are renewed every `24h`, unless
    /// --base-every says otherwise.
    #[arg(
        long,
        env = "HINDSIGHT_KEEP_LOG",
        value_parser = duration(SHORTEST_KEEP, LONGEST),
        value_name = "DURATION"
    )]
    pub keep_log: Option<Duration>,
}

impl LogRetentionArgs {
    /// Checks that the log can be shortened: a topic has Kafka's own retention, and other processes
    /// that read it.
    ///
    /// # Errors
    /// Returns a usage error when the log is a topic.
    pub fn check(&self, log: &LogUrl) -> Result<(), HoldingsError> {
        match (self.keep_log, log) {
            (Some(_), LogUrl::Kafka { .. }) => Err(HoldingsError::usage(
                "--keep-log shortens a log in a directory, and --log names a topic: leave one of them out",
            )),
            _ => Ok(()),
        }
    }
}
