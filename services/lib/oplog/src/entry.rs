//! An oplog entry as a view over its raw bytes.

use crate::raw::{Doc, Element, Malformed, kind};
use crate::{OpTime, Timestamp};

/// One oplog document, with its envelope read and its payload untouched. The fields are those of
/// the server's `db/repl/oplog_entry.idl`. Unknown fields stay in [`Entry::doc`] and are stored
/// like any other (I1).
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The whole entry.
    pub doc: Doc<'a>,
    /// The identity of the entry.
    pub optime: OpTime,
    /// The operation code: `i`, `u`, `d`, `c`, `n`, or a code that a newer server invents.
    pub op: &'a [u8],
    /// The namespace. Empty for a name that is not UTF-8: such an entry is stored like any other
    /// (I1), but it cannot be addressed.
    pub ns: &'a str,
    /// The UUID of the collection.
    pub ui: Option<[u8; 16]>,
    /// The payload.
    pub o: Doc<'a>,
    /// The second document of the payload, such as the `_id` of an update.
    pub o2: Option<Doc<'a>>,
    /// The primary's wall clock, in milliseconds since the epoch. It is not monotonic, and is for
    /// display only.
    pub wall_ms: Option<i64>,
    /// The session id, compared by value with all its members.
    pub lsid: Option<Doc<'a>>,
    /// The number of the transaction or retryable write in its session.
    pub txn_number: Option<i64>,
    /// The retry counter that belongs to `txn_number`.
    pub txn_retry_counter: Option<i64>,
    /// `prevOpTime` as the entry has it. See [`Entry::previous`].
    pub prev_optime: Option<OpTime>,
    /// `multiOpType`: how the operations of an `applyOps` are applied.
    pub multi_op_type: Option<i64>,
    /// `b`: whether this update is applied as an upsert.
    pub upsert: bool,
    /// `m.h`: the primary's hash of the document that the entry writes (9.0, behind a flag).
    pub document_hash: Option<i64>,
}

impl<'a> Entry<'a> {
    /// Reads the envelope. The payload is not walked.
    ///
    /// # Errors
    /// Returns [`Malformed`] when `ts`, `op` or `o` is missing, or when a field on which the
    /// identity of the entry, of its collection or of its transaction rests has another type than
    /// the server gives it: treating such a field as absent would turn the entry into another one.
    /// In the remaining optional fields another type counts as absent. `null`, which tools have
    /// been seen to write, counts as absent everywhere.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let doc = Doc::new(bytes)?;
        let mut entry = Entry {
            doc,
            optime: OpTime::NONE,
            op: b"",
            ns: "",
            ui: None,
            o: Doc::EMPTY,
            o2: None,
            wall_ms: None,
            lsid: None,
            txn_number: None,
            txn_retry_counter: None,
            prev_optime: None,
            multi_op_type: None,
            upsert: false,
            document_hash: None,
        };
        let (mut has_ts, mut has_o) = (false, false);
        for element in doc.elements() {
            let element = element?;
            match element.name {
                b"ts" => {
                    entry.optime.ts =
                        need(element.as_timestamp(), "entry's ts is not a timestamp")?;
                    has_ts = true;
                }
                b"o" => {
                    entry.o = need(element.as_doc(), "entry's o is not a document")?;
                    has_o = true;
                }
                _ => entry.read_optional(element)?,
            }
        }
        if !has_ts || !has_o || entry.op.is_empty() {
            return Err(Malformed("entry without ts, op or o"));
        }
        Ok(entry)
    }

    fn read_optional(&mut self, element: Element<'a>) -> Result<(), Malformed> {
        match element.name {
            b"op" => self.op = need(element.as_string_bytes(), "entry's op is not a string")?,
            b"ns" => {
                let name = need(element.as_string_bytes(), "entry's ns is not a string")?;
                self.ns = std::str::from_utf8(name).unwrap_or_default();
            }
            b"t" => self.optime.term = OpTime::term(Some(element)),
            b"ui" => self.ui = optional(element, Element::as_uuid, "entry's ui is not a UUID")?,
            b"o2" => self.o2 = element.as_doc(),
            b"wall" => self.wall_ms = element.as_date_ms(),
            b"lsid" => {
                self.lsid = optional(element, Element::as_doc, "entry's lsid is not a document")?;
            }
            b"txnNumber" => {
                self.txn_number =
                    optional(element, Element::as_integer, "entry's txnNumber is not an integer")?;
            }
            b"txnRetryCounter" => {
                const COMPLAINT: &str = "entry's txnRetryCounter is not an integer";
                self.txn_retry_counter = optional(element, Element::as_integer, COMPLAINT)?;
            }
            b"prevOpTime" => {
                self.prev_optime =
                    optional(element, previous_optime, "entry's prevOpTime is not an optime")?;
            }
            b"multiOpType" => {
                const COMPLAINT: &str = "entry's multiOpType is not an integer";
                self.multi_op_type = optional(element, Element::as_integer, COMPLAINT)?;
            }
            b"b" => self.upsert = element.as_bool().unwrap_or(false),
            b"m" => self.document_hash = document_hash(element),
            _ => {}
        }
        Ok(())
    }

    /// Returns the timestamp of the entry.
    pub fn ts(&self) -> Timestamp {
        self.optime.ts
    }

    /// Returns the previous entry of the transaction, or else the previous entry that the session
    /// wrote. `None` if there is none, and for the value that the server writes for "none".
    pub fn previous(&self) -> Option<OpTime> {
        self.prev_optime.filter(|previous| previous.ts != Timestamp::ZERO)
    }
}

/// Reads the hash in an operation's `m`. The `m` of a transaction's commit holds sizes of
/// collections instead.
pub(crate) fn document_hash(element: Element<'_>) -> Option<i64> {
    element.as_doc()?.get(b"h").ok()??.as_integer()
}

/// Reads an optime whose term, like the entry's own, may have been lost on the way.
fn previous_optime(element: Element<'_>) -> Option<OpTime> {
    OpTime::of_entry(element.as_doc()?).ok()
}

pub(crate) fn optional<'a, T>(
    element: Element<'a>,
    read: impl FnOnce(Element<'a>) -> Option<T>,
    complaint: &'static str,
) -> Result<Option<T>, Malformed> {
    if element.kind == kind::NULL {
        return Ok(None);
    }
    need(read(element), complaint).map(Some)
}

fn need<T>(value: Option<T>, complaint: &'static str) -> Result<T, Malformed> {
    value.ok_or(Malformed(complaint))
}

#[cfg(test)]
mod tests;
