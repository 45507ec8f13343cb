//! What `up`, `tailer` and `replayer` take, and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hindsight_access::AccessArgs;
use hindsight_holdings::LogRetentionArgs;
use hindsight_mongo::connection_string;
use hindsight_runtime::values::{LONGEST, duration, duration_or_never, number};
use hindsight_segment::Codec;
use hindsight_tailer::{CutSettings, Preference, Source};

use crate::exit::{Failure, Result};
use crate::secret;

/// How often bases are renewed when the log is shortened and nothing else is said.
const BASE_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Bases that are renewed more often than this are a mistake.
const SHORTEST_BASE_EVERY: Duration = Duration::from_secs(10);

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
    #[arg(
        long,
        env = "HINDSIGHT_SEGMENT_BYTES",
        default_value_t = 8 << 20,
        value_parser = number::<usize>(4096, 64 << 20),
        value_name = "BYTES"
    )]
    pub segment_bytes: usize,
    /// Cut a segment at most this many milliseconds after its first entry arrived.
    #[arg(
        long,
        env = "HINDSIGHT_SEGMENT_AGE_MS",
        default_value_t = 250,
        value_parser = number::<u64>(1, 60_000),
        value_name = "MS"
    )]
    pub segment_age_ms: u64,
    /// How often to compare the members' indexes and options with what the oplog says (`30s`,
    /// `5m`); `0s` for never.
    #[arg(
        long,
        env = "HINDSIGHT_CATALOG_CHECK_EVERY",
        default_value = "5m",
        value_parser = duration_or_never(Duration::from_millis(100), LONGEST),
        value_name = "DURATION"
    )]
    pub catalog_check_every: Duration,
    /// Make a new base once the newest base is this old (`24h`): from the history where it can tell
    /// everything, or else by a copy from the source. Without it, bases are copied only where one
    /// is needed.
    #[arg(
        long,
        env = "HINDSIGHT_BASE_EVERY",
        value_parser = duration(SHORTEST_BASE_EVERY, LONGEST),
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

impl CaptureArgs {
    /// Checks everything that can be checked without touching anything.
    pub(super) fn check(&self) -> Result<()> {
        connection_string::check(&self.uri.read()?).map_err(|problem| {
            Failure::usage(format!("the connection string of --uri: {problem}"))
        })?;
        self.tags().map(drop)
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use crate::cli::Cli;

    /// Settings for which zero means something of its own.
    const MAY_BE_ZERO: [&str; 1] = ["catalog-check-every"];

    /// Returns the numbers and durations that a command takes, each with what is too little and
    /// too much for any of them.
    fn measures(command: &str) -> Vec<(String, [&'static str; 2])> {
        let cli = Cli::command();
        let command = cli.find_subcommand(command).expect("it is a command");
        let arguments = command.get_arguments().chain(cli.get_arguments());
        let of = |argument: &clap::Arg| {
            let extremes = match argument.get_value_names()?.first()?.as_str() {
                "DURATION" => ["0s", "36501d"],
                "N" | "BYTES" | "MS" => ["0", "18446744073709551615"],
                _ => return None,
            };
            Some((argument.get_long()?.to_owned(), extremes))
        };
        arguments.filter_map(of).collect()
    }

    #[test]
    fn every_number_of_a_service_has_bounds_and_says_them() {
        let mut seen = 0;
        for command in ["up", "tailer", "replayer"] {
            for (flag, extremes) in measures(command) {
                seen += 1;
                let may_be_zero = MAY_BE_ZERO.contains(&&*flag);
                for value in extremes.into_iter().skip(usize::from(may_be_zero)) {
                    let argument = format!("--{flag}={value}");
                    let typed = ["hindsight", command, "--uri=mongodb://h/", &argument];
                    let typed = typed.iter().filter(|it| command != "replayer" || **it != typed[2]);
                    let refused = Cli::command().try_get_matches_from(typed);
                    let refused = refused.expect_err(&argument);
                    assert_eq!(refused.kind(), ErrorKind::ValueValidation, "{refused}");
                    let told = refused.to_string();
                    for part in [value, &flag, "write a ", " from ", " to "] {
                        assert!(told.contains(part), "{part:?} is not in {told}");
                    }
                }
            }
        }
        assert!(seen >= 15, "only {seen} numbers were found");
    }
}
