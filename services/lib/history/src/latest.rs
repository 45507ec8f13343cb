//! The newest versions of the documents that were written last, and the part of them that is not in
//! the store yet.
//!
//! Values live in two arenas, a young and an old one. A version is written to the young arena. When
//! the young arena is full, it becomes the old one, and the previous old arena is forgotten at
//! once. So there is no bookkeeping per entry, and the two arenas bound the memory. Versions are
//! put into the store from the young arena, so it becomes old only when all its versions are in the
//! store.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

use hindsight_oplog::Timestamp;

use crate::key;
use crate::recent::Recent;

#[derive(Default)]
struct Arena {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// The documents of those versions that are deltas.
    documents: Vec<Vec<u8>>,
    document_bytes: usize,
    /// The newest slot for each hash of a prefix.
    newest: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
}

/// One version: `prefix ‖ time ‖ value` in the arena's bytes.
struct Slot {
    start: usize,
    prefix_length: usize,
    end: usize,
    /// The previous slot with the same hash.
    before: Option<u32>,
    /// Where the document is, if the version is a delta. Only the newest version of a document has
    /// it.
    document: Option<u32>,
}

/// The newest version of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered<'a> {
    pub(crate) visible: Timestamp,
    /// The value as it is stored.
    pub(crate) value: &'a [u8],
    /// The document, if the value is a delta.
    pub(crate) document: Option<&'a [u8]>,
}

impl Slot {
    fn prefix(&self) -> Range<usize> {
        self.start..self.start + self.prefix_length
    }

    fn key(&self) -> Range<usize> {
        self.start..self.start + self.prefix_length + key::TIME_LENGTH
    }

    fn value(&self) -> Range<usize> {
        self.key().end..self.end
    }
}

impl Arena {
    fn find(&self, hash: u64, prefix: &[u8]) -> Option<Remembered<'_>> {
        let slot = self.slots.get(self.position(hash, prefix)?)?;
        Some(Remembered {
            visible: key::time_of_version(&self.bytes[slot.key()])?,
            value: &self.bytes[slot.value()],
            document: slot.document.map(|at| &self.documents[at as usize][..]),
        })
    }

    /// Returns the position of the newest slot of the document.
    fn position(&self, hash: u64, prefix: &[u8]) -> Option<usize> {
        let mut at = *self.newest.get(&hash)?;
        loop {
            let slot = self.slots.get(at as usize)?;
            if &self.bytes[slot.prefix()] == prefix {
                return Some(at as usize);
            }
            at = slot.before?;
        }
    }

    /// Keeps the document of a version that is about to be pushed, in the place of the document of
    /// the version before it.
    fn keep(&mut self, hash: u64, prefix: &[u8], document: Vec<u8>) -> u32 {
        self.document_bytes += document.len();
        let before = self.position(hash, prefix).and_then(|at| self.slots[at].document.take());
        if let Some(place) = before {
            let replaced = std::mem::replace(&mut self.documents[place as usize], document);
            self.document_bytes -= replaced.len();
            return place;
        }
        self.documents.push(document);
        u32::try_from(self.documents.len() - 1).expect("an arena holds fewer than 2^32 versions")
    }

    fn byte_count(&self) -> usize {
        self.bytes.len() + self.document_bytes
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
        self.newest.clear();
        self.documents.clear();
        self.document_bytes = 0;
    }
}

/// Versions on their way into the store.
#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    slots: Vec<PendingSlot>,
}

struct PendingSlot {
    key: Range<usize>,
    end: usize,
}

impl Pending {
    /// Returns keys and values in the order of keys. Most versions are inserts with growing ids,
    /// and the store takes neighbours one after the other in a third of the time. Of two versions
    /// with the same key, the version that was pushed last comes last, and stays.
    pub(crate) fn in_order(&mut self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = &self.bytes;
        self.slots.sort_by(|a, b| bytes[a.key.clone()].cmp(&bytes[b.key.clone()]));
        self.slots.iter().map(|slot| (&bytes[slot.key.clone()], &bytes[slot.key.end..slot.end]))
    }

    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Empties the memory, and gives back what a huge transaction made it grow by.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
    }
}

