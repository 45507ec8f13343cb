//! Reads servers' replies from raw bytes.

use hindsight_oplog::raw::{Doc, Malformed};
use hindsight_oplog::{Ending, Entry, OpTime, Part, Shape, Timestamp};

/// The logical time that the member had reached when it replied.
pub(super) fn operation_time(reply: Doc<'_>) -> Option<Timestamp> {
    reply.get(b"operationTime").ok()??.as_timestamp()
}

/// Returns the optime of the previous part when this entry is part of a chain that continues after
/// it: [`OpTime::NONE`] for the first part. None when the chain ends here or there is no chain.
pub(super) fn unfinished_chain(entry: &Entry<'_>) -> Result<Option<OpTime>, Malformed> {
    let goes_on = matches!(Shape::of(entry)?, Shape::Part(Part { ending: Ending::More, .. }));
    Ok(goes_on.then(|| entry.previous().unwrap_or(OpTime::NONE)))
}
