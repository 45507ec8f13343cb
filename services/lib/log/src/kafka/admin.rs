//! The topic as a whole: created when it does not exist, checked when it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_remedy::{Finding, Remedy};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::blocking::blocking;
use super::complaints::Complaints;
use super::options::KafkaOptions;
use super::settings::{TopicState, Wanted};
use super::topic::{PARTITION, Topic};
use crate::error::LogError;

impl Topic {
    /// Creates the topic unless it exists, checks it, and returns its `max.message.bytes`.
    pub(super) async fn prepare(self: &Arc<Self>) -> Result<usize, LogError> {
        let admin = self.admin_client()?;
        if self.describe_partitions().await?.is_none() {
            self.create(&admin).await?;
        }
        let (partitions, replicas) = self.wait_until_there().await?;
        let settings = self.wait_for_settings(&admin).await?;
        let state = TopicState { partitions, replicas, settings };
        let problems = self.wanted().problems(&state);
        if !problems.is_empty() {
            return Err(LogError::Misconfigured { place: self.place(), problems });
        }
        let limit = state.settings.get("max.message.bytes").and_then(|it| it.parse().ok());
        limit.ok_or_else(|| self.failed("learn its max.message.bytes", "it is no number"))
    }

    /// Returns the topic's present settings.
    pub(super) async fn settings(&self) -> Result<BTreeMap<String, String>, LogError> {
        let admin = self.admin_client()?;
        self.wait_for_settings(&admin).await
    }

    fn admin_client(&self) -> Result<AdminClient<Complaints>, LogError> {
        let client = self.options.admin().create_with_context(self.complaints.clone());
        client.map_err(|error| self.no_client("make a client for it", error))
    }

    /// Returns an error unless the topic exists.
    pub(super) async fn check_present(self: &Arc<Self>) -> Result<(), LogError> {
        if self.describe_partitions().await?.is_some() {
            return Ok(());
        }
        let what = format!("topic {}", self.options.topic);
        Err(LogError::NotFound { place: self.options.bootstrap.clone(), what })
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        let KafkaOptions { bootstrap, topic, .. } = &self.options;
        let (replicas, max_message_bytes) = (self.options.replicas, self.options.max_message_bytes);
        Wanted { bootstrap, topic, replicas, max_message_bytes }
    }

