//! Names of the files that hold segments.
//!
//! A segment's own file is `SEQUENCE-FIRST-LAST.seg`, as in
//! `000000000042-1700000000_1-1700000003_7.seg`. A pack also names the sequence of its last
//! segment: `000000000001-000000014400-1700000000_1-1700003600_9.pack`. Sequences have twelve
//! digits, so that the order of the names is the order of the segments.

use std::cmp::Reverse;
use std::fmt;

use hindsight_oplog::Timestamp;
use hindsight_segment::{SegmentInfo, Sequence};

const SEGMENT_SUFFIX: &str = ".seg";
const PACK_SUFFIX: &str = ".pack";
const TEMPORARY_SUFFIX: &str = ".tmp";
const SEQUENCE_DIGITS: usize = 12;

/// The name of a segment's own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentName {
    pub(super) sequence: Sequence,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// The name of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackName {
    /// The sequence of the first segment.
    pub(super) begins: Sequence,
    /// The sequence of the last segment.
    pub(super) ends: Sequence,
    /// The timestamp of the first segment's first entry.
    pub(super) first: Timestamp,
    /// The timestamp of the last segment's last entry.
    pub(super) last: Timestamp,
}

/// A file that holds one segment, or a run of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFile {
    Segment(SegmentName),
    Pack(PackName),
}

/// What the name of a file in the directory says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Log(LogFile),
    /// A write that has not ended, or never will.
    Temporary,
    /// The name ends like the name of a file of the log, and is none.
    Misspelt,
    /// The file is not the log's.
    Foreign,
}

impl SegmentName {
    pub(super) fn of(info: &SegmentInfo) -> Self {
        Self { sequence: info.sequence(), first: info.first().ts, last: info.last().ts }
    }
}

impl LogFile {
    /// Returns the sequence of the first segment that the file holds.
    pub(super) fn begins(&self) -> Sequence {
        match self {
            Self::Segment(name) => name.sequence,
            Self::Pack(name) => name.begins,
        }
    }

    /// Returns the sequence of the last segment that the file holds.
    pub(super) fn ends(&self) -> Sequence {
        match self {
            Self::Segment(name) => name.sequence,
            Self::Pack(name) => name.ends,
        }
    }

    /// Returns how many segments the file holds.
    pub(super) fn segments(&self) -> u64 {
        self.ends().0 - self.begins().0 + 1
    }

    /// Returns the timestamps of the first entry and of the last one.
    pub(super) fn timestamps(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Segment(SegmentName { first, last, .. })
            | Self::Pack(PackName { first, last, .. }) => (*first, *last),
        }
    }

    /// Returns whether the file is a pack that holds every segment of the other file.
    pub(super) fn covers(&self, other: &Self) -> bool {
        matches!(self, Self::Pack(_))
            && self.begins() <= other.begins()
            && other.ends() <= self.ends()
    }

    /// Returns what files are sorted by: a file that covers another comes before it.
    pub(super) fn place(&self) -> impl Ord + use<> {
        let is_segment = matches!(self, Self::Segment(_));
        (self.begins(), Reverse(self.ends()), is_segment, self.timestamps())
    }

    /// Returns the name that the file has until it is complete.
    pub(super) fn temporary(&self) -> String {
        format!("{self}{TEMPORARY_SUFFIX}")
    }
}

impl Found {
    pub(super) fn of(file_name: &str) -> Self {
        let is_log = |name: &str| name.ends_with(SEGMENT_SUFFIX) || name.ends_with(PACK_SUFFIX);
        if file_name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(is_log) {
            Self::Temporary
        } else if is_log(file_name) {
            parse(file_name).map_or(Self::Misspelt, Self::Log)
        } else {
            Self::Foreign
        }
    }
}

