//! All reads, as of one moment.

use std::ops::RangeInclusive;

use hindsight_oplog::{OpTime, Timestamp};
use hindsight_segment::Sequence;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions, Snapshot};
use serde::de::DeserializeOwned;

use crate::error::{IndexError, PlanError};
use crate::keys::{self, Key, Kind};
use crate::plan::{self, RestorePlan, Window};
use crate::run::Run;
use crate::summary::{BaseSummary, CommandNote, Digest, GapNotice, SegmentSummary};

/// The index as of one moment. A view is cheap to make. Drop it soon, because it keeps superseded
/// values alive.
///
/// Every read returns [`IndexError::Storage`] when the store cannot be read, and
/// [`IndexError::Damaged`] when a stored value cannot be decoded.
pub struct View<'a> {
    pub(crate) snapshot: Snapshot<'a>,
}

/// Where absorbing goes on: the last segment absorbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumePoint {
    /// The segment's number.
    pub sequence: u64,
    /// The segment's writer epoch.
    pub epoch: u64,
    /// The segment's digest.
    pub digest: Digest,
    /// The optime of the segment's last entry.
    pub last: OpTime,
}

type KeyAndValue = (Box<[u8]>, Box<[u8]>);

impl<'a> View<'a> {
    pub(crate) fn new(db: &'a DB) -> Self {
        View { snapshot: db.snapshot() }
    }

    /// Returns the last segment absorbed; `None` for an empty index. This is derived: what the log
    /// says takes precedence, and where they differ the index is truncated
    /// ([`crate::Index::truncate_to`]).
    pub fn resume_point(&self) -> Result<Option<ResumePoint>, IndexError> {
        Ok(self.newest()?.map(|segment| ResumePoint {
            sequence: segment.sequence,
            epoch: segment.epoch,
            digest: segment.digest,
            last: segment.last,
        }))
    }

    /// Returns the last segment held.
    pub fn newest(&self) -> Result<Option<SegmentSummary>, IndexError> {
        self.last_value(Kind::Segment)
    }

    /// Returns the first segment held. The log may have begun before it.
    pub fn oldest(&self) -> Result<Option<SegmentSummary>, IndexError> {
        self.segments_from(0).next().transpose()
    }

    /// Returns the time of the first entry held, when segments before it were removed from the log;
    /// `None` while the log holds everything that was ever captured.
    pub fn begins(&self) -> Result<Option<Timestamp>, IndexError> {
        let oldest = self.oldest()?.filter(|oldest| oldest.sequence > Sequence::FIRST.0);
        Ok(oldest.map(|oldest| oldest.first.ts))
    }

    /// Returns the segment with this number; `None` when it is not held.
    pub fn segment(&self, sequence: u64) -> Result<Option<SegmentSummary>, IndexError> {
        self.value(&Key::Segment(sequence))
    }

    /// Returns the segment whose range includes this optime; `None` between segments, in gaps and
    /// outside the log. This does not say whether the source has an entry with this optime.
    pub fn segment_holding(&self, optime: OpTime) -> Result<Option<SegmentSummary>, IndexError> {
        Ok(self.started_by(optime)?.filter(|segment| optime <= segment.last))
    }

    /// Returns the number of the segment with which the log goes on from this position. That is the
    /// segment whose range includes the position, or, for a position between two segments, the
    /// later one, which may not be held yet. `None` before the oldest segment.
    pub fn sequence_from(&self, optime: OpTime) -> Result<Option<u64>, IndexError> {
        let after_its_end = |segment: &SegmentSummary| u64::from(optime > segment.last);
        let before = self.started_by(optime)?;
        Ok(before.map(|segment| segment.sequence.saturating_add(after_its_end(&segment))))
    }

    /// Returns the segments with this number or a later one, in order.
    pub fn segments_from(
        &self,
        sequence: u64,
    ) -> impl Iterator<Item = Result<SegmentSummary, IndexError>> {
        self.values(Key::Segment(sequence).encode(), Kind::Segment.range().1)
    }