    /// Returns the number of partitions, and the fewest replicas that one of them has. None when
    /// the topic does not exist.
    pub(super) async fn describe_partitions(
        self: &Arc<Self>,
    ) -> Result<Option<(usize, usize)>, LogError> {
        blocking(self, |topic| {
            // A consumer asks, because a producer that asks would create the topic.
            let consumer = topic.consumer()?;
            let name = &topic.options.topic;
            let metadata = match consumer.fetch_metadata(Some(name), topic.options.timeout) {
                Ok(metadata) => metadata,
                Err(error) if is_unknown(&error) => return Ok(None),
                Err(error) => return Err(topic.refused(&consumer, "learn of it", error)),
            };
            topic.idle().push(consumer);
            let found = metadata.topics().iter().find(|it| it.name() == name);
            // A topic that this client may not see shows no partitions, just like a topic that does
            // not exist. Only the code tells them apart.
            let code = found.and_then(|it| it.error()).map(RDKafkaErrorCode::from);
            if let Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) = code {
                return Err(topic.failed("learn of it", &code.to_string()));
            }
            Ok(found.filter(|it| !it.partitions().is_empty()).map(|found| {
                let replicas = found.partitions().iter().map(|it| it.replicas().len()).min();
                (found.partitions().len(), replicas.unwrap_or(0))
            }))
        })
        .await
    }

    async fn wait_until_there(self: &Arc<Self>) -> Result<(usize, usize), LogError> {
        let deadline = tokio::time::Instant::now() + self.options.timeout;
        loop {
            if let Some(found) = self.describe_partitions().await? {
                return Ok(found);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(self.failed("create it", "it did not come to be"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits until the brokers report settings. A broker that has not heard of a new topic yet
    /// reports none.
    async fn wait_for_settings(
        &self,
        admin: &AdminClient<Complaints>,
    ) -> Result<BTreeMap<String, String>, LogError> {
        let deadline = tokio::time::Instant::now() + self.options.timeout;
        loop {
            let settings = self.describe_settings(admin).await?;
            if !settings.is_empty() || tokio::time::Instant::now() >= deadline {
                return Ok(settings);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn create(&self, admin: &AdminClient<Complaints>) -> Result<(), LogError> {
        let wanted = self.wanted();
        let settings = wanted.settings();
        let replication = TopicReplication::Fixed(i32::from(wanted.replicas));
        let mut topic = NewTopic::new(wanted.topic, 1, replication);
        for (name, value) in &settings {
            topic = topic.set(name, value);
        }
        let options = AdminOptions::new()
            .request_timeout(Some(self.options.timeout))
            .operation_timeout(Some(self.options.timeout));
        let outcomes = admin
            .create_topics([&topic], &options)
            .await
            .map_err(|error| self.unavailable("create it", error))?;
        match outcomes.into_iter().next() {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                tracing::info!(topic = wanted.topic, "created the topic");
                Ok(())
            }
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
                let accept = Remedy::KafkaReplicas { accepted: None };
                let text = format!(
                    "there are fewer brokers than the {} that each record is to be kept on: add brokers, or {accept}",
                    wanted.replicas
                );
                let problems = vec![Finding::with(text, accept)];
                Err(LogError::Misconfigured { place: self.place(), problems })
            }
            Some(Err((_, code))) => Err(self.failed("create it", &code.to_string())),
        }
    }

    /// Removes the records before `offset`, and returns when the brokers keep them removed.
    pub(super) async fn delete_records(&self, offset: i64) -> Result<(), LogError> {
        const ACTION: &str = "remove records from it (which takes the right Delete)";
        let admin = self.admin_client()?;
        let options = AdminOptions::new()
            .request_timeout(Some(self.options.timeout))
            .operation_timeout(Some(self.options.timeout));
        let mut before = TopicPartitionList::new();
        before
            .add_partition_offset(&self.options.topic, PARTITION, Offset::Offset(offset))
            .map_err(|error| self.unavailable(ACTION, error))?;
        let outcome = admin.delete_records(&before, &options).await;
        let outcome = outcome
            .and_then(|list| list.elements().iter().try_for_each(TopicPartitionListElem::error));
        outcome.map_err(|error| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PolicyViolation) => {
                let mend = self.wanted().alter("cleanup.policy", "delete");
                let problem = format!("its cleanup.policy lets nobody remove records: {mend}");
                LogError::Misconfigured { place: self.place(), problems: vec![problem.into()] }
            }
            _ => self.unavailable(ACTION, error),
        })
    }

    async fn describe_settings(
        &self,
        admin: &AdminClient<Complaints>,
    ) -> Result<BTreeMap<String, String>, LogError> {
        let options = AdminOptions::new().request_timeout(Some(self.options.timeout));
        let described = admin
            .describe_configs([&ResourceSpecifier::Topic(&self.options.topic)], &options)
            .await
            .map_err(|error| self.unavailable("learn its settings", error))?;
        match described.into_iter().next() {
            Some(Ok(resource)) => Ok(resource
                .entries
                .into_iter()
                .filter_map(|entry| Some((entry.name, entry.value?)))
                .collect()),
            Some(Err(code)) => Err(self.failed("learn its settings", &code.to_string())),
            None => Err(self.failed("learn its settings", "the brokers gave none")),
        }
    }

    fn failed(&self, action: &'static str, why: &str) -> LogError {
        LogError::unavailable(self.place(), action, std::io::Error::other(why.to_owned()))
    }
}

/// Returns whether the broker that answered does not know the topic.
pub(super) fn is_unknown(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
    )
}
