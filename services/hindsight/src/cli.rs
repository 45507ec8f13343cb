//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::access::{AccessArgs, ClientArgs, TokenCreate};
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
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
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
    /// Directory of bases, which tailers and replayers of a log share. Default: DATA/base.
    #[arg(long, global = true, env = "HINDSIGHT_BASES", value_name = "DIR")]
    pub bases: Option<PathBuf>,
    /// Ask the server at this address (https://host:port) instead of the one that runs on the data
    /// directory.
    #[arg(long, global = true, env = "HINDSIGHT_SERVER", value_name = "ADDR")]
    pub server: Option<String>,
    /// Go on past operations and commands of a newer server that carry no data: skip=NAME,NAME.
    /// Without it, one that this version does not know ends the history; capture goes on in any
    /// case.
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
    /// Configuration file (TOML); flags and HINDSIGHT_* variables win over it.
    #[arg(long, global = true, env = "HINDSIGHT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log format on stderr.
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
    /// Names of operations and commands that the history passes over.
    pub fn skipped(&self) -> BTreeSet<String> {
        self.unknown_commands.clone().unwrap_or_default().skipped
    }
}

/// Which log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Where segments are: file:///path, or kafka://host:port,host:port/topic. Default: DATA/log.
    #[arg(
        long,
        global = true,
        env = "HINDSIGHT_LOG",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "URL"
    )]
    pub log: Option<String>,
    /// A setting of the Kafka client, as librdkafka names it (TLS, SASL, …); may be repeated.
    /// Passwords belong into the file.
    #[arg(
        long = "kafka-config",
        global = true,
        env = "HINDSIGHT_KAFKA_CONFIG",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    pub kafka_config: Vec<String>,
    /// File with settings of the Kafka client, a NAME=VALUE on each line.
    #[arg(long, global = true, env = "HINDSIGHT_KAFKA_CONFIG_FILE", value_name = "FILE")]
    pub kafka_config_file: Option<PathBuf>,
    /// Brokers that keep each record of a Kafka topic: what it is created with, and the least that
    /// is accepted.
    #[arg(
        long,
        global = true,
        env = "HINDSIGHT_KAFKA_REPLICAS",
        default_value_t = 3,
        value_name = "N"
    )]
    pub kafka_replicas: u16,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture, copy a base, keep the history and serve the API, in one process.
    Up(Up),
    /// Capture only: one of several tailers of a log captures, the others stand by.
    Tailer(Tailer),
    /// Keep the history of a log that a tailer writes, and serve the API.
    Replayer(Replayer),
    /// Wait until a time can be restored (default: everything committed until now).
    Wait(Wait),
    /// Positions, lags, windows and errors of the running process.
    Status,
    /// Restore windows and gaps.
    Windows,
    /// Find entries, so that one can restore to just before one.
    Find(Find),
    /// What happened when: operations per stretch of time, commands such as drop marked.
    Timeline(Timeline),
    /// One document as it was at a time.
    Get(Get),
    /// Every version of one document.
    History(History),
    /// The documents of a collection as they were at a time.
    Scan(Scan),
    /// The collections and views there were at a time, with their options and indexes.
    Collections(Collections),
    /// What a time means: its position, its window, and the entries on both sides of it.
    Resolve(Resolve),
    /// What is different between two times.
    Diff(Diff),
    /// Restore everything as of a time into another MongoDB.
    Restore(Restore),
    /// Restores that were begun: list, watch, cancel, forget.
    #[command(subcommand)]
    Restores(Restores),
    /// Bases.
    #[command(subcommand)]
    Base(Base),
    /// The segment log.
    #[command(subcommand)]
    Log(LogCommand),
    /// Check the chain and every checksum of what is held.
    Verify(Verify),
    /// Tokens that callers of the API show.
    #[command(subcommand)]
    Token(Token),
    /// Configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print a shell completion script.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Example: hindsight up --uri mongodb://db1.example:27017/?replicaSet=rs0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Up {
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub store: HistoryArgs,
}

/// Example: hindsight tailer --uri mongodb://db1.example/?replicaSet=rs0 --log
/// kafka://k1:9092,k2:9092 --bases /bases
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Tailer {
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub listen: Listen,
}

