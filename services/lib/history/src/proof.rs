//! The source's own proof: what the history builds is checked against hashes in the entries.
//!
//! A newer server may give an operation the hash of its document (`m.h`, behind a flag in 9.0): the
//! hash of the new document for an insert, of the old document for a delete, and both hashes XORed
//! for an update. The first version of this feature used SHA-256 cut to 8 bytes, of the new
//! document alone. The entry does not say which of the two is meant (docs/decisions/0011). No
//! server that writes such entries was available: all of this is read from the server's source
//! (`db/repl/internode_validation_hash_utils.cpp`).

use sha2::{Digest as _, Sha256};
use twox_hash::XxHash3_64;

use crate::ApplyError;
use crate::generation::Hashes;
use crate::unit::Unit;

/// The algorithms that may have computed a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Xxh3,
    Sha256,
}

/// The results of the hash checks of one writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashCounts {
    /// Documents that were what the source says.
    pub matched: u64,
    /// Documents whose hash did not match, when no hash had matched before: this version may not
    /// know the algorithm.
    pub unrecognised: u64,
    /// Documents that differ from the source. At most one, because the history ends there.
    pub mismatched: u64,
}

/// One change of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) before: Option<&'a [u8]>,
    pub(crate) after: Option<&'a [u8]>,
}

impl Change<'_> {
    fn hash(&self, algorithm: Algorithm) -> u64 {
        match algorithm {
            Algorithm::Xxh3 => {
                let hash = |document: Option<&[u8]>| document.map_or(0, XxHash3_64::oneshot);
                hash(self.before) ^ hash(self.after)
            }
            Algorithm::Sha256 => self.after.or(self.before).map_or(0, sha256_64),
        }
    }
}

fn sha256_64(document: &[u8]) -> u64 {
    let digest = Sha256::digest(document);
    digest.iter().take(8).rev().fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// Checks hashes. A hash that matches shows that the source's algorithm is known, because 64 bits
/// do not agree by chance. From then on, a hash that does not match is a difference. Before that,
/// the algorithm may be unknown.
#[derive(Debug)]
pub(crate) struct Proof {
    hashes: Hashes,
    pub(crate) counts: HashCounts,
}

impl Proof {
    /// `hashes` is what was found out before.
    pub(crate) fn new(hashes: Hashes) -> Self {
        Self { hashes, counts: HashCounts::default() }
    }

    /// Returns what was found out so far, to be stored.
    pub(crate) fn hashes(&self) -> Hashes {
        self.hashes
    }

    /// Checks a change against the hash that the source states.
    ///
    /// # Errors
    /// Returns [`ApplyError::Inconsistent`] when a document is not what the source says, now or (as
    /// it turns out now) before.
    pub(crate) fn check(
        &mut self,
        unit: &Unit,
        ns: &str,
        stated: i64,
        change: Change<'_>,
    ) -> Result<(), ApplyError> {
        let stated = stated.cast_unsigned();
        let is_matched = [Algorithm::Xxh3, Algorithm::Sha256]
            .into_iter()
            .any(|algorithm| change.hash(algorithm) == stated);
        match (is_matched, self.hashes) {
            (true, Hashes::Unseen | Hashes::Known) => {
                self.hashes = Hashes::Known;
                self.counts.matched += 1;
                count("matched");
                Ok(())
            }
            (false, Hashes::Unseen | Hashes::Unrecognised(_)) => {
                self.unrecognised(unit, ns);
                Ok(())
            }
            (false, Hashes::Known) => {
                self.counts.mismatched += 1;
                count("mismatched");
                Err(unit.inconsistent(ns, mismatch(stated, change.hash(Algorithm::Xxh3))))
            }
            (true, Hashes::Unrecognised(first)) => {
                self.counts.mismatched += 1;
                count("mismatched");
                let reason = format!(
                    "the source's hash of its document matches, {stated:016x}, so its algorithm is known; but that \
                     of the entry at {first} did not match. Either the history has been wrong since, or the source \
                     hashed by another algorithm until an upgrade. A new base settles it"
                );
                Err(unit.inconsistent(ns, reason))
            }
        }
    }

    fn unrecognised(&mut self, unit: &Unit, ns: &str) {
        self.counts.unrecognised += 1;
        count("unrecognised");
        if self.hashes == Hashes::Unseen {
            self.hashes = Hashes::Unrecognised(unit.at.ts);
            tracing::warn!(
                entry = %unit.at, ns,
                "the source gives hashes of its documents (m.h), and this one is by no algorithm that this version \
                 knows: they are counted, and nothing is proved by them"
            );
        }
    }
}

fn mismatch(stated: u64, built: u64) -> String {
    format!(
        "the source says that its document's hash is {stated:016x}, and that of the document built here is \
         {built:016x} (XXH3; SHA-256 does not match either). Hashes of earlier documents did match: either base or \
         log is wrong, or the source hashes by another algorithm since an upgrade"
    )
}

fn count(outcome: &'static str) {
    crate::metrics::hash_compared(outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha256sum` begins with ba7816bf8f01cfea.
    #[test]
    fn the_first_eight_bytes_of_sha_256_are_read_little_endian() {
        assert_eq!(sha256_64(b"abc"), 0xeacf_018f_bf16_78ba);
    }

    /// The Python package xxhash 3 returns the same hash. A document of this length goes through
    /// several blocks of XXH3.
    #[test]
    fn xxh3_has_seed_0_and_the_default_secret() {
        let document: Vec<u8> = (0..2_048_u32).map(|at| (at % 251) as u8).collect();
        let change = Change { before: None, after: Some(&document) };
        assert_eq!(change.hash(Algorithm::Xxh3), 0x2533_9063_db86_1586);
    }
}
