//! What servers answer, read from raw bytes.

use hindsight_oplog::raw::{Doc, Element, Malformed};
use hindsight_oplog::{OpTime, Timestamp};

/// A batch of a cursor: `{cursor: {firstBatch | nextBatch: [...], id}, operationTime, …}`.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    documents: Doc<'a>,
    /// No further batch follows.
    pub(super) is_last: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn read(reply: Doc<'a>) -> Result<Self, Malformed> {
        let cursor = reply.get(b"cursor")?.and_then(Element::as_doc);
        let cursor = cursor.ok_or(Malformed("a reply without a cursor"))?;
        let batch = match cursor.get(b"firstBatch")? {
            Some(batch) => Some(batch),
            None => cursor.get(b"nextBatch")?,
        };
        let documents = batch.and_then(Element::as_array);
        let id = cursor.get(b"id")?.and_then(Element::as_integer);
        Ok(Batch {
            documents: documents.ok_or(Malformed("a cursor's reply without a batch"))?,
            is_last: id.ok_or(Malformed("a cursor's reply without its id"))? == 0,
        })
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = Result<Doc<'a>, Malformed>> {
        self.documents.elements().map(|element| {
            element?.as_doc().ok_or(Malformed("a batch with something other than documents"))
        })
    }
}

/// The logical time up to which the member had got when it answered.
pub(super) fn operation_time(reply: Doc<'_>) -> Option<Timestamp> {
    reply.get(b"operationTime").ok()??.as_timestamp()
}

/// Tells one uninterrupted time of a member in one role from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incarnation {
    member: String,
    /// `topologyVersion`: `{processId: ObjectId, counter: int64}`.
    topology_version: Vec<u8>,
}

/// What `hello` tells.
#[derive(Debug, Clone)]
pub(super) struct Hello {
    pub(super) set_name: Option<String>,
    pub(super) is_mongos: bool,
    pub(super) is_readable: bool,
    pub(super) incarnation: Incarnation,
    pub(super) last_applied: OpTime,
    /// The snapshot majority reads use.
    pub(super) majority: OpTime,
    pub(super) local_time_ms: i64,
}

impl Hello {
    pub(super) fn member(&self) -> &str {
        &self.incarnation.member
    }

    pub(super) fn read(reply: Doc<'_>) -> Result<Self, Malformed> {
        let text = |name: &[u8]| -> Result<Option<String>, Malformed> {
            Ok(reply.get(name)?.and_then(Element::as_str).map(str::to_owned))
        };
        let flag = |name: &[u8]| -> Result<bool, Malformed> {
            Ok(reply.get(name)?.and_then(Element::as_bool) == Some(true))
        };
        let last_write = reply.get(b"lastWrite")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
        let optime = |name: &[u8]| -> Result<OpTime, Malformed> {
            Ok(last_write.get(name)?.and_then(Element::as_optime).unwrap_or(OpTime::NONE))
        };
        let topology_version = reply.get(b"topologyVersion")?.and_then(Element::as_doc);
        Ok(Hello {
            set_name: text(b"setName")?,
            is_mongos: text(b"msg")?.as_deref() == Some("isdbgrid"),
            is_readable: flag(b"isWritablePrimary")? || flag(b"secondary")?,
            incarnation: Incarnation {
                member: text(b"me")?.unwrap_or_default(),
                topology_version: topology_version.map_or(Vec::new(), |v| v.as_bytes().to_vec()),
            },
            last_applied: optime(b"opTime")?,
            majority: optime(b"majorityOpTime")?,
            local_time_ms: reply.get(b"localTime")?.and_then(Element::as_date_ms).unwrap_or(0),
        })
    }
}

/// Whether this entry is part of a chain that goes on after it: the optime of the part before it,
/// which is [`OpTime::NONE`] for the first.
pub(super) fn unfinished_chain(entry: Doc<'_>) -> Result<Option<OpTime>, Malformed> {
    let operation = entry.get(b"o")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    if operation.get(b"partialTxn")?.and_then(Element::as_bool) != Some(true) {
        return Ok(None);
    }
    let previous = entry.get(b"prevOpTime")?.and_then(Element::as_optime);
    Ok(Some(previous.unwrap_or(OpTime::NONE)))
}

/// The optime of an oplog entry.
pub(super) fn entry_optime(entry: Doc<'_>) -> Result<OpTime, Malformed> {
    let ts = entry.get(b"ts")?.and_then(Element::as_timestamp);
    let term = entry.get(b"t")?.and_then(Element::as_integer);
    Ok(OpTime {
        ts: ts.ok_or(Malformed("an oplog entry without ts"))?,
        term: term.ok_or(Malformed("an oplog entry without t"))?,
    })
}