pub(crate) struct Latest {
    young: Arena,
    old: Arena,
    recent: Arc<Recent>,
    limit: usize,
    /// Slots of the young arena before this index are in the store.
    stored: usize,
}

/// Where the pending versions end. Versions that are written later can be taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Latest {
    pub(crate) fn new(limit: usize, recent: Arc<Recent>) -> Self {
        // What an earlier writer noted says nothing about this one.
        recent.next_arena();
        recent.next_arena();
        Latest { young: Arena::default(), old: Arena::default(), recent, limit, stored: 0 }
    }

    pub(crate) fn hash(&self, prefix: &[u8]) -> u64 {
        self.recent.hash(prefix)
    }

    /// Returns the newest version of the document, if it is still remembered.
    pub(crate) fn find(&self, hash: u64, prefix: &[u8]) -> Option<Remembered<'_>> {
        self.young.find(hash, prefix).or_else(|| self.old.find(hash, prefix))
    }

    /// Adds a version. `write` appends its value.
    pub(crate) fn push(
        &mut self,
        hash: u64,
        prefix: &[u8],
        visible: Timestamp,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.push_slot(hash, prefix, visible, None, write);
    }

    /// Adds a version that is a delta, with the document that the delta makes.
    pub(crate) fn push_delta(
        &mut self,
        hash: u64,
        prefix: &[u8],
        visible: Timestamp,
        document: Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let place = self.young.keep(hash, prefix, document);
        self.push_slot(hash, prefix, visible, Some(place), write);
    }

    fn push_slot(
        &mut self,
        hash: u64,
        prefix: &[u8],
        visible: Timestamp,
        document: Option<u32>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.recent.note(hash);
        let arena = &mut self.young;
        let start = arena.bytes.len();
        arena.bytes.extend_from_slice(prefix);
        key::push_time(&mut arena.bytes, visible);
        write(&mut arena.bytes);
        let at = u32::try_from(arena.slots.len()).expect("an arena holds fewer than 2^32 versions");
        let before = arena.newest.insert(hash, at);
        arena.slots.push(Slot {
            start,
            prefix_length: prefix.len(),
            end: arena.bytes.len(),
            before,
            document,
        });
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.young.slots.len())
    }

    /// Removes the versions after the mark from what is to be stored. `find` still finds them, so
    /// only a writer that applies nothing more may call this.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        self.young.slots.truncate(mark.0);
    }

    /// Returns the keys and values that are not in the store yet, in the order in which they were
    /// pushed.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = &self.young.bytes;
        let slots = &self.young.slots[self.stored..];
        slots.iter().map(|slot| (&bytes[slot.key()], &bytes[slot.value()]))
    }

    /// Copies what is not in the store yet, into the memory of an earlier copy.
    pub(crate) fn copy_pending(&self, pending: &mut Pending) {
        let slots = &self.young.slots[self.stored..];
        let from = slots.first().map_or(self.young.bytes.len(), |slot| slot.start);
        pending.bytes.clear();
        pending.bytes.extend_from_slice(&self.young.bytes[from..]);
        pending.slots.clear();
        pending.slots.extend(slots.iter().map(|slot| PendingSlot {
            key: slot.start - from..slot.key().end - from,
            end: slot.end - from,
        }));
    }

    /// Returns the number of bytes that wait to be stored.
    pub(crate) fn pending_bytes(&self) -> usize {
        let from = self.young.slots.get(self.stored).map_or(self.young.bytes.len(), |s| s.start);
        self.young.bytes.len() - from
    }

    /// Notes that everything pending is in the store. Returns true when an arena was forgotten:
    /// from now on its versions must be found in the store.
    pub(crate) fn stored(&mut self) -> bool {
        self.stored = self.young.slots.len();
        if self.young.byte_count() < self.limit {
            return false;
        }
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
        // A huge transaction may have made it grow; this gives the memory back.
        self.young.bytes.shrink_to(self.limit * 2);
        self.stored = 0;
        self.recent.next_arena();
        true
    }
}

