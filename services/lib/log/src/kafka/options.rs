//! Which cluster and topic to use, and how to talk to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hindsight_segment::SourceIdentity;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::shared::Instance;

/// Kafka's own default. A frame is seldom longer.
const MAX_MESSAGE_BYTES: u32 = 1_048_588;

/// How to reach a topic, and what is known about it before it is opened.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// The brokers to connect to first: `host:port`, separated by commas.
    pub bootstrap: String,
    /// The name of the topic.
    pub topic: String,
    /// The number of brokers that keep each record. A topic is created with it, and an existing
    /// topic must have at least as many.
    pub replicas: u16,
    /// The `max.message.bytes` that a topic is created with. Longer values are split over several
    /// records.
    pub max_message_bytes: u32,
    /// The replica set whose log the topic must hold. None accepts any.
    pub expected: Option<SourceIdentity>,
    /// The name of this process, for people who read claims.
    pub name: String,
    /// The installation that this process belongs to.
    pub instance: Instance,
    /// A file that notes what was found in the topic, so that the topic need not be read from its
    /// beginning each time.
    pub landmarks: Option<PathBuf>,
    /// How long to try to deliver a record, and how long to wait for the brokers when reading.
    pub timeout: Duration,
    /// Settings that are passed on to librdkafka unchanged: TLS, SASL and anything else it has.
    /// They take precedence over the settings made here, except for the bootstrap servers.
    pub client: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// Returns options with the defaults: 3 replicas, Kafka's default `max.message.bytes`, any
    /// replica set, an unknown instance, no landmarks and a timeout of 10 s.
    pub fn new(bootstrap: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            replicas: 3,
            max_message_bytes: MAX_MESSAGE_BYTES,
            expected: None,
            name: format!("process {}", std::process::id()),
            instance: Instance::UNKNOWN,
            landmarks: None,
            timeout: Duration::from_secs(10),
            client: BTreeMap::new(),
        }
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.config(&[])
    }

    pub(super) fn consumer(&self) -> ClientConfig {
        self.config(&[
            // The group is never joined, because partitions are assigned by hand. librdkafka
            // requires a name nevertheless.
            ("group.id", "hindsight"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("isolation.level", "read_uncommitted"),
            ("check.crcs", "true"),
            ("fetch.wait.max.ms", "50"),
            ("fetch.error.backoff.ms", "50"),
            ("fetch.queue.backoff.ms", "10"),
            ("queued.max.messages.kbytes", "16384"),
        ])
    }

    /// Returns the settings of a producer. `max_message_bytes` is the topic's.
    pub(super) fn producer(&self, max_message_bytes: usize) -> ClientConfig {
        let timeout = self.timeout.as_millis().to_string();
        self.config(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("linger.ms", "0"),
            ("compression.type", "none"),
            ("message.max.bytes", max_message_bytes.to_string().as_str()),
            ("message.timeout.ms", timeout.as_str()),
        ])
    }

    fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        config.set("client.id", "hindsight");
        config.set("reconnect.backoff.max.ms", "1000");
        // Otherwise a request's last piece waits up to 40 ms for the broker's delayed
        // acknowledgement of the piece before it.
        config.set("socket.nagle.disable", "true");
        for &(name, value) in settings {
            config.set(name, value);
        }
        for (name, value) in &self.client {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }
}

/// Returns what is wrong with a setting that the client refuses. None for any other failure. The
/// client's own text is not used, because it repeats the value, which may be a password.
pub(super) fn refused_setting(error: &KafkaError) -> Option<String> {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            Some(format!("the Kafka client has no setting {:?}", shown(name)))
        }
        KafkaError::ClientConfig(_, _, name, _) => {
            Some(format!("the Kafka client refuses the value of its setting {:?}", shown(name)))
        }
        KafkaError::Nul(_) => {
            Some("a setting of the Kafka client has a zero byte in it".to_owned())
        }
        _ => None,
    }
}

/// Returns the part of a setting's name that looks like a name. In `sasl.password: c2VjcmV0=`, the
/// rest is the password.
fn shown(name: &str) -> &str {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.split(|c: char| !is_fine(c)).next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> String {
        let mut options = KafkaOptions::new("k1:9092", "t");
        options.client.insert(name.to_owned(), value.to_owned());
        let error = options.admin().create_native_config().map(drop).unwrap_err();
        refused_setting(&error).unwrap()
    }

    #[test]
    fn a_refused_setting_is_named_and_its_value_never_told() {
        for (name, value, words) in [
            ("sasl.pasword", "hunter2", "has no setting \"sasl.pasword\""),
            ("sasl.password: hunter2", "", "has no setting \"sasl.password\""),
            ("security.protocol", "hunter2", "the value of its setting \"security.protocol\""),
            ("debug", "broker,hunter2", "the value of its setting \"debug\""),
            ("socket.timeout.ms", "hunter2", "the value of its setting \"socket.timeout.ms\""),
            ("sasl.password", "hunter2\0", "zero byte"),
        ] {
            let told = refusal(name, value);
            assert!(told.contains(words), "{name}: {told}");
            assert!(!told.contains("hunter2"), "{name}: {told}");
        }
    }

    #[test]
    fn other_failures_are_no_refused_settings() {
        assert_eq!(refused_setting(&KafkaError::Canceled), None);
        let missing_file = KafkaError::ClientCreation("ssl.ca.location failed".to_owned());
        assert_eq!(refused_setting(&missing_file), None, "it may be there later");
    }
}
