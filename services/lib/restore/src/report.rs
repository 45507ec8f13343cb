//! What a restore did, for people and for `-o json`.

use std::time::Duration;

use hindsight_oplog::Timestamp;
use serde::{Serialize, Serializer};

use super::digest::Digest;
use super::error::RestoreError;
use super::plan::Skipped;
use super::progress::seconds;

/// How a restore ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The target holds the state. If `verified` is set, the target was read back to prove it.
    Complete,
    /// The target holds a part of the state and must not be used.
    Incomplete,
}

/// What a restore did and what it left out.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// How the restore ended.
    pub outcome: Outcome,
    /// What to do when the outcome is not `Complete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The timestamp of the state.
    #[serde(serialize_with = "position")]
    pub timestamp: Timestamp,
    /// Every document, option, index and view was read back from the target and compared.
    pub verified: bool,
    /// How many documents were written.
    pub documents: u64,
    /// Bytes of the documents that were written.
    pub bytes: u64,
    /// The restored collections; empty when loading failed.
    pub collections: Vec<CollectionReport>,
    /// Namespaces of the restored views.
    pub views: Vec<String>,
    /// How many users were merged into those of the target.
    pub users: u64,
    /// How many roles were merged into those of the target.
    pub roles: u64,
    /// What was not written, and why.
    pub skipped: Vec<Skipped>,
    /// What the user should know about the restored state.
    pub warnings: Vec<String>,
    /// Documents per second, while documents were loaded.
    pub documents_per_second: f64,
    /// Bytes per second, while documents were loaded.
    pub bytes_per_second: f64,
    /// How long each part took.
    #[serde(rename = "seconds")]
    pub durations: Durations,
}

/// One restored collection.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionReport {
    /// The namespace of the collection.
    pub ns: String,
    /// How many documents were written.
    pub documents: u64,
    /// Bytes of the documents that were written.
    pub bytes: u64,
    /// The digest of the documents that were written; see [`Digest`].
    pub digest: Digest,
    /// The number of indexes, including `_id_`.
    pub indexes: usize,
    /// The target was read back and holds the same collection.
    pub verified: bool,
}

/// How long each part of a restore took. In JSON, each is a number of seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Durations {
    /// The whole restore.
    #[serde(serialize_with = "seconds")]
    pub total: Duration,
    /// Creating collections.
    #[serde(serialize_with = "seconds")]
    pub collections: Duration,
    /// Loading documents.
    #[serde(serialize_with = "seconds")]
    pub documents: Duration,
    /// Building indexes, except those that expire documents.
    #[serde(serialize_with = "seconds")]
    pub indexes: Duration,
    /// Reading documents back and comparing them.
    #[serde(serialize_with = "seconds")]
    pub verification: Duration,
}

/// Writes a timestamp as `{"t": seconds, "i": increment}`, as everywhere in our JSON.
fn position<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeStruct;
    let mut position = serializer.serialize_struct("Timestamp", 2)?;
    position.serialize_field("t", &timestamp.seconds())?;
    position.serialize_field("i", &timestamp.increment())?;
    position.end()
}

impl RestoreReport {
    /// Sets the rates at which documents and bytes were loaded.
    pub(super) fn set_rates(&mut self) {
        let seconds = self.durations.documents.as_secs_f64().max(1e-3);
        self.documents_per_second = (self.documents as f64 / seconds).round();
        self.bytes_per_second = (self.bytes as f64 / seconds).round();
    }
}

/// A restore that began and failed: the error, and the report of what was done before it.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RestoreFailure {
    /// Why the restore failed.
    #[source]
    pub error: RestoreError,
    /// What the restore did before it failed.
    pub report: Box<RestoreReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_durations_are_written_as_the_command_line_promises() {
        let mut digest = Digest::default();
        digest.add(b"document");
        let report = CollectionReport {
            ns: "shop.orders".into(),
            documents: 1,
            bytes: 8,
            digest,
            indexes: 1,
            verified: true,
        };
        let json = serde_json::to_value(&report).expect("serialises");
        assert_eq!(json["digest"].as_str().map(str::len), Some(32));
        let durations = Durations { total: Duration::from_millis(1234), ..Durations::default() };
        let json = serde_json::to_value(durations).expect("serialises");
        assert_eq!(json["total"], serde_json::json!(1.234));
    }
}
