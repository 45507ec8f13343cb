//! Runs: maximal stretches of the log without a gap. All functions are pure.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Serialize};

use crate::serial;
use crate::summary::{GapNotice, SegmentSummary};

/// A maximal stretch of the log without a gap: every entry that the source had from `first` to
/// `last`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The number of the run's first segment.
    pub first_sequence: u64,
    /// The number of the run's last segment.
    pub last_sequence: u64,
    /// The first entry's optime.
    #[serde(with = "serial::optime")]
    pub first: OpTime,
    /// The last entry's optime.
    #[serde(with = "serial::optime")]
    pub last: OpTime,
    /// The oldest prepare that is neither committed nor aborted at the run's end.
    #[serde(with = "serial::timestamp_or_none")]
    pub oldest_prepared: Option<Timestamp>,
    /// The number of entries.
    pub entries: u64,
    /// The length of all entries in bytes, uncompressed.
    pub raw_bytes: u64,
    /// The length of all segments in bytes, as they are stored.
    pub stored_bytes: u64,
}

impl Run {
    /// Returns the run that starts with this segment.
    pub(crate) fn start(segment: &SegmentSummary) -> Run {
        Run {
            first_sequence: segment.sequence,
            last_sequence: segment.sequence,
            first: segment.first,
            last: segment.last,
            oldest_prepared: segment.oldest_prepared,
            entries: segment.entries,
            raw_bytes: segment.raw_bytes,
            stored_bytes: segment.stored_bytes,
        }
    }

    /// Returns this run, longer by the segment that follows its last one without a gap. `None` when
    /// a total does not fit, which no real segment brings about.
    pub(crate) fn extended(&self, segment: &SegmentSummary) -> Option<Run> {
        self.ending_with(segment, segment, u64::checked_add)
    }

    /// Returns this run without its last segment, whose predecessor is `before`. `None` if the run
    /// had only that segment, or does not contain what is taken from it.
    pub(crate) fn shortened(&self, last: &SegmentSummary, before: &SegmentSummary) -> Option<Run> {
        if self.first_sequence > before.sequence {
            return None;
        }
        self.ending_with(before, last, u64::checked_sub)
    }

    /// Returns this run without its first segment, which `second` follows. `None` if the run does
    /// not contain what is taken from it.
    pub(crate) fn without_first(
        &self,
        first: &SegmentSummary,
        second: &SegmentSummary,
    ) -> Option<Run> {
        Some(Run {
            first_sequence: second.sequence,
            first: second.first,
            entries: self.entries.checked_sub(first.entries)?,
            raw_bytes: self.raw_bytes.checked_sub(first.raw_bytes)?,
            stored_bytes: self.stored_bytes.checked_sub(first.stored_bytes)?,
            ..self.clone()
        })
    }

    /// Returns this run with another end. `total` joins each total with that of the segment that
    /// came or went.
    fn ending_with(
        &self,
        end: &SegmentSummary,
        changed: &SegmentSummary,
        total: impl Fn(u64, u64) -> Option<u64>,
    ) -> Option<Run> {
        Some(Run {
            first_sequence: self.first_sequence,
            last_sequence: end.sequence,
            first: self.first,
            last: end.last,
            oldest_prepared: end.oldest_prepared,
            entries: total(self.entries, changed.entries)?,
            raw_bytes: total(self.raw_bytes, changed.raw_bytes)?,
            stored_bytes: total(self.stored_bytes, changed.stored_bytes)?,
        })
    }

    /// Returns the last time whose state this run determines. That is its last entry, or the time
    /// just before the oldest prepare that is neither committed nor aborted: the prepare may become
    /// visible from its own `ts` on (I7).
    pub fn restorable_end(&self) -> Timestamp {
        self.oldest_prepared.map_or(self.last.ts, Timestamp::predecessor)
    }

    /// Returns whether `at` is neither before the first entry nor after the last one.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.first.ts <= at && at <= self.last.ts
    }
}

