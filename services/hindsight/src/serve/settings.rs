//! What `up`, `tailer` and `replayer` take, and what follows from it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hindsight_access::AccessArgs;
use hindsight_history::Settings;
use hindsight_holdings::LogUrl;
use hindsight_mongo::connection_string;
use hindsight_oplog::NamespacePattern;
use hindsight_replayer::compact_after;
use hindsight_segment::Codec;
use hindsight_tailer::{CutSettings, Preference, Source};

use crate::commands::values::parse_duration;
use crate::exit::{Failure, Result};
use crate::secret;

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
    pub catalog_check_every: Duration,
    /// Make a new base once the newest base is this old (`24h`): from the history where it can tell
    /// everything, or else by a copy from the source. Without it, bases are copied only where one
    /// is needed.
    #[arg(
        long,
        env = "HINDSIGHT_BASE_EVERY",
        value_parser = parse_duration,
        value_name = "DURATION"
    )]
    pub base_every: Option<Duration>,
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

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Address of the API, metrics and health checks; port 0 takes a free port. An address other
    /// than loopback needs TLS and tokens.
    #[arg(long, env = "HINDSIGHT_LISTEN", default_value = "127.0.0.1:7117", value_name = "ADDR")]
    pub listen: String,
    #[command(flatten)]
    pub access: AccessArgs,
}

/// How much of the log to keep.
#[derive(Debug, Args)]
pub(crate) struct LogRetentionArgs {
    /// Keep the log for this long before the newest restorable time (`7d`), and remove what is
    /// older, together with bases that nothing needs any more. What is restorable within that time
    /// stays restorable from base and log alone, so the log is kept from before the last base
    /// older than that. Without it everything is kept. Bases are renewed every `24h`, unless
    /// --base-every says otherwise.
    #[arg(
        long,
        env = "HINDSIGHT_KEEP_LOG",
        value_parser = parse_duration,
        value_name = "DURATION"
    )]
    pub keep_log: Option<Duration>,
}

/// How often bases are renewed when the log is shortened and nothing else is said.
const BASE_EVERY: Duration = Duration::from_secs(24 * 3600);

impl LogRetentionArgs {
    /// Checks that the log can be shortened: a topic has Kafka's own retention, and other processes
    /// that read it.
    pub(super) fn check(&self, log: &LogUrl) -> Result<()> {
        match (self.keep_log, log) {
            (Some(keep), _) if keep < SHORTEST_KEEP => {
                Err(Failure::usage("--keep-log must be at least 10s"))
            }
            (Some(_), LogUrl::Kafka { .. }) => Err(Failure::usage(
                "--keep-log shortens a log in a directory, and --log names a topic",
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Size of the history store's block cache in memory, in bytes.
    #[arg(long, env = "HINDSIGHT_CACHE_BYTES", default_value_t = 64 << 20, value_name = "BYTES")]
    pub cache_bytes: usize,
    /// Keep the history for this long before the newest restorable time (`30d`, `12h`), and forget
    /// what is older. Without it everything is kept. The log is not shortened.
    #[arg(
        long,
        env = "HINDSIGHT_KEEP_HISTORY",
        value_parser = parse_duration,
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

/// The shortest time for which the history can be kept: less than this is a mistake.
const SHORTEST_KEEP: Duration = Duration::from_secs(10);

impl HistoryArgs {
    pub(super) fn check(&self) -> Result<()> {
        if self.keep_history.is_some_and(|keep| keep < SHORTEST_KEEP) {
            return Err(Failure::usage("--keep-history must be at least 10s"));
        }
        Ok(())
    }

    /// Returns how to open the history. `skipped` holds the names of operations and commands that
    /// the history passes over.
    pub(super) fn settings(&self, skipped: BTreeSet<String>) -> Settings {
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

impl CaptureArgs {
    /// Checks everything that can be checked without touching anything.
    pub(super) fn check(&self) -> Result<()> {
        connection_string::check(&self.uri.read()?).map_err(|problem| {
            Failure::usage(format!("the connection string of --uri: {problem}"))
        })?;
        self.tags()?;
        if !(4096..=(64 << 20)).contains(&self.segment_bytes) {
            return Err(Failure::usage("--segment-bytes must be between 4096 and 67108864"));
        }
        if self.base_every.is_some_and(|every| every < SHORTEST_KEEP) {
            return Err(Failure::usage("--base-every must be at least 10s"));
        }
        if !(1..=60_000).contains(&self.segment_age_ms) {
            return Err(Failure::usage("--segment-age-ms must be between 1 and 60000"));
        }
        Ok(())
    }

    /// Parses the source's connection string before anything is touched, so that a malformed string
    /// leaves no directory behind.
    pub(super) async fn source(&self) -> Result<Source> {
        Ok(Source::parse(&self.uri.read()?).await?)
    }

    /// Returns how old the newest base may become.
    pub(super) fn renew_every(&self, retention: Option<&LogRetentionArgs>) -> Option<Duration> {
        let shortens = retention.is_some_and(|retention| retention.keep_log.is_some());
        self.base_every.or(shortens.then_some(BASE_EVERY))
    }

    pub(super) fn preference(&self) -> Result<Preference> {
        let (member, tags) = (self.member.clone(), self.tags()?);
        Ok(Preference { member, tags, allow_primary: self.allow_primary })
    }

    fn tags(&self) -> Result<Vec<(String, String)>> {
        let split = |tag: &String| match tag.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(Failure::usage(format!("--member-tag {tag:?} is not NAME:VALUE"))),
        };
        self.member_tags.iter().map(split).collect()
    }

    pub(super) fn cut(&self) -> CutSettings {
        CutSettings {
            bytes: self.segment_bytes as u64,
            age: Duration::from_millis(self.segment_age_ms),
            codec: match self.codec {
                CodecName::None => Codec::None,
                CodecName::Lz4 => Codec::Lz4,
                CodecName::Zstd => Codec::Zstd,
            },
        }
    }
}

impl SourceUri {
    fn read(&self) -> Result<String> {
        secret::read("--uri", self.uri.as_deref(), self.uri_file.as_deref())
    }
}
