//! Which documents a frame touches, so that a search by `_id` can skip the frame.

use crate::error::{Error, Place};
use crate::fields::{FieldReader, length_u32, put_u32, put_u64};

const BITS_PER_KEY: usize = 10;
/// About `BITS_PER_KEY · ln 2`: the number of probes that makes false positives rarest.
const PROBES: u64 = 7;
const WORD_BITS: usize = 64;

const KIND_NO_KEYS: u8 = 0;
const KIND_BLOOM: u8 = 1;
const KIND_UNKNOWN: u8 = 2;

/// A Bloom filter over the hashes of document ids (`hindsight_oplog::id_key::hash64`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFilter {
    /// The frame touches no document.
    NoKeys,
    /// The bits of the filter, 64 per word.
    Bloom(Box<[u64]>),
    /// The documents of an entry in the frame could not be determined: the frame must be searched.
    Unknown,
}

impl KeyFilter {
    /// Returns whether the frame may hold an operation on the document with this key hash. `false`
    /// is certain.
    pub fn may_contain(&self, key_hash: u64) -> bool {
        match self {
            KeyFilter::NoKeys => false,
            KeyFilter::Unknown => true,
            KeyFilter::Bloom(words) => probes(key_hash, words.len())
                .all(|bit| (words[bit / WORD_BITS] >> (bit % WORD_BITS)) & 1 == 1),
        }
    }

    pub(crate) fn build(mut key_hashes: Vec<u64>) -> Self {
        // A document that is written a hundred times is one key.
        key_hashes.sort_unstable();
        key_hashes.dedup();
        if key_hashes.is_empty() {
            return KeyFilter::NoKeys;
        }
        let mut words = vec![0u64; (key_hashes.len() * BITS_PER_KEY).div_ceil(WORD_BITS)];
        for &key_hash in &key_hashes {
            for bit in probes(key_hash, words.len()) {
                words[bit / WORD_BITS] |= 1 << (bit % WORD_BITS);
            }
        }
        KeyFilter::Bloom(words.into_boxed_slice())
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            KeyFilter::NoKeys => out.push(KIND_NO_KEYS),
            KeyFilter::Unknown => out.push(KIND_UNKNOWN),
            KeyFilter::Bloom(words) => {
                out.push(KIND_BLOOM);
                put_u32(out, length_u32(words.len()));
                words.iter().for_each(|&word| put_u64(out, word));
            }
        }
    }

    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Result<Self, Error> {
        match fields.u8()? {
            KIND_NO_KEYS => Ok(KeyFilter::NoKeys),
            KIND_UNKNOWN => Ok(KeyFilter::Unknown),
            KIND_BLOOM => {
                let stored = fields.u32()?;
                let count = fields.check_count(stored, 8)?;
                if count == 0 {
                    return Err(fields.corrupt("a key filter has no bits"));
                }
                let mut words = Vec::with_capacity(count);
                for _ in 0..count {
                    words.push(fields.u64()?);
                }
                Ok(KeyFilter::Bloom(words.into_boxed_slice()))
            }
            _ => Err(fields.corrupt("unknown kind of key filter")),
        }
    }
}

/// Encodes the filters of a segment's frames, for a caller that keeps them apart from the seal.
pub fn filters_to_bytes<'f>(filters: impl IntoIterator<Item = &'f KeyFilter>) -> Vec<u8> {
    let mut out = Vec::new();
    filters.into_iter().for_each(|filter| filter.put(&mut out));
    out
}

/// Returns whether one of the filters that [`filters_to_bytes`] wrote may contain the key. `false`
/// is certain.
///
/// # Errors
/// Returns [`Error::Corrupt`] when the bytes are not what [`filters_to_bytes`] wrote.
pub fn any_may_contain(bytes: &[u8], key_hash: u64) -> Result<bool, Error> {
    let mut fields = FieldReader::new(bytes, Place::Seal);
    while fields.remaining() > 0 {
        if KeyFilter::read(&mut fields)?.may_contain(key_hash) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the bits of a key, by double hashing: the start is the mixed hash, the step is that
/// mixed once more and made odd. Each sum is mapped to the range by multiplication.
fn probes(key_hash: u64, words: usize) -> impl Iterator<Item = usize> {
    let mixed = mix(key_hash);
    let step = mix(mixed) | 1;
    let bits = (words * WORD_BITS) as u128;
    (0..PROBES).map(move |turn| {
        let spread = mixed.wrapping_add(step.wrapping_mul(turn));
        ((u128::from(spread) * bits) >> 64) as usize
    })
}

/// The finalizer of splitmix64. With it, the filter does not depend on how well the hash is spread.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_key_and_few_others() {
        for count in [1u64, 2, 7, 100, 5_000, 40_000] {
            let keys: Vec<u64> = (0..count).map(|key| key * 0x1_0001).collect();
            let filter = KeyFilter::build(keys.clone());
            assert!(keys.iter().all(|&key| filter.may_contain(key)), "no false negatives");
            if count >= 100 {
                let wrong = (0..100_000u64)
                    .filter(|probe| filter.may_contain(u64::MAX - probe * 7))
                    .count();
                assert!(wrong < 1_500, "{wrong} of 100,000 absent keys were taken for present");
            }
        }
    }

    #[test]
    fn a_repeated_key_takes_the_room_of_one() {
        assert_eq!(KeyFilter::build(vec![5; 10_000]), KeyFilter::build(vec![5]));
    }

    #[test]
    fn filters_as_bytes_answer_as_the_filters_do() {
        let filters = [
            KeyFilter::NoKeys,
            KeyFilter::build(vec![1, 2, 3]),
            KeyFilter::build((10..5_000).collect()),
        ];
        let bytes = filters_to_bytes(&filters);
        for key in 0..20_000 {
            let expected = filters.iter().any(|filter| filter.may_contain(key));
            assert_eq!(any_may_contain(&bytes, key), Ok(expected), "{key}");
        }
        assert_eq!(any_may_contain(&[], 1), Ok(false));
        let unknown = filters_to_bytes(&[KeyFilter::NoKeys, KeyFilter::Unknown]);
        assert_eq!(any_may_contain(&unknown, 1), Ok(true));
        assert!(any_may_contain(&bytes[..bytes.len() - 1], u64::MAX).is_err());
        assert!(any_may_contain(&[9], 1).is_err());
    }

    #[test]
    fn no_keys_contains_nothing_and_unknown_everything() {
        assert_eq!(KeyFilter::build(Vec::new()), KeyFilter::NoKeys);
        assert!(!KeyFilter::NoKeys.may_contain(7));
        assert!(KeyFilter::Unknown.may_contain(7));
    }
}
