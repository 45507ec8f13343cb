//! The log that a command works on, and how to reach it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use hindsight_runtime::values::number;

use crate::data_dir::DataDir;
use crate::error::HoldingsError;

/// The protocol of Kafka has no room for more.
const MOST_REPLICAS: u16 = i16::MAX.unsigned_abs();

/// Which log to use, and how to reach it.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Location of the log: file:///path, or kafka://host:port,host:port/topic. Default: DATA/log.
    #[arg(
        long,
        global = true,
        env = "HINDSIGHT_LOG",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "URL"
    )]
    pub log: Option<String>,
    /// Setting of the Kafka client, as librdkafka names it (TLS, SASL, …); may be repeated. Put
    /// passwords into the file of --kafka-config-file instead.
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
    /// File with settings of the Kafka client, one NAME=VALUE per line.
    #[arg(long, global = true, env = "HINDSIGHT_KAFKA_CONFIG_FILE", value_name = "FILE")]
    pub kafka_config_file: Option<PathBuf>,
    /// Replication factor of the Kafka topic: used when the topic is created, and the minimum
    /// accepted for an existing topic.
    #[arg(
        long,
        global = true,
        env = "HINDSIGHT_KAFKA_REPLICAS",
        default_value_t = 3,
        value_parser = number(1, MOST_REPLICAS),
        value_name = "N"
    )]
    pub kafka_replicas: u16,
}

/// The location of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogUrl {
    /// A directory.
    Directory(PathBuf),
    /// A topic.
    Kafka {
        /// `host:port`, separated by commas.
        brokers: String,
        /// `None` for a topic named after the replica set.
        topic: Option<String>,
    },
}

/// A log, and the settings of the client that reaches it.
#[derive(Debug, Clone)]
pub struct LogChoice {
    pub url: LogUrl,
    /// The settings of the Kafka client. They may hold passwords and are never shown.
    pub client: BTreeMap<String, String>,
    pub replicas: u16,
}

impl LogChoice {
    /// Returns the log that the flags name, or the log of the data directory.
    ///
    /// # Errors
    /// Returns a usage error when a flag, or the file that it names, is malformed.
    pub fn of(args: &LogArgs, data: &DataDir) -> Result<Self, HoldingsError> {
        let url = match &args.log {
            Some(url) => parse("--log", url)?,
            None => LogUrl::Directory(data.log()),
        };
        Self::with_url(args, url)
    }

    /// Returns a log that another flag names.
    ///
    /// # Errors
    /// The same as [`LogChoice::of`].
    pub fn named(args: &LogArgs, flag: &str, url: &str) -> Result<Self, HoldingsError> {
        Self::with_url(args, parse(flag, url)?)
    }

    fn with_url(args: &LogArgs, url: LogUrl) -> Result<Self, HoldingsError> {
        Ok(Self { url, client: client_settings(args)?, replicas: args.kafka_replicas })
    }
}

fn parse(flag: &str, url: &str) -> Result<LogUrl, HoldingsError> {
    let bad = |what: &str| {
        HoldingsError::usage(format!(
            "{flag} {url:?} {what}: write file:///absolute/path or kafka://host:port,host:port/topic"
        ))
    };
    if let Some(path) = url.strip_prefix("file://") {
        if !path.starts_with('/') {
            return Err(bad("is not an absolute path"));
        }
        return Ok(LogUrl::Directory(PathBuf::from(path)));
    }
    // This comes before anything that shows the URL: whatever else is wrong with the URL, the text
    // before an @ may be a password.
    if url.contains('@') {
        return Err(HoldingsError::usage(format!(
            "{flag} holds credentials: give them with --kafka-config-file (sasl.username, sasl.password)"
        )));
    }
    let Some(rest) = url.strip_prefix("kafka://") else {
        return Err(bad("is no log"));
    };
    let (brokers, topic) =
        rest.split_once('/').map_or((rest, ""), |(brokers, topic)| (brokers, topic));
    if !brokers.split(',').all(is_broker) {
        return Err(bad("names no brokers"));
    }
    if !is_topic(topic) {
        return Err(bad("names no valid topic (letters, digits, '.', '_' and '-', at most 249)"));
    }
    let topic = (!topic.is_empty()).then(|| topic.to_owned());
    Ok(LogUrl::Kafka { brokers: brokers.to_owned(), topic })
}

