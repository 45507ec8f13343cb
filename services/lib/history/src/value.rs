//! Values of versions.
//!
//! ```text
//! tombstone        := 00
//! document         := 01 ‖ BSON
//! ordered document := 02 ‖ order (16 bytes) ‖ BSON        in capped collections
//! delta            := 03 ‖ previous (u64 BE) ‖ deltas (u16 BE) ‖ bytes (u32 BE) ‖ update (BSON)
//! order            := visible time of the insert (u64 BE) ‖ position (u64 BE)
//! ```
//!
//! A delta is the `o` of an update entry. It applies to the version before it, whose visible time
//! is `previous`. `deltas` counts the deltas since the last whole document, this one included, and
//! `bytes` is the length of their updates. Both are bounded, so that a read stays short
//! (docs/decisions/0022).
//!
//! The position is that of the insert in its unit, or of the document in the base's scan.
//!
//! The order is the natural order of a capped collection: the order of insertion. An update keeps
//! the order of its document.

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;

use crate::HistoryError;

const TOMBSTONE: u8 = 0;
const DOCUMENT: u8 = 1;
const ORDERED: u8 = 2;
const DELTA: u8 = 3;

/// The most deltas that follow a whole document. Each costs a read one step in the store and one
/// application to the document.
const MAX_DELTAS: u16 = 64;

pub(crate) const TOMBSTONE_VALUE: &[u8] = &[TOMBSTONE];

/// The place of a document in natural order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub(crate) inserted: Timestamp,
    pub(crate) position: u64,
}

/// How a delta is tied to the versions before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The time of the version that the delta applies to.
    pub(crate) previous: Timestamp,
    /// How many deltas there are since the last whole document, this one included.
    pub(crate) deltas: u16,
    /// The length of their updates.
    pub(crate) bytes: u32,
}

impl Chain {
    /// Returns the chain with one more delta of `update` bytes, which makes a document of
    /// `document` bytes out of the version of the time `previous`. Returns `None` when a read would
    /// cost too much: more than [`MAX_DELTAS`], or deltas that are together longer than the
    /// document.
    pub(crate) fn extended(
        before: Option<Chain>,
        previous: Timestamp,
        update: usize,
        document: usize,
    ) -> Option<Chain> {
        let (deltas, bytes) = before.map_or((0, 0), |chain| (chain.deltas, chain.bytes));
        let bytes = bytes as usize + update;
        if deltas >= MAX_DELTAS || bytes > document {
            return None;
        }
        Some(Chain { previous, deltas: deltas + 1, bytes: u32::try_from(bytes).ok()? })
    }
}

/// A value, split into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    Tombstone,
    Document { document: Doc<'a>, order: Option<Order> },
    Delta { update: Doc<'a>, chain: Chain },
}

/// Appends the value of a document.
pub(crate) fn push_document(out: &mut Vec<u8>, document: &[u8], order: Option<Order>) {
    match order {
        None => out.push(DOCUMENT),
        Some(order) => {
            out.push(ORDERED);
            out.extend_from_slice(&order.inserted.as_u64().to_be_bytes());
            out.extend_from_slice(&order.position.to_be_bytes());
        }
    }
    out.extend_from_slice(document);
}

/// Appends the value of a delta.
pub(crate) fn push_delta(out: &mut Vec<u8>, update: &[u8], chain: Chain) {
    out.push(DELTA);
    out.extend_from_slice(&chain.previous.as_u64().to_be_bytes());
    out.extend_from_slice(&chain.deltas.to_be_bytes());
    out.extend_from_slice(&chain.bytes.to_be_bytes());
    out.extend_from_slice(update);
}

/// Returns whether a value is a delta, without reading it.
pub(crate) fn is_delta(value: &[u8]) -> bool {
    value.first() == Some(&DELTA)
}

/// Returns how a delta is tied to the versions before it.
pub(crate) fn chain(value: &[u8]) -> Result<Chain, HistoryError> {
    match parse(value)? {
        Stored::Delta { chain, .. } => Ok(chain),
        _ => Err(HistoryError::corrupt("a version that is no delta")),
    }
}

pub(crate) fn parse(value: &[u8]) -> Result<Stored<'_>, HistoryError> {
    parse_known(value).ok_or_else(|| HistoryError::corrupt("a version that is no document"))
}

fn parse_known(value: &[u8]) -> Option<Stored<'_>> {
    match value.split_first()? {
        (&TOMBSTONE, []) => Some(Stored::Tombstone),
        (&DOCUMENT, bytes) => {
            Some(Stored::Document { document: Doc::new(bytes).ok()?, order: None })
        }
        (&ORDERED, rest) => {
            let (inserted, rest) = rest.split_first_chunk::<8>()?;
            let (position, bytes) = rest.split_first_chunk::<8>()?;
            let order = Order {
                inserted: Timestamp::from_u64(u64::from_be_bytes(*inserted)),
                position: u64::from_be_bytes(*position),
            };
            Some(Stored::Document { document: Doc::new(bytes).ok()?, order: Some(order) })
        }
        (&DELTA, rest) => {
            let (previous, rest) = rest.split_first_chunk::<8>()?;
            let (deltas, rest) = rest.split_first_chunk::<2>()?;
            let (bytes, update) = rest.split_first_chunk::<4>()?;
            let chain = Chain {
                previous: Timestamp::from_u64(u64::from_be_bytes(*previous)),
                deltas: u16::from_be_bytes(*deltas),
                bytes: u32::from_be_bytes(*bytes),
            };
            (1..=MAX_DELTAS).contains(&chain.deltas).then_some(())?;
            Some(Stored::Delta { update: Doc::new(update).ok()?, chain })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went_in() {
        let order = Order { inserted: Timestamp::new(3, 4), position: 5 };
        for order in [None, Some(order)] {
            let mut value = Vec::new();
            push_document(&mut value, Doc::EMPTY.as_bytes(), order);
            let stored = Stored::Document { document: Doc::EMPTY, order };
            assert_eq!(parse(&value).expect("a value"), stored);
        }
        let chain = Chain { previous: Timestamp::new(3, 4), deltas: 5, bytes: 6 };
        let mut value = Vec::new();
        push_delta(&mut value, Doc::EMPTY.as_bytes(), chain);
        assert!(is_delta(&value));
        let stored = Stored::Delta { update: Doc::EMPTY, chain };
        assert_eq!(parse(&value).expect("a value"), stored);
        assert_eq!(parse(TOMBSTONE_VALUE).expect("a value"), Stored::Tombstone);
        for bad in
            [&b""[..], &[3], &[4], &value[..value.len() - 1], &[0, 0], &[1, 5, 0, 0, 0], &[2, 0, 0]]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_chain_ends_before_a_read_of_it_costs_too_much() {
        let previous = Timestamp::new(1, 1);
        let mut chain = None;
        for deltas in 1..=MAX_DELTAS {
            chain = Chain::extended(chain, previous, 1, 1000);
            assert_eq!(chain, Some(Chain { previous, deltas, bytes: u32::from(deltas) }));
        }
        assert_eq!(Chain::extended(chain, previous, 1, 1000), None);
        let long = Chain::extended(None, previous, 60, 100);
        assert!(long.is_some() && Chain::extended(long, previous, 41, 100).is_none());
        assert!(Chain::extended(long, previous, 40, 100).is_some());
    }
}