/// Example: hindsight replayer --log kafka://k1:9092,k2:9092/hindsight.rs0 --bases /bases
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Replayer {
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub store: HistoryArgs,
}

/// What is read from the source, and how it is cut into segments.
#[derive(Debug, Args)]
pub struct CaptureArgs {
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
    /// Cut a segment at this many bytes of entries.
    #[arg(long, env = "HINDSIGHT_SEGMENT_BYTES", default_value_t = 8 << 20, value_name = "BYTES")]
    pub segment_bytes: usize,
    /// Cut a segment at the latest this long after its first entry arrived.
    #[arg(long, env = "HINDSIGHT_SEGMENT_AGE_MS", default_value_t = 250, value_name = "MS")]
    pub segment_age_ms: u64,
    /// How often the members' indexes and options are compared with what the oplog says (`30s`,
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
pub struct Listen {
    /// Address of the API, metrics and health checks; port 0 takes a free one. Other than loopback
    /// it needs TLS and tokens.
    #[arg(long, env = "HINDSIGHT_LISTEN", default_value = "127.0.0.1:7117", value_name = "ADDR")]
    pub listen: String,
    #[command(flatten)]
    pub access: AccessArgs,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Memory of the history store's block cache.
    #[arg(long, env = "HINDSIGHT_CACHE_BYTES", default_value_t = 64 << 20, value_name = "BYTES")]
    pub cache_bytes: usize,
}

/// The source's connection string. It may hold a password: the environment and a file keep it out
/// of `ps`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SourceUri {
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
pub enum CodecName {
    None,
    Lz4,
    #[default]
    Zstd,
}

/// Example: hindsight wait --timeout 2m
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Wait {
    /// The time to wait for. Default: the source's majority point when called.
    #[arg(long = "for", value_name = "T")]
    pub time: Option<String>,
    /// Give up after this long (`500ms`, `60s`, `5m`).
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: std::time::Duration,
}

/// Example: hindsight find --ns shop.orders --op drop --from 2026-11-21T12:00:00Z
///          hindsight find --ns shop.orders --changed-field total --grep '"status":"paid"'
///          --before-context 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Find {
    /// Namespace: db.collection, or db.* for a whole database. Of a time-series collection its
    /// buckets, of a view its definition.
    #[arg(long)]
    pub ns: Option<String>,
    /// Operation: i, u, d, or a command's name such as drop or renameCollection; may be repeated. A
    /// rename that drops the collection whose name is taken, as `$out` ends with one, is a drop
    /// too.
    #[arg(long, value_delimiter = ',')]
    pub op: Vec<String>,
    /// `_id` of the document, as Extended JSON or a bare word.
    #[arg(long)]
    pub id: Option<String>,
    /// From this time on.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Up to this time, included.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Only entries of this transaction: SESSION:NUMBER, the UUID in `lsid.id` and `txnNumber`.
    #[arg(long, value_name = "UUID:N")]
    pub txn: Option<String>,
    /// Only entries of this session: the UUID in `lsid.id`.
    #[arg(long, value_name = "UUID")]
    pub session: Option<String>,
    /// Only updates that write this field, a part of it, or something that holds it, such as
    /// `items.price`.
    #[arg(long, value_name = "PATH")]
    pub changed_field: Option<String>,
    /// Only entries in which this regular expression is found, as relaxed Extended JSON without
    /// spaces.
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only entries that match, in MongoDB's query language as Extended JSON:
    /// '{"o.status":"paid"}'.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Also so many entries before each match, whatever they are.
    #[arg(short = 'B', long, default_value_t = 0, value_name = "N")]
    pub before_context: u32,
    /// Go on with new entries as they become durable, until Ctrl-C.
    #[arg(short, long, conflicts_with = "to")]
    pub follow: bool,
    /// The newest so many; 0 is no limit. Default: 100, and with --follow none.
    #[arg(long)]
    pub limit: Option<u64>,
}

/// Example: hindsight timeline --ns shop.orders --from 2026-11-21T12:00:00Z --bucket 1m
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Timeline {
    /// Namespace: db.collection, or db.* for a whole database.
    #[arg(long)]
    pub ns: Option<String>,
    /// From this time on. Default: from the first entry held.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Up to this time, included. Default: to the last entry held.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Length of a bucket, whole seconds (`10s`, `5m`). Default: at most 60 buckets.
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub bucket: Option<std::time::Duration>,
}