fn is_broker(text: &str) -> bool {
    let port = text.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
    matches!(port, Some((true, Ok(1..))))
}

/// Returns whether Kafka allows a topic name. An empty name passes: it means that no topic is
/// named.
pub(crate) fn is_topic(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.len() <= 249 && name.chars().all(is_fine) && !matches!(name, "." | "..")
}

fn client_settings(args: &LogArgs) -> Result<BTreeMap<String, String>, HoldingsError> {
    let mut settings = BTreeMap::new();
    if let Some(file) = &args.kafka_config_file {
        read_file(file, &mut settings)?;
    }
    for (setting, number) in args.kafka_config.iter().zip(1..) {
        // The value is not shown: it may be a password.
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            HoldingsError::usage(format!(
                "--kafka-config number {number} is not NAME=VALUE. Values with commas belong into --kafka-config-file"
            ))
        })?;
        settings.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(settings)
}

fn read_file(file: &Path, settings: &mut BTreeMap<String, String>) -> Result<(), HoldingsError> {
    let bad = |what: String| {
        HoldingsError::usage(format!("--kafka-config-file {}: {what}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(bad(format!("line {number} is not NAME=VALUE")));
        };
        settings.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_files_or_topics() {
        let kafka = |brokers: &str, topic: Option<&str>| LogUrl::Kafka {
            brokers: brokers.into(),
            topic: topic.map(str::to_owned),
        };
        let good = [
            ("file:///a/b", LogUrl::Directory("/a/b".into())),
            ("kafka://k1:9092", kafka("k1:9092", None)),
            ("kafka://k1:9092,k2:9093/", kafka("k1:9092,k2:9093", None)),
            ("kafka://[::1]:9092/hindsight.rs0", kafka("[::1]:9092", Some("hindsight.rs0"))),
        ];
        for (text, expected) in good {
            assert_eq!(parse("--log", text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "k1:9092",
            "file://a",
            "kafka://",
            "kafka://k1",
            "kafka://k1:0/x",
            "kafka://k1:9092,/x",
            "kafka://:1/x",
            "kafka://k1:9092/a/b",
            "kafka://k1:9092/a b",
            "kafka://k1:9092/..",
            "s3://b",
        ] {
            let failure = parse("--log", text).unwrap_err();
            assert!(failure.to_string().contains("kafka://host:port"), "{text}: {failure}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        for url in [
            "kafka://me:secret@k1:9092/x",
            "kafka://me:se/cret-secret@k1:9092/x",
            "kafka:/me:secret@k1:9092/x",
            "mongodb://me:secret@db1/",
        ] {
            let failure = parse("--log", url).unwrap_err();
            assert!(failure.to_string().contains("holds credentials"), "{failure}");
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
    }

    #[test]
    fn client_settings_come_from_the_file_and_then_from_flags() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# ours\n\nsasl.username = me\nsasl.password=a=b\n";
        std::fs::write(file.path(), text).unwrap();
        let mut args = LogArgs {
            log: None,
            kafka_config: vec!["sasl.username=you".into()],
            kafka_config_file: Some(file.path().to_owned()),
            kafka_replicas: 3,
        };
        let settings = client_settings(&args).unwrap();
        assert_eq!(settings["sasl.username"], "you");
        assert_eq!(settings["sasl.password"], "a=b");
        args.kafka_config.push("hunter2".into());
        let failure = client_settings(&args).unwrap_err();
        assert!(
            failure.to_string().contains("number 2") && !failure.to_string().contains("hunter2")
        );
    }
}
