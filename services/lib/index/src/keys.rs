//! Every key of the store. The ordinals are stored: never reuse an ordinal, and never renumber.
//!
//! Numbers are big-endian, so byte order is the order of the numbers.
//!
//! | # | key | value | changes |
//! |---|---|---|---|
//! | 0 | `Format` | JSON number, [`crate::index::FORMAT`] | never |
//! | 1 | `Segment`: sequence u64 | JSON `SegmentSummary` | never, until removed |
//! | 2 | `FirstOpTime`: optime | sequence u64 | never, until removed |
//! | 3 | `Run`: sequence u64 of its first segment | JSON `Run` | the ends grow and shrink |
//! | 4 | `Gap`: optime after the gap | JSON `GapNotice` | never, until removed |
//! | 5 | `Base`: name, UTF-8 | JSON `BaseSummary` | never, until forgotten |
//! | 6 | `Counts`: namespace, minute u32 | five u64 | the last minutes grow |
//! | 7 | `Command`: optime, position u32 | JSON `CommandNote` | never, until removed |
//! | 8 | `Filters`: sequence u64 | the key filters of its frames | never, until removed |
//!
//! An optime is `ts` as u64, then the term as u64 with its sign bit flipped. A namespace is its
//! UTF-8 with `00` written as `00 FF`, and ends with `00 01`. So any name sorts correctly, and no
//! name runs into the minute. The position of a command is its position in its segment. Key filters
//! are encoded by `hindsight_segment::filters_to_bytes`.

use hindsight_oplog::{OpTime, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Format = 0,
    Segment = 1,
    FirstOpTime = 2,
    Run = 3,
    Gap = 4,
    Base = 5,
    Counts = 6,
    Command = 7,
    Filters = 8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Format,
    Segment(u64),
    FirstOpTime(OpTime),
    Run(u64),
    Gap(OpTime),
    Base(String),
    Counts { ns: String, minute: u32 },
    Command { optime: OpTime, position: u32 },
    Filters(u64),
}

const TERM_SIGN: u64 = 1 << 63;
const NAME_END: [u8; 2] = [0, 1];
const NAME_ZERO: [u8; 2] = [0, 0xFF];

impl Kind {
    /// Returns the range of all keys of this kind: from the first bound (inclusive) to the second
    /// (exclusive).
    pub(crate) fn range(self) -> (Vec<u8>, Vec<u8>) {
        (vec![self as u8], vec![self as u8 + 1])
    }
}

impl Key {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Key::Format => Kind::Format,
            Key::Segment(_) => Kind::Segment,
            Key::FirstOpTime(_) => Kind::FirstOpTime,
            Key::Run(_) => Kind::Run,
            Key::Gap(_) => Kind::Gap,
            Key::Base(_) => Kind::Base,
            Key::Counts { .. } => Kind::Counts,
            Key::Command { .. } => Kind::Command,
            Key::Filters(_) => Kind::Filters,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind() as u8];
        match self {
            Key::Format => {}
            Key::Segment(sequence) | Key::Run(sequence) | Key::Filters(sequence) => {
                put_u64(&mut out, *sequence);
            }
            Key::FirstOpTime(optime) | Key::Gap(optime) => put_optime(&mut out, *optime),
            Key::Base(name) => out.extend_from_slice(name.as_bytes()),
            Key::Counts { ns, minute } => {
                put_name(&mut out, ns);
                out.extend_from_slice(&NAME_END);
                out.extend_from_slice(&minute.to_be_bytes());
            }
            Key::Command { optime, position } => {
                put_optime(&mut out, *optime);
                out.extend_from_slice(&position.to_be_bytes());
            }
        }
        out
    }

    /// Returns the key that these bytes encode, or `None` if this program did not write them.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Key> {
        let (&kind, mut rest) = bytes.split_first()?;
        let key = match kind {
            0 => Key::Format,
            1 => Key::Segment(take_u64(&mut rest)?),
            2 => Key::FirstOpTime(take_optime(&mut rest)?),
            3 => Key::Run(take_u64(&mut rest)?),
            4 => Key::Gap(take_optime(&mut rest)?),
            5 => Key::Base(String::from_utf8(std::mem::take(&mut rest).to_vec()).ok()?),
            6 => Key::Counts { ns: take_name(&mut rest)?, minute: take_u32(&mut rest)? },
            7 => Key::Command { optime: take_optime(&mut rest)?, position: take_u32(&mut rest)? },
            8 => Key::Filters(take_u64(&mut rest)?),
            _ => return None,
        };
        rest.is_empty().then_some(key)
    }
}

/// Returns the start of every `Counts` key whose namespace starts with `prefix`.
pub(crate) fn counts_prefix(prefix: &str) -> Vec<u8> {
    let mut out = vec![Kind::Counts as u8];
    put_name(&mut out, prefix);
    out
}

/// Returns the smallest byte string that is larger than every byte string that starts with
/// `prefix`. `prefix` starts with a kind.
pub(crate) fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(byte) = end.pop() {
        if byte < 0xFF {
            end.push(byte + 1);
            break;
        }
    }
    end
}

