//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hindsight_access::{AccessArgs, ClientArgs, TokenCreate};
use hindsight_holdings::LogArgs;

use crate::unknown_commands::UnknownCommands;

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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Capture, copy a base, keep the history and serve the API, in one process.
    Up(Up),
    /// Capture only: one of several tailers of a log captures, the others stand by.
    Tailer(Tailer),
    /// Keep the history of a log that a tailer writes, and serve the API.
    Replayer(Replayer),
    /// Wait until a time can be restored (default: everything committed so far).
    Wait(Wait),
    /// Show positions, lags, windows and errors of the running process.
    Status,
    /// List restore windows and gaps.
    Windows,
    /// Find oplog entries, for example to restore to just before one of them.
    Find(Find),
    /// Show what happened when: operations per stretch of time, and commands such as drop.
    Timeline(Timeline),
    /// Show one document as it was at a time.
    Get(Get),
    /// Show every version of one document.
    History(History),
    /// Show the documents of a collection as they were at a time.
    Scan(Scan),
    /// List the collections and views that existed at a time, with their options and indexes.
    Collections(Collections),
    /// Show what a time means: its position, its window, and the entries on both sides of it.
    Resolve(Resolve),
    /// Show the differences between two times.
    Diff(Diff),
    /// Restore everything as of a time into another MongoDB.
    Restore(Restore),
    /// List, watch, cancel or delete restores that were started.
    #[command(subcommand)]
    Restores(Restores),
    /// Show the bases.
    #[command(subcommand)]
    Base(Base),
    /// Copy the segment log.
    #[command(subcommand)]
    Log(LogCommand),
    /// Check the chain and the checksums of everything that is held.
    Verify(Verify),
    /// Create tokens for callers of the API.
    #[command(subcommand)]
    Token(Token),
    /// Check the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print a shell completion script.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Arguments of `hindsight up`.
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
}

/// Arguments of `hindsight tailer`.
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

/// Arguments of `hindsight replayer`.
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

/// What to read from the source, and how to cut it into segments.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    #[command(flatten)]
    pub uri: SourceUri,
    /// Read from this member only (host:port as in the replica set's configuration).
    #[arg(long, env = "HINDSIGHT_MEMBER", value_name = "HOST")]
    pub member: Option<String>,
    /// Read only from members with this tag; may be repeated.
    #[arg(
        long = "member-tag",
        env = "HINDSIGHT_MEMBER_TAG",
        value_name = "NAME:VALUE",
        value_delimiter = ','
    )]
    pub member_tags: Vec<String>,
    /// Allow reading from the primary when no secondary can be read.
    #[arg(long, env = "HINDSIGHT_ALLOW_PRIMARY")]
    pub allow_primary: bool,
    /// Compression of segments.
    #[arg(long, env = "HINDSIGHT_CODEC", value_enum, default_value_t, value_name = "CODEC")]
    pub codec: CodecName,
    /// Cut a segment once it holds this many bytes of entries.
    #[arg(long, env = "HINDSIGHT_SEGMENT_BYTES", default_value_t = 8 << 20, value_name = "BYTES")]
    pub segment_bytes: usize,
    /// Cut a segment at most this many milliseconds after its first entry arrived.
    #[arg(long, env = "HINDSIGHT_SEGMENT_AGE_MS", default_value_t = 250, value_name = "MS")]
    pub segment_age_ms: u64,
    /// How often to compare the members' indexes and options with what the oplog says (`30s`,
    /// `5m`); `0s` for never.
    #[arg(
        long,
        env = "HINDSIGHT_CATALOG_CHECK_EVERY",
        default_value = "5m",
        value_parser = parse_duration,
        value_name = "DURATION"
    )]
    pub catalog_check_every: std::time::Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Address of the API, metrics and health checks; port 0 takes a free port. An address other
    /// than loopback needs TLS and tokens.
    #[arg(long, env = "HINDSIGHT_LISTEN", default_value = "127.0.0.1:7117", value_name = "ADDR")]
    pub listen: String,
    #[command(flatten)]
    pub access: AccessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Size of the history store's block cache in memory, in bytes.
    #[arg(long, env = "HINDSIGHT_CACHE_BYTES", default_value_t = 64 << 20, value_name = "BYTES")]
    pub cache_bytes: usize,
}

