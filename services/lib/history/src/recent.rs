//! Which documents the writer remembers, as far as other threads need to know.
//!
//! Reading ahead need not read what the writer remembers. The answer is a hint: a wrong one costs a
//! read, or spares none, and changes no result.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Places of the table. Each takes four bytes. The writer remembers up to about as many versions of
/// small documents.
const PLACES: usize = 1 << 19;
/// The part of a mark that says in which arena the version is.
const ARENA_BITS: u32 = 0xff;

/// A table of marks, one for each hash. A newer mark takes the place of an older one.
#[derive(Debug)]
pub(crate) struct Recent {
    hasher: RandomState,
    marks: Box<[AtomicU32]>,
    arena: AtomicU32,
}

impl Default for Recent {
    fn default() -> Self {
        Recent {
            hasher: RandomState::new(),
            marks: (0..PLACES).map(|_| AtomicU32::new(0)).collect(),
            arena: AtomicU32::new(2),
        }
    }
}

impl Recent {
    /// Returns the hash of a document's prefix, under which the other functions know it.
    pub(crate) fn hash(&self, prefix: &[u8]) -> u64 {
        self.hasher.hash_one(prefix)
    }

    /// Notes that the writer remembers a version of the document in its young arena.
    pub(crate) fn note(&self, hash: u64) {
        let mark = fingerprint(hash) | (self.arena.load(Ordering::Relaxed) & ARENA_BITS);
        self.place(hash).store(mark, Ordering::Relaxed);
    }

    /// Notes that the young arena became the old one, and the old one was forgotten.
    pub(crate) fn next_arena(&self) {
        self.arena.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the writer seems to remember the document.
    pub(crate) fn holds(&self, hash: u64) -> bool {
        let mark = self.place(hash).load(Ordering::Relaxed);
        let age = self.arena.load(Ordering::Relaxed).wrapping_sub(mark) & ARENA_BITS;
        mark & !ARENA_BITS == fingerprint(hash) && age <= 1
    }

    fn place(&self, hash: u64) -> &AtomicU32 {
        &self.marks[hash as usize % PLACES]
    }
}

fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32 & !ARENA_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_held_until_its_arena_is_forgotten() {
        let recent = Recent::default();
        let (hash, other) = (recent.hash(b"a"), recent.hash(b"b"));
        recent.note(hash);
        assert!(recent.holds(hash) && !recent.holds(other));
        recent.next_arena();
        assert!(recent.holds(hash));
        recent.next_arena();
        assert!(!recent.holds(hash));
    }
}
