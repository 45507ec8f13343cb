//! Sends records, and learns where they lie.

use rdkafka::error::KafkaError;
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer, PurgeConfig};

use super::complaints::Complaints;
use super::record::Header;
use super::topic::{PARTITION, Topic};
use crate::error::LogError;

/// A record to be sent: its headers and its value.
pub(super) type Sent<'a> = (Vec<Header>, &'a [u8]);

pub(super) struct Sender {
    topic: String,
    producer: FutureProducer<Complaints>,
}

impl Sender {
    pub(super) fn new(topic: &Topic, max_message_bytes: usize) -> Result<Self, LogError> {
        let config = topic.options.producer(max_message_bytes);
        let producer = config
            .create_with_context(topic.complaints.clone())
            .map_err(|error| topic.no_client("make a producer for it", error))?;
        Ok(Self { topic: topic.options.topic.clone(), producer })
    }

    /// Sends the records in order, and returns their offsets when all are durable. The last record
    /// is sent only when the others are durable: where the last one is, the others are too.
    ///
    /// After an error, any of the records may be in the topic, or may still arrive there.
    pub(super) async fn send(&self, records: &[Sent<'_>]) -> Result<Vec<i64>, KafkaError> {
        let Some((last, others)) = records.split_last() else { return Ok(Vec::new()) };
        let mut under_way = Vec::with_capacity(others.len());
        for record in others {
            under_way.push(self.enqueue(record)?);
        }
        let mut offsets = Vec::with_capacity(records.len());
        for delivery in under_way {
            offsets.push(acknowledged(delivery).await?);
        }
        offsets.push(acknowledged(self.enqueue(last)?).await?);
        Ok(offsets)
    }

    fn enqueue(&self, (headers, value): &Sent<'_>) -> Result<DeliveryFuture, KafkaError> {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
                all.insert(KafkaHeader { key, value: Some(value.as_str()) })
            });
        // The record has no key. So a topic that is compacted refuses it, instead of silently
        // dropping older records.
        let record = FutureRecord::<(), [u8]>::to(&self.topic)
            .partition(PARTITION)
            .payload(value)
            .headers(headers);
        self.producer.send_result(record).map_err(|(error, _)| error)
    }

    /// Gives up the records under way and closes the connections. This takes a moment.
    pub(super) fn discard(self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

async fn acknowledged(delivery: DeliveryFuture) -> Result<i64, KafkaError> {
    match delivery.await {
        Ok(Ok(delivery)) => Ok(delivery.offset),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}