/// Example: hindsight get shop.orders '{"$oid":"65f0c0ffee0000000000cafe"}' --at
/// 2026-11-21T12:00:00Z
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Get {
    /// Namespace: db.collection.
    pub ns: String,
    /// `_id`, as Extended JSON or a bare word.
    #[arg(allow_hyphen_values = true)]
    pub id: String,
    /// The time.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
}

/// Example: hindsight history shop.orders 42
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct History {
    /// Namespace: db.collection.
    pub ns: String,
    /// `_id`, as Extended JSON or a bare word.
    #[arg(allow_hyphen_values = true)]
    pub id: String,
}

/// Example: hindsight scan shop.orders --at 1795000000,42 --filter '{"total":{"$gt":100}}' --limit
/// 10
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Scan {
    /// Namespace: db.collection.
    pub ns: String,
    /// The time.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
    /// Only documents that match, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Only these fields, as `find` takes them: {"total":1}, or {"notes":0}.
    #[arg(long, value_name = "JSON")]
    pub projection: Option<String>,
    /// The order: by `_id`, the only one there is.
    #[arg(long, value_name = "FIELD", default_value = "_id", value_parser = ["_id"])]
    pub sort: String,
    /// At most so many documents; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub limit: u64,
}

/// Example: hindsight collections --ns 'shop.*' --at 1795000000,42
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Collections {
    /// Namespace: db.collection, or db.* for a whole database.
    #[arg(long)]
    pub ns: Option<String>,
    /// The time.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
}

/// Example: hindsight resolve 2026-11-21T12:00:00Z
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Resolve {
    /// The time.
    #[arg(value_name = "T")]
    pub time: String,
    /// As `--before` means it: the time itself, and with a whole second all of it, is excluded.
    #[arg(long)]
    pub before: bool,
}

/// Example: hindsight diff shop.orders --from 2026-11-21T12:00:00Z --to latest
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Diff {
    /// Namespace: db.collection, or db.* for a whole database. Default: everything.
    pub ns: Option<String>,
    /// The time before.
    #[arg(long, value_name = "T")]
    pub from: String,
    /// The time after.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub to: String,
    /// Only documents that match before or after, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// At most so many changes; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub limit: u64,
}

#[derive(Debug, Subcommand)]
pub enum Restores {
    /// List them, newest first.
    List,
    /// Show how one goes on, until it has ended.
    Watch { name: String },
    /// Stop one. What it wrote stays in the target, which must not be used.
    Cancel { name: String },
    /// Forget one that has ended.
    Delete { name: String },
}

/// Example: hindsight restore --before 1795000000,42 --to mongodb://localhost:27018
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Restore {
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
    /// Leave out single indexes, options and documents that this target can never hold, and name
    /// them in the report, instead of refusing the restore.
    #[arg(long)]
    pub leave_out_unrestorable: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RestoreTime {
    /// Restore everything up to this time, included; of a whole second to its end, which must be
    /// held.
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// Restore everything before this time.
    #[arg(long, value_name = "T")]
    pub before: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct TargetUri {
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
pub enum Base {
    /// List the bases.
    List,
}

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Copy segments from one log to the end of another, unchanged; goes on where an earlier copy
    /// stopped. A topic that is copied to is told of the bases that the other one knows; from
    /// files, of those in --bases.
    Copy(LogCopy),
}

/// Example: hindsight log copy --from file:///var/lib/hindsight/log --to
/// kafka://k1:9092/hindsight.rs0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct LogCopy {
    /// The log to read: file:///path or kafka://host:port/topic.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The log to append to; it is empty, or begins as the other one does.
    #[arg(long, value_name = "URL")]
    pub to: String,
}

/// Example: hindsight verify --deep
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    /// Read every byte of log and bases.
    #[arg(long)]
    pub deep: bool,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token: it is printed once, and only its digest is kept.
    Create(TokenCreate),
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Explain what is in force for `up`, and where it came from.
    Check(Up),
}

/// `500ms`, `60s`, `5m`, `1h`.
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
        .ok_or_else(|| format!("{text:?} is longer than can be waited for"))
}