/// A hasher for keys that are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(latest: &mut Latest, hash: u64, prefix: &[u8], seconds: u32, value: &[u8]) {
        let time = Timestamp::new(seconds, 1);
        latest.push(hash, prefix, time, |out| out.extend_from_slice(value));
    }

    fn value<'l>(latest: &'l Latest, hash: u64, prefix: &[u8]) -> Option<&'l [u8]> {
        latest.find(hash, prefix).map(|it| it.value)
    }

    fn pending(latest: &Latest) -> Vec<Vec<u8>> {
        let mut pending = Pending::default();
        latest.copy_pending(&mut pending);
        pending.in_order().map(|(_, value)| value.to_vec()).collect()
    }

    #[test]
    fn the_newest_version_is_found_even_among_equal_hashes() {
        let mut latest = Latest::new(1 << 20, Arc::default());
        push(&mut latest, 7, b"a", 1, b"a1");
        push(&mut latest, 7, b"b", 2, b"b1");
        push(&mut latest, 7, b"a", 3, b"a2");
        assert_eq!(value(&latest, 7, b"a"), Some(&b"a2"[..]));
        assert_eq!(value(&latest, 7, b"b"), Some(&b"b1"[..]));
        assert_eq!(latest.find(7, b"c"), None);
        assert_eq!(pending(&latest).len(), 3);
    }

    #[test]
    fn versions_are_stored_in_the_order_of_keys_and_the_last_of_equal_ones_last() {
        let mut latest = Latest::new(1 << 20, Arc::default());
        for (prefix, value) in [(b"c", b"1"), (b"a", b"2"), (b"b", b"3"), (b"a", b"4")] {
            push(&mut latest, 1, prefix, 1, value);
        }
        assert_eq!(pending(&latest), [b"2", b"4", b"3", b"1"]);
    }

    #[test]
    fn versions_are_forgotten_after_two_full_arenas_and_never_before_they_are_stored() {
        let mut latest = Latest::new(10, Arc::default());
        push(&mut latest, 1, b"a", 1, b"0123456789");
        push(&mut latest, 2, b"b", 1, b"0123456789");
        assert_eq!(pending(&latest).len(), 2);
        assert!(latest.stored());
        assert_eq!(pending(&latest).len(), 0);
        assert!(latest.find(1, b"a").is_some());
        push(&mut latest, 3, b"c", 2, b"0123456789");
        assert!(latest.stored());
        assert_eq!(latest.find(1, b"a"), None);
        assert!(latest.find(3, b"c").is_some());
    }

    #[test]
    fn what_is_taken_back_is_not_pending() {
        let mut latest = Latest::new(1 << 20, Arc::default());
        push(&mut latest, 1, b"a", 1, b"x");
        let mark = latest.mark();
        push(&mut latest, 2, b"b", 1, b"y");
        latest.take_back(mark);
        assert_eq!(pending(&latest), [b"x"]);
    }

    #[test]
    fn the_document_of_a_delta_is_kept_once_and_counts() {
        let mut latest = Latest::new(100, Arc::default());
        let push = |latest: &mut Latest, seconds, document: &[u8]| {
            let write = |out: &mut Vec<u8>| out.push(b'd');
            let time = Timestamp::new(seconds, 1);
            latest.push_delta(1, b"a", time, document.to_vec(), write);
        };
        for seconds in 1..4 {
            push(&mut latest, seconds, &[seconds as u8; 60]);
        }
        assert_eq!((latest.young.documents.len(), latest.young.document_bytes), (1, 60));
        let found = latest.find(1, b"a").expect("remembered");
        assert_eq!(found.visible, Timestamp::new(3, 1));
        assert_eq!((found.value, found.document), (&b"d"[..], Some(&[3_u8; 60][..])));
        assert_eq!(pending(&latest), [b"d", b"d", b"d"]);
        push(&mut latest, 4, &[4; 90]);
        assert!(latest.stored(), "documents count");
        assert_eq!(latest.find(1, b"a").and_then(|it| it.document), Some(&[4_u8; 90][..]));
        push(&mut latest, 5, &[5; 60]);
        assert_eq!(latest.find(1, b"a").and_then(|it| it.document), Some(&[5_u8; 60][..]));
    }
}
