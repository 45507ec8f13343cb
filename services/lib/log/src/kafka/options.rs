//! Which cluster and topic, and how to talk to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hindsight_segment::SourceIdentity;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::shared::Instance;

/// Kafka's own default. A frame seldom is longer.
const MAX_MESSAGE_BYTES: u32 = 1_048_588;

/// What is known about a topic before it is opened.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`, separated by commas.
    pub bootstrap: String,
    pub topic: String,
    /// Brokers that keep each record: what a topic is created with, and the least that is accepted.
    pub replicas: u16,
    /// What a topic is created with; what is longer is split over records.
    pub max_message_bytes: u32,
    /// The replica set whose log it must be.
    pub expected: Option<SourceIdentity>,
    /// Who we are, for people who read claims.
    pub name: String,
    /// Which installation we are of.
    pub instance: Instance,
    /// A file that notes what was found in the topic, so that it need not be read from its beginning each time.
    pub landmarks: Option<PathBuf>,
    /// How long to try to deliver a record, and to wait for the brokers when reading.
    pub timeout: Duration,
    /// Handed to librdkafka as they are: TLS, SASL and whatever else it has. They win over ours.
    pub client: BTreeMap<String, String>,
}

impl KafkaOptions {
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
            // Never joined: partitions are assigned by hand. librdkafka wants a name all the same.
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

    /// `max_message_bytes` is the topic's.
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
        // Or a request's last piece waits up to 40 ms for the broker's delayed acknowledgement of the one before.
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
