//! Names of segment files: `SEQUENCE-FIRST-LAST.seg`, as in
//! `000000000042-1700000000_1-1700000003_7.seg`.
//!
//! The sequence has twelve digits, so that the order of the names is the order of the segments.

use std::fmt;

use hindsight_oplog::Timestamp;
use hindsight_segment::{SegmentInfo, Sequence};

pub(super) const SUFFIX: &str = ".seg";
pub(super) const TEMPORARY_SUFFIX: &str = ".seg.tmp";
const SEQUENCE_DIGITS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) sequence: Sequence,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl SegmentName {
    pub(super) fn of(info: &SegmentInfo) -> Self {
        Self { sequence: info.sequence(), first: info.first().ts, last: info.last().ts }
    }

    /// Parses a name that [`fmt::Display`] wrote. Returns None for any other spelling.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(SUFFIX)?.split('-');
        let sequence = Sequence(parts.next()?.parse().ok()?);
        let (first, last) = (timestamp(parts.next()?)?, timestamp(parts.next()?)?);
        let name = Self { sequence, first, last };
        (name.to_string() == file_name).then_some(name)
    }

    pub(super) fn temporary(&self) -> String {
        format!("{self}.tmp")
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first, self.last);
        write!(
            f,
            "{:0SEQUENCE_DIGITS$}-{}_{}-{}_{}{SUFFIX}",
            self.sequence.0,
            first.seconds(),
            first.increment(),
            last.seconds(),
            last.increment()
        )
    }
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let (seconds, increment) = text.split_once('_')?;
    Some(Timestamp::new(seconds.parse().ok()?, increment.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_sort_by_sequence() {
        let name = |sequence| SegmentName {
            sequence: Sequence(sequence),
            first: Timestamp::new(1_700_000_000, 1),
            last: Timestamp::new(1_700_000_003, 7),
        };
        let text = name(42).to_string();
        assert_eq!(text, "000000000042-1700000000_1-1700000003_7.seg");
        assert_eq!(SegmentName::parse(&text), Some(name(42)));
        assert!(name(99).to_string() < name(100).to_string());
    }

    #[test]
    fn other_spellings_are_no_names() {
        for text in [
            "",
            ".seg",
            "42-1_1-1_2.seg",
            "000000000042-1_1-1_2.seg.tmp",
            "000000000042-01_1-1_2.seg",
            "000000000042-1_1.seg",
            "000000000042-1_1-1_2-3_3.seg",
            "+00000000042-1_1-1_2.seg",
            "000000000042-1_1-1_99999999999.seg",
            "00000000004x-1_1-1_2.seg",
        ] {
            assert_eq!(SegmentName::parse(text), None, "{text:?}");
        }
    }
}