    /// Returns the segments whose range meets `from..=to`, in order.
    pub fn segments_covering(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<impl Iterator<Item = Result<SegmentSummary, IndexError>>, IndexError> {
        let start = match self.started_by(OpTime { ts: from, term: i64::MAX })? {
            Some(segment) if segment.last.ts < from => segment.sequence.saturating_add(1),
            Some(segment) => segment.sequence,
            None => 0,
        };
        let starts_in_time = move |segment: &Result<SegmentSummary, IndexError>| match segment {
            Ok(segment) => segment.first.ts <= to,
            Err(_) => true,
        };
        Ok(self.segments_from(start).take_while(starts_in_time))
    }

    /// Returns the numbers of the first and the last segment whose range meets `from..=to`.
    pub fn sequences_covering(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<(u64, u64)>, IndexError> {
        let first = self.segments_covering(from, to)?.next().transpose()?;
        let last = self.started_by(OpTime { ts: to, term: i64::MAX })?;
        Ok(first.zip(last).map(|(first, last)| (first.sequence, last.sequence)))
    }

    /// Returns the key filters of the segments with these numbers, in order. A segment that was
    /// absorbed without filters is left out: it may hold any key.
    pub fn key_filters(
        &self,
        sequences: RangeInclusive<u64>,
    ) -> impl Iterator<Item = Result<(u64, Box<[u8]>), IndexError>> {
        let start = Key::Filters(*sequences.start()).encode();
        let end = match sequences.end().checked_add(1) {
            Some(end) => Key::Filters(end).encode(),
            None => Kind::Filters.range().1,
        };
        self.scan(start, end).map(|item| {
            let (key, value) = item?;
            match Key::decode(&key) {
                Some(Key::Filters(sequence)) => Ok((sequence, value)),
                _ => Err(IndexError::damaged(&key, "not a key of key filters")),
            }
        })
    }

    /// Returns the maximal stretches of the log without a gap, oldest first.
    pub fn runs(&self) -> Result<Vec<Run>, IndexError> {
        self.all(Kind::Run)
    }

    /// Returns the gaps, oldest first.
    pub fn gaps(&self) -> Result<Vec<GapNotice>, IndexError> {
        self.all(Kind::Gap)
    }

    /// Returns the bases, ordered by name, whether or not the log that they need is held.
    pub fn bases(&self) -> Result<Vec<BaseSummary>, IndexError> {
        self.all(Kind::Base)
    }

    /// Returns the base with this name; `None` when it is not held.
    pub fn base(&self, name: &str) -> Result<Option<BaseSummary>, IndexError> {
        self.value(&Key::Base(name.to_owned()))
    }

    /// Returns the restore windows, oldest first.
    pub fn windows(&self) -> Result<Vec<Window>, IndexError> {
        Ok(plan::windows(&self.runs()?, &self.bases()?))
    }

    /// Returns how to build the state at `at`.
    ///
    /// # Errors
    /// Returns [`PlanError::NotRestorable`] with the reason when the state cannot be exact (I8),
    /// and [`PlanError::Index`] when the index cannot be read.
    pub fn plan(&self, at: Timestamp) -> Result<RestorePlan, PlanError> {
        let (runs, gaps, bases) = (self.runs()?, self.gaps()?, self.bases()?);
        let choice = plan::decide(&runs, &gaps, &bases, at)?;
        let read_from = choice.base.capture_from;
        let first = self.started_by(read_from)?;
        let first = first.ok_or_else(|| no_segment(choice.run, read_from.ts))?;
        let last = self.last_needed(choice.run, at)?;
        Ok(RestorePlan {
            at,
            base: choice.base.clone(),
            read_from,
            first_sequence: first.sequence,
            read_through: last.last,
            last_sequence: last.sequence,
        })
    }

    /// Returns the first segment at whose end every entry up to `at` has been read, and every
    /// transaction prepared up to `at` has been committed or aborted. The decision for `at`
    /// guarantees that this run has such a segment.
    fn last_needed(&self, run: &Run, at: Timestamp) -> Result<SegmentSummary, IndexError> {
        let holding = self.started_by(OpTime { ts: at, term: i64::MAX })?;
        let holding = holding.ok_or_else(|| no_segment(run, at))?;
        for segment in self.segments_from(holding.sequence) {
            let segment = segment?;
            if segment.sequence > run.last_sequence {
                break;
            }
            if segment.oldest_prepared.is_none_or(|prepared| prepared > at) {
                return Ok(segment);
            }
        }
        Err(no_segment(run, at))
    }

    /// Returns the commands (DDL) of entries in `from..=to`. The last one in the log comes first.
    pub fn commands_newest_first(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = Result<CommandNote, IndexError>> {
        let first = OpTime { ts: from, term: i64::MIN };
        let start = Key::Command { optime: first, position: 0 }.encode();
        let last = OpTime { ts: to, term: i64::MAX };
        let last = Key::Command { optime: last, position: u32::MAX }.encode();
        // The range must not end before it begins, whatever the caller asks for.
        let end = keys::end_of_prefix(&last).max(start.clone());
        parsed::<CommandNote>(self.scan_from(IteratorMode::End, start, end))
    }

    /// Returns the last segment whose first entry is at or before this optime.
    fn started_by(&self, optime: OpTime) -> Result<Option<SegmentSummary>, IndexError> {
        let upto = Key::FirstOpTime(optime).encode();
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(Kind::FirstOpTime.range().0);
        let mode = IteratorMode::From(&upto, Direction::Reverse);
        let Some(item) = self.snapshot.iterator_opt(mode, options).next() else {
            return Ok(None);
        };
        let (key, value) = item.map_err(IndexError::storage("read"))?;
        let sequence = keys::read_sequence_value(&value)
            .ok_or_else(|| IndexError::damaged(&key, "not a sequence"))?;
        let segment = self.segment(sequence)?;
        let missing = || IndexError::damaged(&key, format!("segment {sequence} is missing"));
        segment.ok_or_else(missing).map(Some)
    }

    pub(crate) fn value<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, IndexError> {
        let key = key.encode();
        let stored = self.snapshot.get(&key).map_err(IndexError::storage("read"))?;
        stored.map(|bytes| from_json(&key, &bytes)).transpose()
    }

    pub(crate) fn last_value<T: DeserializeOwned>(
        &self,
        kind: Kind,
    ) -> Result<Option<T>, IndexError> {
        let (start, end) = kind.range();
        let mut options = ReadOptions::default();
        options.set_iterate_range(start..end);
        let Some(item) = self.snapshot.iterator_opt(IteratorMode::End, options).next() else {
            return Ok(None);
        };
        let (key, value) = item.map_err(IndexError::storage("read"))?;
        from_json(&key, &value).map(Some)
    }

    fn all<T: DeserializeOwned>(&self, kind: Kind) -> Result<Vec<T>, IndexError> {
        let (start, end) = kind.range();
        self.values(start, end).collect()
    }

    fn values<T: DeserializeOwned>(
        &self,
        start: Vec<u8>,
        end: Vec<u8>,
    ) -> impl Iterator<Item = Result<T, IndexError>> {
        parsed::<T>(self.scan(start, end))
    }

    /// Returns the keys and values from `start` (inclusive) to `end` (exclusive).
    pub(crate) fn scan(
        &self,
        start: Vec<u8>,
        end: Vec<u8>,
    ) -> impl Iterator<Item = Result<KeyAndValue, IndexError>> {
        self.scan_from(IteratorMode::Start, start, end)
    }

    fn scan_from(
        &self,
        mode: IteratorMode<'static>,
        start: Vec<u8>,
        end: Vec<u8>,
    ) -> impl Iterator<Item = Result<KeyAndValue, IndexError>> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(start..end);
        self.snapshot
            .iterator_opt(mode, options)
            .map(|item| item.map_err(IndexError::storage("read")))
    }
}

fn parsed<T: DeserializeOwned>(
    items: impl Iterator<Item = Result<KeyAndValue, IndexError>>,
) -> impl Iterator<Item = Result<T, IndexError>> {
    items.map(|item| item.and_then(|(key, value)| from_json(&key, &value)))
}

fn from_json<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(value).map_err(|error| IndexError::damaged(key, error))
}

/// The run says that the log around `at` is held, but no segment holds it.
fn no_segment(run: &Run, at: Timestamp) -> IndexError {
    let key = Key::Run(run.first_sequence).encode();
    IndexError::damaged(&key, format!("no segment of the run answers for {at}"))
}
