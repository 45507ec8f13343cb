//! Reads servers' replies from raw bytes.

use hindsight_oplog::raw::{Doc, Element, Malformed};
use hindsight_oplog::{OpTime, Timestamp};

/// The logical time that the member had reached when it replied.
pub(super) fn operation_time(reply: Doc<'_>) -> Option<Timestamp> {
    reply.get(b"operationTime").ok()??.as_timestamp()
}

/// Returns the optime of the previous part when this entry is part of a chain that continues after
/// it: [`OpTime::NONE`] for the first part. None when the chain ends here or there is no chain.
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