/// Checks whether `next` extends the log that ends with `held`, and returns the reason when it does
/// not.
///
/// Sequence, chain, epoch and time move forward (I3, I6), a gap starts where the log ended, and
/// nothing that was published as restorable is taken back (I7).
pub(crate) fn check_follows(held: &SegmentSummary, next: &SegmentSummary) -> Result<(), String> {
    if next.predecessor != held.digest {
        return Err("it names another predecessor than the segment held before it".to_owned());
    }
    if next.epoch < held.epoch {
        return Err(format!("writer epoch {} follows epoch {}", next.epoch, held.epoch));
    }
    if next.first.ts <= held.last.ts {
        return Err(format!("starts at {}, the log held ends at {}", next.first, held.last));
    }
    match &next.gap_before {
        Some(gap) => check_gap_starts(held, gap),
        None => check_nothing_taken_back(held, next),
    }
}

fn check_gap_starts(held: &SegmentSummary, gap: &GapNotice) -> Result<(), String> {
    if gap.after == held.last {
        return Ok(());
    }
    Err(format!("its gap starts after {}, the log held ends at {}", gap.after, held.last))
}

fn check_nothing_taken_back(held: &SegmentSummary, next: &SegmentSummary) -> Result<(), String> {
    let (before, after) = (Run::start(held).restorable_end(), Run::start(next).restorable_end());
    if before <= after {
        return Ok(());
    }
    Err(format!("restorable through {before} before it, only through {after} with it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{gap, segment};

    #[test]
    fn a_run_ends_short_of_the_oldest_open_prepare() {
        let mut run = Run::start(&segment(1, 10, 20));
        assert_eq!(run.restorable_end(), Timestamp::new(20, 0));
        run.oldest_prepared = Some(Timestamp::new(15, 3));
        assert_eq!(run.restorable_end(), Timestamp::new(15, 2));
    }

    #[test]
    fn shortening_undoes_extending() {
        let (one, two) = (segment(1, 10, 20), segment(2, 21, 30));
        let run = Run::start(&one);
        let longer = run.extended(&two).expect("small totals");
        assert_eq!((longer.first, longer.last, longer.entries), (one.first, two.last, 4));
        assert_eq!(longer.shortened(&two, &one), Some(run.clone()));
        assert_eq!(Run::start(&two).shortened(&two, &one), None);
    }

    #[test]
    fn totals_that_do_not_fit_are_refused() {
        let mut vast = segment(2, 21, 30);
        vast.raw_bytes = u64::MAX;
        assert_eq!(Run::start(&segment(1, 10, 20)).extended(&vast), None);
    }

    #[test]
    fn what_follows_and_what_does_not() {
        let held = SegmentSummary {
            epoch: 5,
            oldest_prepared: Some(Timestamp::new(15, 1)),
            ..segment(1, 10, 20)
        };
        let good = SegmentSummary { epoch: 5, ..segment(2, 21, 30) };
        let with = |change: fn(&mut SegmentSummary)| {
            let mut next = good.clone();
            change(&mut next);
            check_follows(&held, &next)
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|s| s.epoch = 9), Ok(()));
        assert_eq!(with(|s| s.gap_before = Some(gap(20, 21))), Ok(()));
        assert_eq!(with(|s| s.oldest_prepared = Some(Timestamp::new(15, 1))), Ok(()));

        let refused = |change, words: &str| {
            let reason = with(change).expect_err(words);
            assert!(reason.contains(words), "{reason}");
        };
        refused(|s| s.predecessor = [9; 32], "another predecessor");
        refused(|s| s.epoch = 4, "epoch 4 follows epoch 5");
        refused(|s| s.first = OpTime::new(20, 0, 1), "starts at 20,0");
        refused(|s| s.gap_before = Some(gap(19, 21)), "gap starts after 19,0");
        refused(|s| s.oldest_prepared = Some(Timestamp::new(15, 0)), "only through 14,");
    }
}
