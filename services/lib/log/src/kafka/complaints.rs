//! What the Kafka client complains about between calls. A call that fails often says only that it
//! took too long. The client reports the reason here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An older complaint does not explain what fails now.
const RECENT: Duration = Duration::from_secs(30);

const CONNECTION_FAILED: &str = "FAIL";

/// The client reports no failure when a broker closes the connection while the client introduces
/// itself.
const NO_REASON: &str = "it was not told why; brokers that want TLS or a password close connections that come without (setting \
                         security.protocol)";

/// The last complaint of all clients of a topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(Arc<Mutex<Option<Complaint>>>);

#[derive(Debug)]
struct Complaint {
    at: Instant,
    text: String,
    /// The complaint is that no broker can be reached. It follows from an earlier complaint, which
    /// says more.
    is_consequence: bool,
    /// The brokers do not let this client in, or the client does not trust the brokers.
    is_refusal: bool,
}

impl Complaints {
    /// Returns the last complaint, if it is recent.
    pub(super) fn recent(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| last.at.elapsed() < RECENT)?;
        Some(match last.is_consequence {
            true => format!("{}: {NO_REASON}", last.text),
            false => last.text.clone(),
        })
    }

    /// Returns whether the last complaint is recent and only other settings would help: brokers do
    /// not let this client in, or their certificate is not from an authority that the client
    /// trusts.
    pub(super) fn is_refused(&self) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|last| last.is_refusal && last.at.elapsed() < RECENT)
    }

    /// Keeps a complaint. A consequence adds nothing to a recent cause, and is dropped when there
    /// is one.
    fn note(&self, text: &str, is_consequence: bool, is_refusal: bool) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_told = |last: &Complaint| !last.is_consequence && last.at.elapsed() < RECENT;
        if !(is_consequence && last.as_ref().is_some_and(is_told)) {
            let (at, text) = (Instant::now(), text.to_owned());
            *last = Some(Complaint { at, text, is_consequence, is_refusal });
        }
    }
}

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka client");
        // The client reports a failed connection only here.
        if facility == CONNECTION_FAILED {
            self.note(message, false, is_refusal(message));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        let code = error.rdkafka_error_code();
        let is_all_down = code == Some(RDKafkaErrorCode::AllBrokersDown);
        let is_refused = code == Some(RDKafkaErrorCode::Authentication) || is_refusal(reason);
        self.note(reason, is_all_down, is_refused);
    }
}

impl ConsumerContext for Complaints {}

/// Returns whether a complaint is a refusal. The client reports a refusal twice, as an error and as
/// the failure of a connection. For certificates, librdkafka passes on only OpenSSL's words,
/// without a code.
fn is_refusal(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["authentication failed", "certificate verify failed"].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_down(complaints: &Complaints) {
        let error = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        complaints.error(error, "1/1 brokers are down");
    }

    #[test]
    fn why_brokers_are_down_is_told_rather_than_that_they_are() {
        let complaints = Complaints::default();
        assert_eq!(complaints.recent(), None);
        all_down(&complaints);
        let told = complaints.recent().expect("it was told");
        assert!(told.starts_with("1/1 brokers are down: it was not told why"), "{told}");
        complaints.log(RDKafkaLogLevel::Error, CONNECTION_FAILED, "connection refused");
        for _ in 0..2 {
            all_down(&complaints);
            assert_eq!(complaints.recent().as_deref(), Some("connection refused"));
        }
        complaints.log(RDKafkaLogLevel::Error, "REQTMOUT", "something else");
        let error = KafkaError::Global(RDKafkaErrorCode::Authentication);
        assert!(!complaints.is_refused());
        complaints.error(error, "wrong password");
        assert_eq!(complaints.recent().as_deref(), Some("wrong password"));
        all_down(&complaints);
        assert!(complaints.is_refused(), "as long as nothing else is told");
        complaints.log(RDKafkaLogLevel::Error, CONNECTION_FAILED, "connection refused");
        assert!(!complaints.is_refused(), "brokers that are down come back");
        let untrusted =
            "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed";
        complaints.log(RDKafkaLogLevel::Error, CONNECTION_FAILED, untrusted);
        assert!(complaints.is_refused(), "no waiting makes a certificate trusted");
    }
}
