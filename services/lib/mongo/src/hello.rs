//! What a server says about itself.

use std::fmt;

use hindsight_oplog::raw::{Doc, Element, Malformed};
use hindsight_oplog::{Hex, OpTime, Timestamp};

/// The answer to `hello`.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The replica set's name. `None` for a standalone server, and for a mongos.
    pub set_name: Option<String>,
    pub is_mongos: bool,
    /// The server was started as a member, and has not received a configuration yet.
    pub is_unconfigured: bool,
    pub is_primary: bool,
    pub is_secondary: bool,
    pub incarnation: Incarnation,
    pub primacy: Primacy,
    pub last_applied: OpTime,
    /// The snapshot that majority reads use.
    pub majority: OpTime,
    /// The logical time that the member had reached when it answered.
    pub operation_time: Option<Timestamp>,
    /// The server's clock, in milliseconds since the Unix epoch.
    pub local_time_ms: i64,
}

/// Identifies one uninterrupted period of a member in one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    member: String,
    /// `topologyVersion`: `{processId: ObjectId, counter: int64}`.
    topology_version: Vec<u8>,
}

/// A primary's election and process. When either changes, writes acknowledged before may be lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Primacy {
    election_id: Option<Vec<u8>>,
    process_id: Option<Vec<u8>>,
}

/// Two have the same text only if they are the same.
impl fmt::Display for Primacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |id: &Option<Vec<u8>>| id.as_deref().map(|id| Hex(id).to_string());
        let (election, process) = (part(&self.election_id), part(&self.process_id));
        let [election, process] = [election, process].map(|it| it.unwrap_or_else(|| "none".into()));
        write!(f, "election {election}, process {process}")
    }
}

