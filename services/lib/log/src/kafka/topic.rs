//! The topic behind a log, read by offset. All functions here block.

use std::io;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::admin::is_unknown;
use super::complaints::Complaints;
use super::options::{KafkaOptions, refused_setting};
use super::record::{Head, NotOurs};
use crate::error::{Damage, LogError};

pub(super) const PARTITION: i32 = 0;
const POLL: Duration = Duration::from_millis(100);
/// More events than a consumer gathers during one call.
const MAX_COMPLAINTS: usize = 1000;
/// Reading over this many records is faster than seeking past them.
const NEAR: i64 = 32;

/// A record as it lies in the topic.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) offset: i64,
    pub(super) head: Result<Head, NotOurs>,
    pub(super) value: Bytes,
}

pub(super) struct Topic {
    pub(super) options: KafkaOptions,
    pub(super) complaints: Complaints,
    /// Consumers that are not in use. They are kept because a new consumer costs connections.
    idle: Mutex<Vec<TopicConsumer>>,
}

pub(super) type TopicConsumer = BaseConsumer<Complaints>;

impl Topic {
    pub(super) fn new(options: KafkaOptions) -> Self {
        Self { options, complaints: Complaints::default(), idle: Mutex::default() }
    }

    pub(super) fn place(&self) -> String {
        format!("kafka topic {} at {}", self.options.topic, self.options.bootstrap)
    }

    pub(super) fn place_of(&self, offset: i64) -> String {
        format!("kafka topic {}, offset {offset}", self.options.topic)
    }

    pub(super) fn unavailable(&self, action: &'static str, error: KafkaError) -> LogError {
        let text = match self.complaints.recent() {
            Some(reason) => format!("{error}: {reason}"),
            None => error.to_string(),
        };
        // A caller that opens a topic waits for brokers that are not there, but not for a password
        // to become right.
        let kind = match self.complaints.is_refused() {
            true => io::ErrorKind::PermissionDenied,
            false => io::ErrorKind::Other,
        };
        LogError::unavailable(self.place(), action, io::Error::new(kind, text))
    }

    /// Returns why a client cannot be made. A setting that the client refuses stays refused. A file
    /// that a setting names may be there later.
    pub(super) fn no_client(&self, action: &'static str, error: KafkaError) -> LogError {
        match refused_setting(&error) {
            Some(problem) => LogError::Settings { place: self.place(), problem },
            None => self.unavailable(action, error),
        }
    }

    /// The same as [`Topic::unavailable`], but includes what the consumer complained about
    /// meanwhile. A consumer reports complaints only when it is polled.
    pub(super) fn refused(
        &self,
        consumer: &TopicConsumer,
        action: &'static str,
        error: KafkaError,
    ) -> LogError {
        for _ in 0..MAX_COMPLAINTS {
            if consumer.poll(Duration::ZERO).is_none() {
                break;
            }
        }
        self.unavailable(action, error)
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<TopicConsumer>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn consumer(&self) -> Result<TopicConsumer, LogError> {
        let idle = self.idle().pop();
        let new = || self.options.consumer().create_with_context(self.complaints.clone());
        idle.map_or_else(new, Ok).map_err(|error| self.no_client("make a consumer of it", error))
    }

    /// Returns the first offset that the topic holds, and the offset after its last durable record.
    pub(super) fn watermarks(&self) -> Result<(i64, i64), LogError> {
        let consumer = self.consumer()?;
        let (topic, timeout) = (&self.options.topic, self.options.timeout);
        let deadline = Instant::now() + timeout;
        let found = loop {
            match consumer.fetch_watermarks(topic, PARTITION, timeout) {
                // A broker that was started a moment ago, or a topic that was created a moment
                // ago: not every broker knows the topic yet.
                Err(error) if is_unknown(&error) && Instant::now() < deadline => {
                    std::thread::sleep(POLL);
                }
                found => break found,
            }
        };
        let found = found.map_err(|error| self.refused(&consumer, "find its end", error))?;
        self.idle().push(consumer);
        Ok(found)
    }

    /// Makes a consumer begin anew at an offset.
    fn assign(&self, consumer: &TopicConsumer, offset: i64) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.options.topic, PARTITION, Offset::Offset(offset))
            .and_then(|()| consumer.assign(&list))
            .map_err(|error| self.unavailable("read it", error))
    }

    pub(super) fn session(&self) -> Result<Session<'_>, LogError> {
        Ok(Session { topic: self, consumer: Some(self.consumer()?), next: None })
    }
}

