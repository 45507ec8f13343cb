//! What the Kafka client complains about between calls. A call that fails often says no more than that it took too
//! long; why, it told here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An older complaint explains nothing that fails now.
const RECENT: Duration = Duration::from_secs(30);

const CONNECTION_FAILED: &str = "FAIL";

/// The last complaint of all clients of a topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(Arc<Mutex<Option<(Instant, String)>>>);

impl Complaints {
    /// The last one, which is forgotten then.
    pub(super) fn take(&self) -> Option<String> {
        let (at, reason) = self.last().take()?;
        (at.elapsed() < RECENT).then_some(reason)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka client");
        // Of a connection that fails it tells here only.
        if facility == CONNECTION_FAILED {
            self.last().get_or_insert_with(|| (Instant::now(), message.to_owned()));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        let mut last = self.last();
        let is_all_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        // That none can be reached follows from what was said before, which tells more.
        if last.is_none() || !is_all_down {
            *last = Some((Instant::now(), reason.to_owned()));
        }
    }
}

impl ConsumerContext for Complaints {}