impl Hello {
    /// # Errors
    /// Returns an error when the answer is malformed.
    pub fn read(reply: Doc<'_>) -> Result<Self, Malformed> {
        let text = |name: &[u8]| -> Result<Option<String>, Malformed> {
            Ok(reply.get(name)?.and_then(Element::as_str).map(str::to_owned))
        };
        let flag = |name: &[u8]| -> Result<bool, Malformed> {
            Ok(reply.get(name)?.and_then(Element::as_bool) == Some(true))
        };
        let part = |name: &[u8]| -> Result<Doc<'_>, Malformed> {
            Ok(reply.get(name)?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY))
        };
        let (last_write, topology_version) = (part(b"lastWrite")?, part(b"topologyVersion")?);
        let optime = |name: &[u8]| -> Result<OpTime, Malformed> {
            Ok(last_write.get(name)?.and_then(Element::as_optime).unwrap_or(OpTime::NONE))
        };
        let value = |element: Option<Element<'_>>| element.map(|element| element.value.to_vec());
        Ok(Self {
            set_name: text(b"setName")?,
            is_mongos: text(b"msg")?.as_deref() == Some("isdbgrid"),
            is_unconfigured: flag(b"isreplicaset")?,
            is_primary: flag(b"isWritablePrimary")?,
            is_secondary: flag(b"secondary")?,
            incarnation: Incarnation {
                member: text(b"me")?.unwrap_or_default(),
                topology_version: topology_version.as_bytes().to_vec(),
            },
            primacy: Primacy {
                election_id: value(reply.get(b"electionId")?),
                process_id: value(topology_version.get(b"processId")?),
            },
            last_applied: optime(b"opTime")?,
            majority: optime(b"majorityOpTime")?,
            operation_time: reply.get(b"operationTime")?.and_then(Element::as_timestamp),
            local_time_ms: reply.get(b"localTime")?.and_then(Element::as_date_ms).unwrap_or(0),
        })
    }

    /// Returns the member's own host and port, as the set's configuration names them.
    pub fn member(&self) -> &str {
        &self.incarnation.member
    }

    pub fn is_readable(&self) -> bool {
        self.is_primary || self.is_secondary
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, doc};

    use super::*;

    fn with<T>(document: Document, read: impl FnOnce(Doc<'_>) -> T) -> T {
        let bytes = bson::serialize_to_vec(&document).expect("serializes");
        read(Doc::new(&bytes).expect("well formed"))
    }

    fn ts(time: u32, increment: u32) -> Bson {
        Bson::Timestamp(bson::Timestamp { time, increment })
    }

    fn hello() -> Document {
        doc! {
            "topologyVersion": { "processId": bson::oid::ObjectId::from_bytes([1; 12]), "counter": 6_i64 },
            "setName": "rs0",
            "isWritablePrimary": false,
            "secondary": true,
            "me": "localhost:27018",
            "operationTime": ts(100, 7),
            "lastWrite": {
                "opTime": { "ts": ts(100, 9), "t": 2_i64 },
                "majorityOpTime": { "ts": ts(100, 8), "t": 2_i64 },
            },
            "localTime": bson::DateTime::from_millis(100_500),
        }
    }

    #[test]
    fn hello_tells_positions_and_state() {
        let first = with(hello(), |reply| Hello::read(reply).expect("well formed"));
        assert_eq!(first.set_name.as_deref(), Some("rs0"));
        assert_eq!(first.member(), "localhost:27018");
        assert!(first.is_readable() && !first.is_mongos);
        assert_eq!(first.last_applied, OpTime::new(100, 9, 2));
        assert_eq!(first.majority, OpTime::new(100, 8, 2));
        assert_eq!(first.local_time_ms, 100_500);
        assert_eq!(first.operation_time, Some(Timestamp::new(100, 7)));
        let again = with(hello(), |reply| Hello::read(reply).expect("well formed"));
        assert_eq!(first.incarnation, again.incarnation);
    }

    #[test]
    fn another_state_process_or_member_is_another_incarnation() {
        let first = with(hello(), |reply| Hello::read(reply).expect("well formed")).incarnation;
        let process = bson::oid::ObjectId::from_bytes([1; 12]);
        let other_process = bson::oid::ObjectId::from_bytes([2; 12]);
        for change in [
            doc! { "topologyVersion": { "processId": process, "counter": 7_i64 } },
            doc! { "topologyVersion": { "processId": other_process, "counter": 6_i64 } },
            doc! { "me": "localhost:27019" },
        ] {
            let mut changed = hello();
            changed.extend(change);
            let changed =
                with(changed, |reply| Hello::read(reply).expect("well formed")).incarnation;
            assert_ne!(first, changed);
        }
    }

    #[test]
    fn a_server_that_is_no_readable_member_is_recognised() {
        let mongos =
            with(doc! { "msg": "isdbgrid" }, |reply| Hello::read(reply).expect("well formed"));
        assert!(mongos.is_mongos && mongos.set_name.is_none());
        let recovering = doc! { "setName": "rs0", "isWritablePrimary": false, "secondary": false };
        let recovering = with(recovering, |reply| Hello::read(reply).expect("well formed"));
        assert!(!recovering.is_readable());
        assert_eq!(recovering.majority, OpTime::NONE);
    }

    #[test]
    fn another_election_or_process_is_another_primacy() {
        let first = with(hello(), |reply| Hello::read(reply).expect("well formed")).primacy;
        let process = bson::oid::ObjectId::from_bytes([1; 12]);
        let other = bson::oid::ObjectId::from_bytes([2; 12]);
        let counted = doc! { "topologyVersion": { "processId": process, "counter": 9_i64 } };
        let restarted = doc! { "topologyVersion": { "processId": other, "counter": 6_i64 } };
        let elected = doc! { "electionId": other };
        for (change, same) in [(counted, true), (restarted, false), (elected, false)] {
            let mut changed = hello();
            changed.extend(change);
            let changed = with(changed, |reply| Hello::read(reply).expect("well formed")).primacy;
            assert_eq!(first == changed, same);
            assert_eq!(first.to_string() == changed.to_string(), same);
        }
    }
}