/// The reads of one caller, one after another.
pub(super) struct Session<'a> {
    topic: &'a Topic,
    consumer: Option<TopicConsumer>,
    /// The offset that the consumer returns next, if nothing happens to it. None when the consumer
    /// must be assigned anew.
    next: Option<i64>,
}

impl Session<'_> {
    /// Passes the records in `from..until` to `visit`, in order, until `visit` breaks. Returns the
    /// offset up to which the topic was read. That offset is before `until` when the topic ends
    /// there, or when `visit` broke.
    pub(super) fn read(
        &mut self,
        from: i64,
        until: i64,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<i64, LogError> {
        if from >= until {
            return Ok(from);
        }
        let outcome = self.read_on(from, until, visit);
        if outcome.is_err() {
            // Whatever is wrong with this consumer, the next read begins with another one.
            self.consumer = None;
        }
        outcome
    }

    fn read_on(
        &mut self,
        from: i64,
        until: i64,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<i64, LogError> {
        let topic = self.topic;
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => {
                self.next = None;
                topic.consumer()?
            }
        };
        let consumer = self.consumer.insert(consumer);
        // A consumer that goes on from an earlier read may report the end that was known then,
        // which may be out of date.
        let mut is_fresh = self.next.is_none_or(|next| !(next..=next + NEAR).contains(&from));
        if is_fresh {
            topic.assign(consumer, from)?;
        }
        let mut next = from;
        self.next = Some(from);
        let mut deadline = Instant::now() + topic.options.timeout;
        while next < until {
            let message = match consumer.poll(POLL) {
                None if Instant::now() >= deadline => {
                    let late = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                    return Err(topic.unavailable("read it", late));
                }
                None => continue,
                Some(Err(KafkaError::PartitionEOF(_))) if !is_fresh => {
                    topic.assign(consumer, next)?;
                    is_fresh = true;
                    continue;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    // The client reports the end only once, so the consumer must be assigned anew.
                    self.next = None;
                    break;
                }
                Some(Err(error)) => {
                    Self::tolerate(topic, next, error, deadline)?;
                    continue;
                }
                Some(Ok(message)) => message,
            };
            deadline = Instant::now() + topic.options.timeout;
            let offset = message.offset();
            self.next = Some(offset + 1);
            if offset < from {
                continue;
            }
            if offset >= until {
                // Between here and `until` there are only offsets without records: those of other
                // programs' transactions.
                self.next = None;
                return Ok(until);
            }
            next = offset + 1;
            if visit(record_of(&message)).is_break() {
                break;
            }
        }
        Ok(next)
    }

    /// Tolerates an error until the deadline, because librdkafka reports much that it repairs by
    /// itself. Damage is never tolerated.
    fn tolerate(
        topic: &Topic,
        next: i64,
        error: KafkaError,
        deadline: Instant,
    ) -> Result<(), LogError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage) => {
                Err(LogError::corrupt(topic.place_of(next), Damage::RecordChecksum))
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                Err(LogError::corrupt(topic.place_of(next), Damage::Vanished))
            }
            _ if Instant::now() < deadline => Ok(()),
            _ => Err(topic.unavailable("read it", error)),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take()
            && consumer.unassign().is_ok()
        {
            self.topic.idle().push(consumer);
        }
    }
}

fn record_of(message: &BorrowedMessage<'_>) -> Record {
    let value = message.payload().map(Bytes::copy_from_slice).unwrap_or_default();
    // The client panics over a header whose name is not UTF-8. Such a record is not Hindsight's.
    let head = std::panic::catch_unwind(AssertUnwindSafe(|| head_of(message)));
    Record { offset: message.offset(), head: head.unwrap_or(Err(NotOurs::Foreign)), value }
}

fn head_of(message: &BorrowedMessage<'_>) -> Result<Head, NotOurs> {
    let headers = message.headers().ok_or(NotOurs::Foreign)?;
    let headers: Vec<_> = headers.iter().map(|it| (it.key, it.value.unwrap_or_default())).collect();
    Head::read(headers.iter().copied())
}