/// The source's connection string. It may hold a password, which the environment and a file keep
/// out of the output of `ps`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SourceUri {
    /// Connection string of the replica set (HINDSIGHT_URI keeps a password out of the process
    /// list).
    #[arg(
        long,
        alias = "mongodb-uri",
        env = "HINDSIGHT_URI",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub uri: Option<String>,
    /// File that holds the connection string.
    #[arg(long, env = "HINDSIGHT_URI_FILE", value_name = "FILE")]
    pub uri_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecName {
    None,
    Lz4,
    #[default]
    Zstd,
}

/// Arguments of `hindsight wait`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight wait --timeout 2m")]
pub(crate) struct Wait {
    /// Time to wait for. Default: the newest write at the source when the command is called.
    #[arg(long = "for", value_name = "T")]
    pub time: Option<String>,
    /// Give up after this long (`500ms`, `60s`, `5m`).
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: std::time::Duration,
}

/// Arguments of `hindsight find`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hindsight find --ns shop.orders --op drop --from 2026-11-21T12:00:00Z\n  hindsight find --ns shop.orders --changed-field total --grep '\"status\":\"paid\"' \\\n      --before-context 3"
)]
pub(crate) struct Find {
    /// Namespace: db.collection, or db.* for a whole database. The name of a time-series collection
    /// finds its buckets, the name of a view its definition.
    #[arg(long)]
    pub ns: Option<String>,
    /// Operation: i, u, d, or a command's name such as drop or renameCollection; may be repeated.
    /// `drop` also finds renames that drop the collection whose name they take, such as the one at
    /// the end of `$out`.
    #[arg(long, value_delimiter = ',')]
    pub op: Vec<String>,
    /// `_id` of the document, as Extended JSON or a bare word.
    #[arg(long)]
    pub id: Option<String>,
    /// Only entries from this time on.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Only entries up to and including this time.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Only entries of this transaction: the UUID in `lsid.id`, a colon, and `txnNumber`.
    #[arg(long, value_name = "UUID:N")]
    pub txn: Option<String>,
    /// Only entries of this session: the UUID in `lsid.id`.
    #[arg(long, value_name = "UUID")]
    pub session: Option<String>,
    /// Only updates that write this field (such as `items.price`), a part of it, or a field that
    /// contains it.
    #[arg(long, value_name = "PATH")]
    pub changed_field: Option<String>,
    /// Only entries in which this regular expression matches somewhere; the entry is matched as
    /// relaxed Extended JSON without spaces.
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only entries that match, in MongoDB's query language as Extended JSON:
    /// '{"o.status":"paid"}'.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Number of entries to show before each match, whatever they are.
    #[arg(short = 'B', long, default_value_t = 0, value_name = "N")]
    pub before_context: u32,
    /// Continue with new entries as they become durable, until Ctrl-C.
    #[arg(short, long, conflicts_with = "to")]
    pub follow: bool,
    /// Limit on the number of matches: the newest are shown; 0 is no limit. Default: 100, or no
    /// limit with --follow.
    #[arg(long)]
    pub limit: Option<u64>,
}

/// Arguments of `hindsight timeline`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight timeline --ns shop.orders --from 2026-11-21T12:00:00Z --bucket 1m"
)]
pub(crate) struct Timeline {
    /// Namespace: db.collection, or db.* for a whole database.
    #[arg(long)]
    pub ns: Option<String>,
    /// Only operations from this time on. Default: from the first entry held.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Only operations up to and including this time. Default: to the last entry held.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Length of a bucket, in whole seconds (`10s`, `5m`). Default: a length that makes at most 60
    /// buckets.
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub bucket: Option<std::time::Duration>,
}

/// Arguments of `hindsight get`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight get shop.orders '{\"$oid\":\"65f0c0ffee0000000000cafe\"}' \\\n      --at 2026-11-21T12:00:00Z"
)]
pub(crate) struct Get {
    /// Namespace: db.collection.
    pub ns: String,
    /// `_id`, as Extended JSON or a bare word.
    #[arg(allow_hyphen_values = true)]
    pub id: String,
    /// Time of the state to show.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
}

/// Arguments of `hindsight history`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight history shop.orders 42")]
pub(crate) struct History {
    /// Namespace: db.collection.
    pub ns: String,
    /// `_id`, as Extended JSON or a bare word.
    #[arg(allow_hyphen_values = true)]
    pub id: String,
}

