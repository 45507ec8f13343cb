//! Decides which files become a pack.
//!
//! Segments are packed twice: soon into small packs, and these into large ones once they fill one.
//! So there are few files at any time, and every byte is copied twice at most.

use std::ops::Range;

use hindsight_segment::Sequence;

use super::names::LogFile;
use crate::error::LogError;

/// How segments are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackLimits {
    /// How many segments a pack holds at most.
    pub segments: u32,
    /// How long the segments of a pack are together at most, in bytes. A longer segment is never
    /// packed with others.
    pub bytes: u64,
    /// How many segments with files of their own become a pack at least. Fewer are packed only
    /// when a pack follows them.
    pub fewest: u32,
    /// How many of the newest segments keep files of their own; at least 1.
    pub newest: u32,
}

impl Default for PackLimits {
    /// An hour of segments that are cut every 250 ms, or 512 MiB; small packs of a minute.
    fn default() -> Self {
        Self { segments: 14_400, bytes: 512 << 20, fewest: 240, newest: 240 }
    }
}

impl PackLimits {
    /// Returns the oldest run of `files` that is to become a pack. `first` is the log's first
    /// segment: a pack that begins before it stays as it is. `bytes` returns the length of a file.
    ///
    /// The run may be longer than a pack of that many bytes: the lengths of single segments are
    /// found only when they are copied.
    pub(super) fn choose(
        &self,
        files: &[LogFile],
        first: Sequence,
        bytes: &dyn Fn(&LogFile) -> Result<u64, LogError>,
    ) -> Result<Option<Range<usize>>, LogError> {
        if let Some(singles) = self.singles(files) {
            return Ok(Some(singles));
        }
        let mut run = 0..0;
        let (mut segments, mut length) = (0, 0);
        for (at, file) in files.iter().enumerate() {
            let is_small = matches!(file, LogFile::Pack(_)) && file.begins() >= first;
            let is_small = is_small && file.segments() * 2 <= u64::from(self.segments);
            let added = if is_small { Some(bytes(file)?) } else { None };
            let added = added.filter(|added| *added <= self.bytes / 2);
            let fits = added.is_some_and(|added| {
                segments + file.segments() <= u64::from(self.segments)
                    && length + added <= self.bytes
            });
            // Segments that follow may still become a pack of this run.
            let is_open = fits || matches!(file, LogFile::Segment(_));
            if !is_open && run.len() > 1 {
                return Ok(Some(run));
            }
            if !fits {
                (run, segments, length) = (at..at, 0, 0);
            }
            if let Some(added) = added {
                run.end = at + 1;
                segments += file.segments();
                length += added;
                if segments == u64::from(self.segments) && run.len() > 1 {
                    return Ok(Some(run));
                }
            } else {
                run = at + 1..at + 1;
            }
        }
        Ok(None)
    }

