//! A digest of a set of documents that does not depend on their order.

use std::fmt;

use serde::{Serialize, Serializer};

use super::plan::PlannedCollection;
use super::progress::Progress;

/// The sum, modulo 2^128, of the first 128 bits of the BLAKE3 hash of each document, and the number
/// of documents.
///
/// The digest is a sum so that several tasks can each digest a part, in any order, both when
/// documents are written and when they are read back. A digest over one ordered stream would force
/// the read-back through the `_id` index in a single stream. A difference of one bit, a missing
/// document and a duplicated document all change the sum (an exclusive-or would not notice a
/// document stored twice). Only someone who builds documents for that purpose could make two sets
/// agree, and anyone who can do that on the target needs no such trick. In ordered (capped)
/// collections, each document is hashed with its ordinal, so the order counts too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The number of documents.
    pub documents: u64,
    /// The bytes of all documents together.
    pub bytes: u64,
    sum: u128,
}

impl Digest {
    /// Adds a document of a collection whose order does not matter.
    pub fn add(&mut self, document: &[u8]) {
        self.absorb(document.len(), blake3::hash(document));
    }

    /// Adds the next document of an ordered collection.
    pub fn add_next(&mut self, document: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.documents.to_le_bytes());
        hasher.update(document);
        self.absorb(document.len(), hasher.finalize());
    }

    /// Adds the next document of a collection whose order matters or not.
    pub(super) fn add_of(&mut self, collection: &PlannedCollection, document: &[u8]) {
        match collection.ordered {
            true => self.add_next(document),
            false => self.add(document),
        }
    }

    fn absorb(&mut self, length: usize, hash: blake3::Hash) {
        let (prefix, _) = hash.as_bytes().split_at(16);
        let prefix = prefix.try_into().expect("BLAKE3 gives 32 bytes");
        self.documents += 1;
        self.bytes += length as u64;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(prefix));
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Digests the documents of one collection as they are read back, and counts them for people who
/// watch.
#[derive(Debug)]
pub struct CountedDigest<'a> {
    collection: &'a PlannedCollection,
    progress: &'a Progress,
    digest: Digest,
    /// The documents and bytes that the progress knows of.
    counted: (u64, u64),
}

/// How many documents are counted at once.
const COUNTED_TOGETHER: u64 = 1024;

impl<'a> CountedDigest<'a> {
    /// Begins with no documents. What is added counts in `progress`.
    pub fn new(collection: &'a PlannedCollection, progress: &'a Progress) -> Self {
        Self { collection, progress, digest: Digest::default(), counted: (0, 0) }
    }

    /// Adds the next document.
    pub fn add(&mut self, document: &[u8]) {
        self.digest.add_of(self.collection, document);
        if self.digest.documents.is_multiple_of(COUNTED_TOGETHER) {
            self.count();
        }
    }

    /// Returns the digest of everything that was added.
    pub fn finish(mut self) -> Digest {
        self.count();
        self.digest
    }

    fn count(&mut self) {
        let Digest { documents, bytes, .. } = self.digest;
        self.progress.add(documents - self.counted.0, bytes - self.counted.1);
        self.counted = (documents, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(documents: &[&[u8]]) -> Digest {
        let mut digest = Digest::default();
        documents.iter().for_each(|document| digest.add(document));
        digest
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        assert_eq!(digest(&[b"one", b"two"]), digest(&[b"two", b"one"]));
        assert_ne!(digest(&[b"one", b"two"]), digest(&[b"one", b"twp"]));
        assert_ne!(digest(&[b"one"]), digest(&[b"one", b"one", b"one"]));
        let (once, thrice) = (digest(&[b"one"]).to_string(), digest(&[&b"one"[..]; 3]).to_string());
        assert_ne!(once, thrice, "the sum itself notices repeated documents");
    }

    #[test]
    fn the_order_of_an_ordered_collection_matters() {
        let ordered = |documents: &[&[u8]]| {
            let mut digest = Digest::default();
            documents.iter().for_each(|document| digest.add_next(document));
            digest
        };
        assert_eq!(ordered(&[b"one", b"two"]), ordered(&[b"one", b"two"]));
        assert_ne!(ordered(&[b"one", b"two"]), ordered(&[b"two", b"one"]));
    }
}
