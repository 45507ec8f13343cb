//! What the reader of an error can do about the error, as data.
//!
//! A library does not know how its caller sets a setting: with a flag, a field of a request, or in
//! code. So its texts name the remedy in neutral words, which is what [`Remedy`] displays, and the
//! remedy travels beside the text. The edge that knows the caller adds how this caller applies the
//! remedy: the command line in `services/hindsight/src/remedies.rs`, and the API by the remedy's
//! name, which is the name of the field of the request where the call has such a field.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that a person can change, so that what failed works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Allow reading from the primary.
    AllowPrimary,
    /// Name the member to read from.
    Member {
        /// The member, as `host:port`.
        host: String,
        /// True if no tags may be asked for, because the member lacks them.
        without_tags: bool,
    },
    /// Correct the connection string of the source.
    Uri,
    /// Use another data directory.
    OtherData,
    /// Accept fewer replicas of a topic in Kafka.
    KafkaReplicas {
        /// The number of replicas to accept. None when it is not known how many there can be.
        accepted: Option<usize>,
    },
    /// Copy the log, or a copy of it, to a new topic, and go on there.
    CopyLog,
    /// Skip an operation or command that this version does not know.
    SkipUnknown {
        /// The name of the operation or command.
        name: String,
    },
    /// Restore into a target that holds other collections.
    AllowNonEmpty,
    /// Leave out what the target cannot hold.
    LeaveOutUnrestorable,
    /// Name the time to wait for.
    Time,
}

impl fmt::Display for Remedy {
    /// Writes the remedy in neutral words, as a request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllowPrimary => f.write_str("allow reading from the primary"),
            Self::Member { host, without_tags: false } => {
                write!(f, "name {host} as the member to read from")
            }
            Self::Member { host, without_tags: true } => {
                write!(f, "name {host} as the member to read from, and ask for no tags")
            }
            Self::Uri => f.write_str("correct the connection string of the source"),
            Self::OtherData => f.write_str("use another data directory"),
            Self::KafkaReplicas { accepted: Some(accepted) } => {
                write!(f, "accept {accepted} as the number of replicas")
            }
            Self::KafkaReplicas { accepted: None } => f.write_str("accept fewer replicas"),
            Self::CopyLog => f.write_str("copy a copy of the log to a new topic, and go on there"),
            Self::SkipUnknown { name } => write!(f, "have {name} skipped"),
            Self::AllowNonEmpty => f.write_str("allow a target that is not empty"),
            Self::LeaveOutUnrestorable => f.write_str("leave out what the target cannot hold"),
            Self::Time => f.write_str("name a time"),
        }
    }
}

/// A text for people, and what they can do about what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// The text. It is whole without the remedies.
    pub text: String,
    /// The remedies that the text names.
    pub remedies: Vec<Remedy>,
}

impl Finding {
    /// Makes a finding with one remedy.
    pub fn with(text: impl Into<String>, remedy: Remedy) -> Self {
        Self { text: text.into(), remedies: vec![remedy] }
    }
}

impl From<String> for Finding {
    fn from(text: String) -> Self {
        Self { text, remedies: Vec::new() }
    }
}

impl From<&str> for Finding {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the remedies of all findings, each once.
pub fn of_all<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = Vec::new();
    for remedy in findings.into_iter().flat_map(|finding| &finding.remedies) {
        if !remedies.contains(remedy) {
            remedies.push(remedy.clone());
        }
    }
    remedies
}

/// Writes remedies as a JSON array, in which they travel. A remedy is its name, or an object with
/// its name and its values.
pub fn to_json(remedies: &[Remedy]) -> String {
    serde_json::to_string(remedies).expect("names, texts and numbers are JSON")
}

/// Reads remedies that [`to_json`] wrote. Remedies that only a newer version knows are left out.
pub fn from_json(json: &str) -> Vec<Remedy> {
    let values: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    from_values(&values)
}

/// Reads remedies as [`from_json`] does, from a JSON array that is read already.
pub fn from_values(values: &[Value]) -> Vec<Remedy> {
    values.iter().filter_map(|value| Remedy::deserialize(value).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_travel_as_json_and_a_newer_versions_are_left_out() {
        let host = "a:1".to_owned();
        let remedies = [Remedy::AllowPrimary, Remedy::Member { host, without_tags: true }];
        let json = to_json(&remedies);
        assert_eq!(json, r#"["allow_primary",{"member":{"host":"a:1","without_tags":true}}]"#);
        assert_eq!(from_json(&json), remedies);
        assert_eq!(from_json(r#"["of_tomorrow","allow_primary"]"#), [Remedy::AllowPrimary]);
        assert_eq!(from_json(""), []);
    }

    #[test]
    fn what_several_findings_need_is_named_once() {
        let finding = |text: &str| Finding::with(text, Remedy::CopyLog);
        let findings = ["there is nothing to do".into(), finding("a"), finding("b")];
        assert_eq!(of_all(&findings), [Remedy::CopyLog]);
    }
}