/// Arguments of `hindsight scan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight scan shop.orders --at 1795000000,42 --filter '{\"total\":{\"$gt\":100}}' \\\n      --limit 10"
)]
pub(crate) struct Scan {
    /// Namespace: db.collection.
    pub ns: String,
    /// Time of the state to show.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
    /// Only documents that match, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Fields to show, as MongoDB's `find` takes them: {"total":1}, or {"notes":0}.
    #[arg(long, value_name = "JSON")]
    pub projection: Option<String>,
    /// Field to sort by; only `_id` is supported.
    #[arg(long, value_name = "FIELD", default_value = "_id", value_parser = ["_id"])]
    pub sort: String,
    /// Limit on the number of documents; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub limit: u64,
}

/// Arguments of `hindsight collections`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight collections --ns 'shop.*' --at 1795000000,42")]
pub(crate) struct Collections {
    /// Namespace: db.collection, or db.* for a whole database.
    #[arg(long)]
    pub ns: Option<String>,
    /// Time of the state to show.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
}

/// Arguments of `hindsight resolve`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight resolve 2026-11-21T12:00:00Z")]
pub(crate) struct Resolve {
    /// Time to resolve.
    #[arg(value_name = "T")]
    pub time: String,
    /// Exclude the time itself, and of a whole second all of it, as `restore --before` does.
    #[arg(long)]
    pub before: bool,
}

/// Arguments of `hindsight diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight diff shop.orders --from 2026-11-21T12:00:00Z --to latest"
)]
pub(crate) struct Diff {
    /// Namespace: db.collection, or db.* for a whole database. Default: all namespaces.
    pub ns: Option<String>,
    /// Time of the state before.
    #[arg(long, value_name = "T")]
    pub from: String,
    /// Time of the state after.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub to: String,
    /// Only documents that match before or after, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Limit on the number of changes; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub limit: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Restores {
    /// List restores, newest first.
    List,
    /// Show the progress of a restore until it ends.
    Watch { name: String },
    /// Cancel a restore. What it wrote stays in the target, which must not be used.
    Cancel { name: String },
    /// Delete the record of a restore that has ended.
    Delete { name: String },
}

/// Arguments of `hindsight restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight restore --before 1795000000,42 --to mongodb://localhost:27018"
)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub time: RestoreTime,
    #[command(flatten)]
    pub to: TargetUri,
    /// Print the plan and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write into a target that already holds data.
    #[arg(long)]
    pub allow_non_empty: bool,
    /// Leave out individual indexes, options and documents that this target can never hold, and
    /// name them in the report, instead of refusing the restore.
    #[arg(long)]
    pub leave_out_unrestorable: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RestoreTime {
    /// Restore everything up to and including this time. A whole second is restored to its end,
    /// which must be held.
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// Restore everything before this time.
    #[arg(long, value_name = "T")]
    pub before: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetUri {
    /// Connection string of the target (HINDSIGHT_TO keeps a password out of the process list).
    #[arg(
        long,
        env = "HINDSIGHT_TO",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "URI"
    )]
    pub to: Option<String>,
    /// File that holds the target's connection string.
    #[arg(long, env = "HINDSIGHT_TO_FILE", value_name = "FILE")]
    pub to_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Base {
    /// List the bases.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Append the segments of one log to another, unchanged; continues where an earlier copy
    /// stopped. If the target is a topic, the copy also announces bases in it: those that a source
    /// topic announces, or those in --bases when the source is a directory.
    Copy(LogCopy),
}

/// Arguments of `hindsight log copy`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight log copy --from file:///var/lib/hindsight/log \\\n      --to kafka://k1:9092/hindsight.rs0"
)]
pub(crate) struct LogCopy {
    /// Log to read: file:///path or kafka://host:port/topic.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// Log to append to; it must be empty, or hold the first segments of the log to read.
    #[arg(long, value_name = "URL")]
    pub to: String,
}

/// Arguments of `hindsight verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight verify --deep")]
pub(crate) struct Verify {
    /// Read every byte of the log and the bases, not only the seals.
    #[arg(long)]
    pub deep: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Create a token. It is printed once, and only its digest is kept.
    Create(TokenCreate),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the settings in force for `up`, and where each one came from.
    Check(Up),
}

/// Parses a duration such as `500ms`, `60s`, `5m` or `1h`.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a duration such as 60s or 5m"))?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(format!("{text:?} needs a unit: ms, s, m or h")),
    };
    milliseconds
        .map(std::time::Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is too long"))
}
