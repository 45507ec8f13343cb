//! The settings of the history, as the command line takes them.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use hindsight_history::Settings;
use hindsight_oplog::NamespacePattern;
use hindsight_runtime::values::{LONGEST, duration, number};

use crate::retention::compact_after;

/// The shortest time for which the history can be kept: less than this is a mistake.
const SHORTEST_KEEP: Duration = Duration::from_secs(10);
/// The smallest and the largest cache. With a smaller one, every read goes to the disk.
const CACHE_BYTES: (usize, usize) = (1 << 20, 1 << 40);

/// How much of the history to keep, and of what.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Size of the history store's block cache in memory, in bytes.
    #[arg(
        long,
        env = "HINDSIGHT_CACHE_BYTES",
        default_value_t = 64 << 20,
        value_parser = number(CACHE_BYTES.0, CACHE_BYTES.1),
        value_name = "BYTES"
    )]
    pub cache_bytes: usize,
    /// Keep the history for this long before the newest restorable time (`30d`, `12h`), and forget
    /// what is older. Without it everything is kept. The log is not shortened.
    #[arg(
        long,
        env = "HINDSIGHT_KEEP_HISTORY",
        value_parser = duration(SHORTEST_KEEP, LONGEST),
        value_name = "DURATION"
    )]
    pub keep_history: Option<Duration>,
    /// Leave the documents of these collections out of the history (`db.collection`, or `db.*`);
    /// may be repeated. The log holds them nevertheless. When this changes, the history is rebuilt
    /// from base and log.
    #[arg(
        long,
        env = "HINDSIGHT_HISTORY_EXCLUDE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    pub history_exclude: Vec<String>,
}

impl HistoryArgs {
    /// Returns how to open the history. `skipped` holds the names of operations and commands that
    /// the history passes over.
    pub fn settings(&self, skipped: BTreeSet<String>) -> Settings {
        Settings {
            cache_bytes: self.cache_bytes,
            compact_after: self.keep_history.map(compact_after),
            excluded: Some(
                self.history_exclude.iter().map(|it| NamespacePattern::parse(it)).collect(),
            ),
            skipped,
            ..Settings::default()
        }
    }
}
