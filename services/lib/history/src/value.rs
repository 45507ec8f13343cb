//! Values of versions.
//!
//! ```text
//! tombstone        := 00
//! document         := 01 ‖ BSON
//! ordered document := 02 ‖ order (16 bytes) ‖ BSON        in capped collections
//! order            := visible time of the insert (u64 BE) ‖ position (u64 BE)
//! ```
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

pub(crate) const TOMBSTONE_VALUE: &[u8] = &[TOMBSTONE];

/// The place of a document in natural order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub(crate) inserted: Timestamp,
    pub(crate) position: u64,
}

/// A value, split into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    Tombstone,
    Document { document: Doc<'a>, order: Option<Order> },
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
        assert_eq!(parse(TOMBSTONE_VALUE).expect("a value"), Stored::Tombstone);
        for bad in [&b""[..], &[3], &[0, 0], &[1, 5, 0, 0, 0], &[2, 0, 0]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
