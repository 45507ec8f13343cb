//! Keys. There is only one column family, so that a crash loses a suffix of the write batches and
//! nothing else.
//!
//! ```text
//! version    := number (u32 BE, ≥ 1) ‖ id key ‖ !visible (u64 BE, bitwise not: newest first)
//! format     := 00000000 'F'
//! next       := 00000000 'N'
//! generation := 00000000 'G' ‖ id (u32 BE)
//! collection := 00000000 'C' ‖ number (u32 BE) ‖ visible (u64 BE)
//! observed   := 00000000 'O' ‖ number (u32 BE) ‖ visible (u64 BE)
//! horizon    := 00000000 'H'
//! excluded   := 00000000 'E'
//! rests on   := 00000000 'B' ‖ generation id (u32 BE)
//! deleted    := 00000000 'D' ‖ visible (u64 BE) ‖ number (u32 BE) ‖ id key
//! ```
//!
//! A number stands for one collection of one generation, from a create to a drop (or until it is
//! emptied). Numbers are never used again, so everything under the keys of a number belongs
//! together forever.

use hindsight_oplog::Timestamp;

/// The name is part of the files. A file that was written under another name is read without its
/// filter.
pub(crate) const PREFIX_NAME: &str = "hindsight.history.version.1";

pub(crate) const TIME_LENGTH: usize = 8;
pub(crate) const NUMBER_LENGTH: usize = 4;

/// Returns the part of a version key that identifies the document.
pub(crate) fn prefix_of_version(key: &[u8]) -> &[u8] {
    &key[..key.len() - TIME_LENGTH]
}

/// Whether this is a version key, and not a key of number zero.
pub(crate) fn is_version(key: &[u8]) -> bool {
    key.len() > NUMBER_LENGTH + TIME_LENGTH && key[..NUMBER_LENGTH] != [0; NUMBER_LENGTH]
}

pub(crate) fn push_number(key: &mut Vec<u8>, number: u32) {
    key.extend_from_slice(&number.to_be_bytes());
}

pub(crate) fn push_time(key: &mut Vec<u8>, visible: Timestamp) {
    key.extend_from_slice(&(!visible.as_u64()).to_be_bytes());
}

/// Returns the last key that a version with this prefix could have. No id's key begins with the key
/// of another id, so the keys that follow belong to another id.
pub(crate) fn last_of(prefix: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + TIME_LENGTH);
    key.extend_from_slice(prefix);
    push_time(&mut key, Timestamp::ZERO);
    key
}

/// Splits a version key into the id key and the visible time; `None` for other keys.
pub(crate) fn split_version(key: &[u8]) -> Option<(&[u8], Timestamp)> {
    if !is_version(key) {
        return None;
    }
    Some((&prefix_of_version(key)[NUMBER_LENGTH..], time_of_version(key)?))
}

/// Returns the time at the end of a version key.
pub(crate) fn time_of_version(key: &[u8]) -> Option<Timestamp> {
    let (_, time) = key.split_last_chunk::<TIME_LENGTH>()?;
    Some(Timestamp::from_u64(!u64::from_be_bytes(*time)))
}

/// Returns the range that holds all keys of a number. The start is included, the end is not.
pub(crate) fn range(number: u32) -> (Vec<u8>, Vec<u8>) {
    let end = match number.checked_add(1) {
        Some(next) => next.to_be_bytes().to_vec(),
        None => vec![0xff; NUMBER_LENGTH + 1],
    };
    (number.to_be_bytes().to_vec(), end)
}

pub(crate) const FORMAT: &[u8] = b"\0\0\0\0F";
pub(crate) const NEXT_NUMBER: &[u8] = b"\0\0\0\0N";
pub(crate) const GENERATIONS: &[u8] = b"\0\0\0\0G";
pub(crate) const COLLECTIONS: &[u8] = b"\0\0\0\0C";
pub(crate) const OBSERVED: &[u8] = b"\0\0\0\0O";
pub(crate) const HORIZON: &[u8] = b"\0\0\0\0H";
/// The patterns of the collections that are left out, one a line.
pub(crate) const EXCLUDED: &[u8] = b"\0\0\0\0E";
/// Which later base a generation rests on. It is a record apart from the generation's, which only
/// the writer writes.
pub(crate) const RESTS_ON: &[u8] = b"\0\0\0\0B";
/// Every deletion of a document once more, by time: a walk over all documents would be needed to
/// find the old ones.
pub(crate) const DELETED: &[u8] = b"\0\0\0\0D";

pub(crate) fn generation(id: u32) -> Vec<u8> {
    [GENERATIONS, &id.to_be_bytes()].concat()
}

pub(crate) fn rests_on(generation: u32) -> Vec<u8> {
    [RESTS_ON, &generation.to_be_bytes()].concat()
}

pub(crate) fn collection(number: u32, visible: Timestamp) -> Vec<u8> {
    [COLLECTIONS, &number.to_be_bytes(), &visible.as_u64().to_be_bytes()].concat()
}

pub(crate) fn observed(number: u32, visible: Timestamp) -> Vec<u8> {
    [OBSERVED, &number.to_be_bytes(), &visible.as_u64().to_be_bytes()].concat()
}

pub(crate) fn deleted(visible: Timestamp, prefix: &[u8]) -> Vec<u8> {
    [DELETED, &visible.as_u64().to_be_bytes(), prefix].concat()
}

/// Returns the time of a deletion, and the document's number and id key; `None` for other keys.
pub(crate) fn split_deleted(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, prefix) = key.strip_prefix(DELETED)?.split_first_chunk::<8>()?;
    Some((Timestamp::from_u64(u64::from_be_bytes(*time)), prefix))
}

/// Returns the number and the time of a collection key; `None` for other keys.
pub(crate) fn split_collection(key: &[u8]) -> Option<(u32, Timestamp)> {
    let rest = key.strip_prefix(COLLECTIONS)?;
    let (number, time) = rest.split_first_chunk::<NUMBER_LENGTH>()?;
    let time: [u8; 8] = time.try_into().ok()?;
    Some((u32::from_be_bytes(*number), Timestamp::from_u64(u64::from_be_bytes(time))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_sort_first_and_split_gives_back_what_was_pushed() {
        let key_at = |seconds| {
            let mut key = Vec::new();
            push_number(&mut key, 7);
            key.extend_from_slice(b"id");
            push_time(&mut key, Timestamp::new(seconds, 1));
            key
        };
        assert!(key_at(2) < key_at(1));
        assert_eq!(split_version(&key_at(9)), Some((&b"id"[..], Timestamp::new(9, 1))));
        assert_eq!(prefix_of_version(&key_at(9)), b"\0\0\0\x07id");
        let (from, to) = range(7);
        assert!(from < key_at(1) && key_at(1) < to);
    }

    #[test]
    fn other_keys_are_not_versions() {
        let key = collection(3, Timestamp::new(5, 6));
        assert!(!is_version(&key) && !is_version(FORMAT) && !is_version(b""));
        assert_eq!(split_collection(&key), Some((3, Timestamp::new(5, 6))));
        assert_eq!(split_collection(&generation(1)), None);
    }

    #[test]
    fn the_last_number_has_a_range_too() {
        let (from, to) = range(u32::MAX);
        let mut key = from.clone();
        key.extend_from_slice(&[0xff; 4]);
        assert!(from < key && key < to || key.len() > 5);
    }
}