/// Encodes the value of a `FirstOpTime` key.
pub(crate) fn sequence_value(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

pub(crate) fn read_sequence_value(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_optime(out: &mut Vec<u8>, optime: OpTime) {
    put_u64(out, optime.ts.as_u64());
    put_u64(out, (optime.term as u64) ^ TERM_SIGN);
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    for &byte in name.as_bytes() {
        match byte {
            0 => out.extend_from_slice(&NAME_ZERO),
            _ => out.push(byte),
        }
    }
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*bytes))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_be_bytes(*bytes))
}

fn take_optime(rest: &mut &[u8]) -> Option<OpTime> {
    let ts = Timestamp::from_u64(take_u64(rest)?);
    let term = (take_u64(rest)? ^ TERM_SIGN) as i64;
    Some(OpTime { ts, term })
}

fn take_name(rest: &mut &[u8]) -> Option<String> {
    let mut name = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        if byte != 0 {
            name.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        *rest = after;
        match escape {
            0xFF => name.push(0),
            1 => return String::from_utf8(name).ok(),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_optime() -> impl Strategy<Value = OpTime> {
        (any::<u64>(), any::<i64>())
            .prop_map(|(ts, term)| OpTime { ts: Timestamp::from_u64(ts), term })
    }

    fn any_name() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('.'), any::<char>()],
            0..6,
        )
        .prop_map(|chars| chars.into_iter().collect())
    }

    fn any_key() -> impl Strategy<Value = Key> {
        prop_oneof![
            Just(Key::Format),
            any::<u64>().prop_map(Key::Segment),
            any_optime().prop_map(Key::FirstOpTime),
            any::<u64>().prop_map(Key::Run),
            any::<u64>().prop_map(Key::Filters),
            any_optime().prop_map(Key::Gap),
            any_name().prop_map(Key::Base),
            (any_name(), any::<u32>()).prop_map(|(ns, minute)| Key::Counts { ns, minute }),
            (any_optime(), any::<u32>())
                .prop_map(|(optime, position)| Key::Command { optime, position }),
        ]
    }

    proptest! {
        #[test]
        fn every_key_comes_back(key in any_key()) {
            prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        }

        #[test]
        fn a_key_with_bytes_cut_or_added_is_not_that_key(key in any_key(), cut in 1usize..40) {
            let bytes = key.encode();
            let shorter = &bytes[..bytes.len().saturating_sub(cut)];
            prop_assert_ne!(Key::decode(shorter), Some(key.clone()));
            let longer = [&bytes[..], &[7]].concat();
            prop_assert_ne!(Key::decode(&longer), Some(key));
        }

        #[test]
        fn any_bytes_decode_without_panic_and_only_canonically(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Some(key) = Key::decode(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }

        #[test]
        fn optimes_sort_as_values(a in any_optime(), b in any_optime()) {
            let (left, right) = (Key::FirstOpTime(a).encode(), Key::FirstOpTime(b).encode());
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        }

        #[test]
        fn counts_sort_by_namespace_then_minute(
            (a, b) in (any_name(), any_name()), (m, n) in (any::<u32>(), any::<u32>()),
        ) {
            let left = Key::Counts { ns: a.clone(), minute: m }.encode();
            let right = Key::Counts { ns: b.clone(), minute: n }.encode();
            prop_assert_eq!(left == right, (&a, m) == (&b, n));
            if a == b {
                prop_assert_eq!(left.cmp(&right), m.cmp(&n));
            }
        }

        #[test]
        fn a_prefix_selects_just_the_names_that_start_with_it(
            name in any_name(), prefix in any_name(), minute in any::<u32>(),
        ) {
            let key = Key::Counts { ns: name.clone(), minute }.encode();
            let start = counts_prefix(&prefix);
            let selected = key >= start && key < end_of_prefix(&start);
            prop_assert_eq!(selected, name.starts_with(&prefix));
        }
    }

    #[test]
    fn stored_bytes_are_fixed() {
        let optime = OpTime::new(1, 2, -1);
        let at = [0, 0, 0, 1, 0, 0, 0, 2, 0x7F, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(Key::Format.encode(), [0]);
        assert_eq!(Key::Segment(258).encode(), [1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Key::FirstOpTime(optime).encode(), [&[2][..], &at].concat());
        assert_eq!(Key::Run(3).encode(), [3, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(Key::Gap(optime).encode(), [&[4][..], &at].concat());
        assert_eq!(Key::Base("b".into()).encode(), [5, b'b']);
        let counts = Key::Counts { ns: "a\0".into(), minute: 9 };
        assert_eq!(counts.encode(), [6, b'a', 0, 255, 0, 1, 0, 0, 0, 9]);
        let command = Key::Command { optime, position: 1 };
        assert_eq!(command.encode(), [&[7][..], &at, &[0, 0, 0, 1]].concat());
        assert_eq!(Key::Filters(4).encode(), [8, 0, 0, 0, 0, 0, 0, 0, 4]);
    }
}