    /// Returns the oldest run of segments with files of their own that is to become a pack.
    fn singles(&self, files: &[LogFile]) -> Option<Range<usize>> {
        let is_pack = |file: &LogFile| matches!(file, LogFile::Pack(_));
        let last = files.last()?.ends().0;
        let newest = u64::from(self.newest.max(1));
        let mut begin = 0;
        while begin < files.len() {
            let length = files[begin..].iter().take_while(|file| !is_pack(file)).count();
            let end = begin + length;
            // A run that a pack follows gets no longer.
            let (old, fewest) = match files.get(end) {
                Some(_) => (length, 2),
                None => {
                    let is_old = |file: &LogFile| file.ends().0 + newest <= last;
                    let old = files[begin..].partition_point(is_old);
                    (old, self.fewest.max(2) as usize)
                }
            };
            if old >= fewest {
                return Some(begin..begin + old.min(self.segments.max(1) as usize));
            }
            begin = end + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use hindsight_oplog::Timestamp;

    use super::super::names::{PackName, SegmentName};
    use super::*;

    const LIMITS: PackLimits = PackLimits { segments: 20, bytes: 2000, fewest: 3, newest: 2 };

    /// Returns files that hold as many segments as the numbers say; 1 is a segment's own file.
    fn files(segments: &[u64]) -> Vec<LogFile> {
        let at = Timestamp::new(1, 1);
        let mut next = 1;
        let file = |count: &u64| {
            let (begins, ends) = (Sequence(next), Sequence(next + count - 1));
            next += count;
            match count {
                1 => LogFile::Segment(SegmentName { sequence: begins, first: at, last: at }),
                _ => LogFile::Pack(PackName { begins, ends, first: at, last: at }),
            }
        };
        segments.iter().map(file).collect()
    }

    fn chosen(segments: &[u64]) -> Option<Range<usize>> {
        let bytes = |file: &LogFile| Ok(file.segments() * 10);
        LIMITS.choose(&files(segments), Sequence(1), &bytes).unwrap()
    }

    #[test]
    fn segments_are_packed_when_enough_of_them_are_old() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&[1; 4]), None);
        assert_eq!(chosen(&[1; 5]), Some(0..3));
        assert_eq!(chosen(&[20, 1, 1, 1, 1]), None);
        assert_eq!(chosen(&[20, 1, 1, 1, 1, 1, 1]), Some(1..5));
        assert_eq!(chosen(&[1; 100]), Some(0..20), "no more than a pack holds");
        assert_eq!(chosen(&[3, 1, 1, 3, 1, 1]), Some(1..3), "it gets no longer");
        assert_eq!(chosen(&[3, 1, 3, 1, 1]), None, "one segment is one file anyway");
    }

    #[test]
    fn small_packs_become_one_when_they_fill_it() {
        assert_eq!(chosen(&[5, 5, 5, 1]), None, "the next one might fit");
        assert_eq!(chosen(&[5, 5, 5, 6, 1]), Some(0..3));
        assert_eq!(chosen(&[5, 5, 5, 5, 1]), Some(0..4));
        assert_eq!(chosen(&[20, 5, 5, 5, 1]), None);
        assert_eq!(chosen(&[20, 5, 5, 11, 1]), Some(1..3), "a large pack ends the run");
        assert_eq!(chosen(&[11, 5, 11, 5, 1]), None);
        assert_eq!(chosen(&[11, 6, 6, 6, 6, 1]), Some(1..4), "a large pack is not copied again");
    }

    #[test]
    fn long_packs_count_by_their_bytes() {
        let files = files(&[5, 5, 2, 2, 2, 1]);
        let choose = |bytes: u64| LIMITS.choose(&files, Sequence(1), &|_| Ok(bytes)).unwrap();
        assert_eq!(choose(1001), None, "each is large");
        assert_eq!(choose(1000), Some(0..2));
        assert_eq!(choose(500), Some(0..4));
        assert_eq!(choose(400), None);
        let from = |first: u64| LIMITS.choose(&files, Sequence(first), &|_| Ok(800)).unwrap();
        assert_eq!(from(1), Some(0..2));
        assert_eq!(from(2), Some(1..3), "a pack that the log begins in stays");
    }

    /// As a process does: four segments a second, and a look now and then.
    #[test]
    fn a_year_is_few_files_and_nothing_is_copied_more_than_twice() {
        const HOURS: u64 = 50;
        let limits = PackLimits::default();
        let (mut held, mut copied): (Vec<LogFile>, u64) = (Vec::new(), 0);
        let at = Timestamp::new(1, 1);
        let mut most = 0;
        for sequence in 1..=HOURS * 14_400 {
            held.push(LogFile::Segment(SegmentName {
                sequence: Sequence(sequence),
                first: at,
                last: at,
            }));
            if sequence % 37 != 0 {
                continue;
            }
            let bytes = |file: &LogFile| Ok(file.segments() * 4000);
            while let Some(run) = limits.choose(&held, Sequence(1), &bytes).unwrap() {
                let (begins, ends) = (held[run.start].begins(), held[run.end - 1].ends());
                copied += ends.0 - begins.0 + 1;
                let name = PackName { begins, ends, first: at, last: at };
                held.splice(run, [LogFile::Pack(name)]);
            }
            most = most.max(held.len() as u64);
        }
        assert!(most <= HOURS + 700, "{most} files");
        assert!(copied <= 2 * HOURS * 14_400, "{copied} segments copied");
    }
}