/// Parses a name that [`fmt::Display`] wrote. Returns None for any other spelling.
fn parse(file_name: &str) -> Option<LogFile> {
    let file = match file_name.strip_suffix(PACK_SUFFIX) {
        Some(stem) => {
            let mut parts = stem.split('-');
            let (begins, ends) = (sequence(parts.next()?)?, sequence(parts.next()?)?);
            let (first, last) = (timestamp(parts.next()?)?, timestamp(parts.next()?)?);
            LogFile::Pack((begins <= ends).then_some(PackName { begins, ends, first, last })?)
        }
        None => {
            let mut parts = file_name.strip_suffix(SEGMENT_SUFFIX)?.split('-');
            let sequence = sequence(parts.next()?)?;
            let (first, last) = (timestamp(parts.next()?)?, timestamp(parts.next()?)?);
            LogFile::Segment(SegmentName { sequence, first, last })
        }
    };
    (file.to_string() == file_name).then_some(file)
}

fn sequence(text: &str) -> Option<Sequence> {
    // One more must fit: the next segment's.
    text.parse().ok().filter(|it| *it < u64::MAX).map(Sequence)
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let (seconds, increment) = text.split_once('_')?;
    Some(Timestamp::new(seconds.parse().ok()?, increment.parse().ok()?))
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0SEQUENCE_DIGITS$}", self.begins().0)?;
        if let Self::Pack(name) = self {
            write!(f, "-{:0SEQUENCE_DIGITS$}", name.ends.0)?;
        }
        let (first, last) = self.timestamps();
        for at in [first, last] {
            write!(f, "-{}_{}", at.seconds(), at.increment())?;
        }
        f.write_str(match self {
            Self::Segment(_) => SEGMENT_SUFFIX,
            Self::Pack(_) => PACK_SUFFIX,
        })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LogFile::Segment(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Timestamp = Timestamp::new(1_700_000_000, 1);
    const LAST: Timestamp = Timestamp::new(1_700_000_003, 7);

    fn segment(sequence: u64) -> LogFile {
        LogFile::Segment(SegmentName { sequence: Sequence(sequence), first: FIRST, last: LAST })
    }

    fn pack(begins: u64, ends: u64) -> LogFile {
        let (begins, ends) = (Sequence(begins), Sequence(ends));
        LogFile::Pack(PackName { begins, ends, first: FIRST, last: LAST })
    }

    #[test]
    fn names_read_back_and_sort_by_sequence() {
        for (file, text) in [
            (segment(42), "000000000042-1700000000_1-1700000003_7.seg"),
            (pack(42, 1300), "000000000042-000000001300-1700000000_1-1700000003_7.pack"),
        ] {
            assert_eq!(file.to_string(), text);
            assert_eq!(Found::of(text), Found::Log(file));
            assert_eq!(Found::of(&file.temporary()), Found::Temporary);
        }
        assert!(segment(99).to_string() < segment(100).to_string());
        assert!(pack(99, 200).to_string() < pack(100, 101).to_string());
    }

    #[test]
    fn a_file_comes_after_the_packs_that_cover_it() {
        let sorted = [pack(1, 9), pack(1, 4), segment(1), segment(2), pack(5, 5), segment(5)];
        assert!(sorted.is_sorted_by_key(LogFile::place));
        assert!(sorted[1..].iter().all(|file| sorted[0].covers(file)));
        assert!(!segment(5).covers(&pack(5, 5)) && !pack(1, 4).covers(&pack(4, 5)));
        assert_eq!((pack(5, 9).segments(), segment(5).segments()), (5, 1));
    }

    #[test]
    fn other_spellings_are_no_names() {
        for text in [
            ".seg",
            "42-1_1-1_2.seg",
            "000000000042-01_1-1_2.seg",
            "000000000042-1_1.seg",
            "000000000042-1_1-1_2-3_3.seg",
            "+00000000042-1_1-1_2.seg",
            "000000000042-1_1-1_99999999999.seg",
            "00000000004x-1_1-1_2.seg",
            "18446744073709551615-1_1-1_2.seg",
            ".pack",
            "000000000042-1_1-1_2.pack",
            "000000000042-000000000041-1_1-1_2.pack",
            "000000000042-43-1_1-1_2.pack",
        ] {
            assert_eq!(Found::of(text), Found::Misspelt, "{text:?}");
        }
        for text in ["", "seg", "notes.txt", "old.seg.bak", "BEGINNING.tmp", "a.tmp"] {
            assert_eq!(Found::of(text), Found::Foreign, "{text:?}");
        }
    }
}
