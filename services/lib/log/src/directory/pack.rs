//! The bytes of a pack, besides those of its segments: a table with a line for each segment, and a
//! footer. `docs/SEGMENT_FORMAT.md` draws them.
//!
//! Lines have one length, and each has a checksum of its own. So any segment is found by reading
//! the footer and one line, however many segments the pack holds.

use hindsight_segment::{SegmentDigest, Sequence};

use super::fields::{Fields, Wrong, checked, seal};

/// The length of a line in bytes.
pub(super) const LINE_BYTES: usize = 60;
/// The length of the footer in bytes. It ends where the file ends.
pub(super) const FOOTER_BYTES: usize = 36;

const MAGIC: [u8; 8] = *b"HSPACKED";
pub(super) const VERSION: u16 = 1;

/// What a pack's table says of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sequence: Sequence,
    /// Where the segment begins in the file, in bytes.
    pub(super) offset: u64,
    /// The length of the segment in bytes.
    pub(super) length: u64,
    pub(super) digest: SegmentDigest,
}

impl Line {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LINE_BYTES);
        for number in [self.sequence.0, self.offset, self.length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.digest.0);
        seal(bytes)
    }

    pub(super) fn decode(bytes: &[u8; LINE_BYTES]) -> Result<Self, Wrong> {
        let mut fields = Fields(checked(bytes)?);
        Ok(Self {
            sequence: Sequence(fields.u64()?),
            offset: fields.u64()?,
            length: fields.u64()?,
            digest: SegmentDigest(fields.take()?),
        })
    }
}

/// The end of a pack: where the table is, and which segments it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the table begins in the file, in bytes. The segments end there.
    pub(super) table: u64,
    /// The sequence of the first segment.
    pub(super) begins: Sequence,
    /// How many segments the pack holds.
    pub(super) segments: u32,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend_from_slice(&self.table.to_le_bytes());
        bytes.extend_from_slice(&self.begins.0.to_le_bytes());
        bytes.extend_from_slice(&self.segments.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        let mut bytes = seal(bytes);
        bytes.extend_from_slice(&MAGIC);
        bytes
    }

    /// Decodes the last bytes of a file of `length` bytes. The checksum is compared before the
    /// version is looked at: a flipped bit is damage, and not a newer version.
    pub(super) fn decode(bytes: &[u8; FOOTER_BYTES], length: u64) -> Result<Self, Wrong> {
        let Some(sealed) = bytes.strip_suffix(&MAGIC) else {
            return Err(Wrong::Damaged("it does not end with its magic"));
        };
        let mut fields = Fields(checked(sealed)?);
        let footer =
            Self { table: fields.u64()?, begins: Sequence(fields.u64()?), segments: fields.u32()? };
        match fields.u16()? {
            VERSION => {}
            0 => return Err(Wrong::Damaged("its version is 0")),
            newer => return Err(Wrong::Newer(newer)),
        }
        if fields.u16()? != 0 {
            return Err(Wrong::Damaged("reserved bytes are not zero"));
        }
        let lines = u64::from(footer.segments) * LINE_BYTES as u64;
        let parts = [lines, FOOTER_BYTES as u64];
        let end = parts.iter().try_fold(footer.table, |sum, part| sum.checked_add(*part));
        if end != Some(length) {
            return Err(Wrong::Damaged("its parts do not add up to the file"));
        }
        Ok(footer)
    }

    /// Returns where the line of a segment begins in the file. None when the pack does not hold
    /// the segment.
    pub(super) fn line_at(&self, sequence: Sequence) -> Option<u64> {
        let index = sequence.0.checked_sub(self.begins.0)?;
        (index < u64::from(self.segments)).then(|| self.table + index * LINE_BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let digest = SegmentDigest([7; 32]);
        Line { sequence: Sequence(42), offset: 1 << 33, length: 5000, digest }
    }

    fn footer() -> (Footer, u64) {
        let footer = Footer { table: 77_000, begins: Sequence(40), segments: 3 };
        (footer, 77_000 + 3 * LINE_BYTES as u64 + FOOTER_BYTES as u64)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes: [u8; LINE_BYTES] = line().encode().try_into().unwrap();
        assert_eq!(Line::decode(&bytes), Ok(line()));
        let (footer, length) = footer();
        let bytes: [u8; FOOTER_BYTES] = footer.encode().try_into().unwrap();
        assert_eq!(Footer::decode(&bytes, length), Ok(footer));
        let places = [39, 40, 42, 43].map(|it| footer.line_at(Sequence(it)));
        assert_eq!(places, [None, Some(77_000), Some(77_120), None]);
    }

    #[test]
    fn every_flipped_bit_is_damage() {
        let whole: [u8; LINE_BYTES] = line().encode().try_into().unwrap();
        for at in 0..whole.len() * 8 {
            let mut bytes = whole;
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(matches!(Line::decode(&bytes), Err(Wrong::Damaged(_))), "bit {at}");
        }
        let (footer, length) = footer();
        let whole: [u8; FOOTER_BYTES] = footer.encode().try_into().unwrap();
        for at in 0..whole.len() * 8 {
            let mut bytes = whole;
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(matches!(Footer::decode(&bytes, length), Err(Wrong::Damaged(_))), "bit {at}");
        }
    }

    #[test]
    fn a_file_of_another_length_or_of_a_newer_version_is_told() {
        let (footer, length) = footer();
        let bytes: [u8; FOOTER_BYTES] = footer.encode().try_into().unwrap();
        for other in [0, length - 1, length + 1] {
            assert!(matches!(Footer::decode(&bytes, other), Err(Wrong::Damaged(_))), "{other}");
        }
        let endless = Footer { table: u64::MAX, ..footer };
        let bytes: [u8; FOOTER_BYTES] = endless.encode().try_into().unwrap();
        assert!(matches!(Footer::decode(&bytes, length), Err(Wrong::Damaged(_))));
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut body = footer.encode()[..24].to_vec();
            change(&mut body);
            let bytes = [seal(body), MAGIC.to_vec()].concat();
            Footer::decode(&bytes.try_into().unwrap(), length)
        };
        assert_eq!(changed(&|_| {}), Ok(footer));
        assert_eq!(changed(&|it| it[20] = 2), Err(Wrong::Newer(2)));
        for (at, value) in [(20, 0), (22, 1), (23, 1)] {
            let outcome = changed(&|it| it[at] = value);
            assert!(matches!(outcome, Err(Wrong::Damaged(_))), "{at}");
        }
    }
}
