//! What every command takes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hindsight_access::ClientArgs;
use hindsight_holdings::LogArgs;

use crate::unknown_commands::UnknownCommands;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Data directory.
    #[arg(
        long,
        global = true,
        env = "HINDSIGHT_DATA",
        default_value = "./hindsight-data",
        value_name = "DIR"
    )]
    pub data: PathBuf,
    #[command(flatten)]
    pub log: LogArgs,
    /// Directory of the bases, shared by the tailers and replayers of a log. Default: DATA/base.
    #[arg(long, global = true, env = "HINDSIGHT_BASES", value_name = "DIR")]
    pub bases: Option<PathBuf>,
    /// Address of the server to ask (https://host:port), instead of the process that runs on the
    /// data directory.
    #[arg(long, global = true, env = "HINDSIGHT_SERVER", value_name = "ADDR")]
    pub server: Option<String>,
    /// Skip operations and commands of a newer server that carry no data: skip=NAME,NAME. An
    /// operation or command that this version does not know and that is not named here ends the
    /// history; capture goes on either way.
    #[arg(long, global = true, env = "HINDSIGHT_UNKNOWN_COMMANDS", value_name = "skip=NAME,NAME")]
    pub unknown_commands: Option<UnknownCommands>,
    #[command(flatten)]
    pub client: ClientArgs,
    /// Output format.
    #[arg(
        short,
        long,
        global = true,
        env = "HINDSIGHT_OUTPUT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub output: Output,
    /// Configuration file (TOML); flags and HINDSIGHT_* variables take precedence over it.
    #[arg(long, global = true, env = "HINDSIGHT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Format of the log on stderr.
    #[arg(
        long,
        global = true,
        env = "HINDSIGHT_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
    /// Log filter, e.g. `info` or `hindsight_tailer=debug,warn`.
    #[arg(long, global = true, env = "HINDSIGHT_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
}

impl Global {
    /// Returns the names of the operations and commands that the history skips.
    pub(crate) fn skipped(&self) -> BTreeSet<String> {
        self.unknown_commands.clone().unwrap_or_default().skipped
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}
