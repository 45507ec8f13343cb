//! Runs a revert, batch after batch, several at once.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use hindsight_mongo::Client;

use crate::batch::batches;
use crate::error::RevertError;
use crate::report::Report;
use crate::reversion::{Direction, Reversion};
use crate::write::write;

/// Settings of a revert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many transactions are under way at once.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connections: 4 }
    }
}

/// Writes every document that is still as the history knows it. Calls `show` after each batch.
/// Returns what was done, also when an error ended the revert early.
pub async fn run(
    client: &Client,
    reversions: impl Iterator<Item = Result<Reversion, RevertError>> + Send,
    direction: Direction,
    settings: Settings,
    mut show: impl FnMut(&Report) + Send,
) -> (Report, Option<RevertError>) {
    let stopped = AtomicBool::new(false);
    let wanted = reversions.map(|reversion| reversion.map(|it| it.towards(direction)));
    let batches = batches(wanted).take_while(|_| !stopped.load(Ordering::Relaxed));
    let writes = futures_util::stream::iter(batches)
        .map(|batch| async move { write(client, &batch?).await })
        .buffer_unordered(settings.connections.max(1));
    tokio::pin!(writes);
    let (mut report, mut first_error) = (Report::default(), None);
    // After an error, what has begun comes to its end, so that the report is true.
    while let Some(done) = writes.next().await {
        match done {
            Ok(done) => {
                report.add(done);
                show(&report);
            }
            Err(error) => {
                stopped.store(true, Ordering::Relaxed);
                first_error.get_or_insert(error);
            }
        }
    }
    (report, first_error)
}
