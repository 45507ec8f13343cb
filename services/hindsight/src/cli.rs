//! The command line as a whole.

use clap::Parser;

use crate::commands::Command;
use crate::global::Global;

/// Captures a MongoDB replica set's oplog and restores any document, collection or cluster as of
/// any operation.
#[derive(Debug, Parser)]
#[command(
    name = "hindsight",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not restorable (gap, outside the window, not found),\n4 verification failed, 5 needs confirmation, 6 server unavailable.\n\nTimes: 2026-11-21T12:00:00Z, 2026-11-21T12:00:00 (UTC), T,I or T.I or T:I, latest."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}
