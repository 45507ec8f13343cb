//! The session that a transaction belongs to.

use crate::Entry;
use crate::raw::{Doc, Malformed};

/// A logical session, compared by the value of all its members.
///
/// Internal transactions run in child sessions, whose `lsid` has a `txnUUID` beside the parent's
/// `id` and `uid` (and, for a retryable write, the parent's `txnNumber`). A child counts its
/// transactions on its own, so what the parent or a sibling does says nothing about the child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SessionId {
    Known {
        id: [u8; 16],
        /// SHA-256 of the user, if the session has one.
        uid: Option<[u8; 32]>,
        txn_number: Option<i64>,
        txn_uuid: Option<[u8; 16]>,
    },
    /// A session with members of a newer server, or with members of other types: equal only if
    /// every byte is equal.
    Opaque(Box<[u8]>),
}

impl SessionId {
    fn of(lsid: Doc<'_>) -> Result<Self, Malformed> {
        let (mut id, mut uid, mut txn_number, mut txn_uuid) = (None, None, None, None);
        for element in lsid.elements() {
            let element = element?;
            // A member that occurs twice is not a known one.
            let known = match element.name {
                b"id" if id.is_none() => put(&mut id, element.as_uuid()),
                b"uid" if uid.is_none() => put(&mut uid, element.as_binary().and_then(digest)),
                b"txnNumber" if txn_number.is_none() => put(&mut txn_number, element.as_integer()),
                b"txnUUID" if txn_uuid.is_none() => put(&mut txn_uuid, element.as_uuid()),
                _ => false,
            };
            if !known {
                return Ok(Self::Opaque(lsid.as_bytes().into()));
            }
        }
        Ok(match id {
            Some(id) => Self::Known { id, uid, txn_number, txn_uuid },
            None => Self::Opaque(lsid.as_bytes().into()),
        })
    }
}

fn digest((subtype, bytes): (u8, &[u8])) -> Option<[u8; 32]> {
    if subtype == 0 { bytes.try_into().ok() } else { None }
}

fn put<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    *slot = value;
    slot.is_some()
}

/// The number of a transaction (or retryable write) in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TransactionNumber {
    number: i64,
    /// Zero when the entry has none.
    retry_counter: i64,
}

/// Session and number, for an entry that has both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransactionId {
    pub(super) session: SessionId,
    pub(super) number: TransactionNumber,
}

impl TransactionId {
    pub(super) fn of(entry: &Entry<'_>) -> Result<Option<Self>, Malformed> {
        let (Some(lsid), Some(number)) = (entry.lsid, entry.txn_number) else {
            return Ok(None);
        };
        let retry_counter = entry.txn_retry_counter.unwrap_or(0);
        let number = TransactionNumber { number, retry_counter };
        Ok(Some(Self { session: SessionId::of(lsid)?, number }))
    }
}
