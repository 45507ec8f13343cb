//! Operations per namespace and time.
//!
//! A segment says how many operations it holds per namespace, but not when each happened. All of
//! them are attributed to the second of the `ts` of the segment's first entry. Segments are cut by
//! age after a fraction of a second, so this is exact to about a second while capture keeps up.
//! While capture catches up, a segment spans whatever time its bytes span, and a bucket's counts
//! may belong to the buckets just after it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use hindsight_oplog::Timestamp;
use rocksdb::{ReadOptions, WriteBatch};

use crate::error::IndexError;
use crate::keys::{self, Key};
use crate::summary::{NamespaceCounts, SegmentSummary};
use crate::view::View;

/// Numbers of operations, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCounts {
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    pub commands: u64,
    pub noops: u64,
}

impl OperationCounts {
    /// Returns the number of all operations except no-ops.
    pub fn changes(&self) -> u64 {
        self.inserts + self.updates + self.deletes + self.commands
    }
}

/// Operations on one namespace in one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// The start of the bucket in seconds since 1970. It is a multiple of the bucket's length.
    pub start_seconds: u32,
    /// The namespace.
    pub ns: String,
    /// The operations on the namespace in the bucket.
    pub counts: OperationCounts,
}

/// The length of the stored buckets, in seconds.
const STORED_BUCKET: u32 = 60;

/// The most rows that one answer may have: some 100 MB with long namespaces.
const ROWS_MAX: usize = 500_000;

/// Decides by namespace and kind which operations are asked for.
type Wanted<'a> = dyn Fn(&str, &OperationCounts) -> bool + 'a;

impl View<'_> {
    /// Returns operations per bucket and namespace, ordered by bucket, then namespace. Rows that
    /// are all zero or not `wanted` are left out. Only namespaces that start with `ns_prefix` are
    /// read.
    ///
    /// `from..=to` is widened to whole buckets. Buckets of whole minutes are read from stored sums.
    /// Other lengths are summed up from the segments, which is exact too, but takes longer.
    ///
    /// # Errors
    /// Returns [`IndexError::TooManyRows`] when the answer would have more than 500,000 rows.
    pub fn timeline(
        &self,
        ns_prefix: &str,
        from: Timestamp,
        to: Timestamp,
        bucket_seconds: NonZeroU32,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<TimelineRow>, IndexError> {
        let length = bucket_seconds.get();
        let start_of = |seconds: u32| seconds - seconds % length;
        let start = start_of(from.seconds());
        let end = start_of(to.seconds()).saturating_add(length - 1);
        let mut rows = Rows { length, most: ROWS_MAX, wanted, found: BTreeMap::new() };
        if length.is_multiple_of(STORED_BUCKET) {
            let minutes = start / STORED_BUCKET..=end / STORED_BUCKET;
            self.add_stored(ns_prefix, minutes, &mut rows)?;
        } else {
            self.add_from_segments(ns_prefix, start..=end, &mut rows)?;
        }
        Ok(rows.into_rows())
    }

    /// In each namespace, seeks to the first minute asked for. After the last one, seeks to the
    /// next namespace.
    fn add_stored(
        &self,
        ns_prefix: &str,
        minutes: RangeInclusive<u32>,
        rows: &mut Rows<'_>,
    ) -> Result<(), IndexError> {
        let start = keys::counts_prefix(ns_prefix);
        let mut options = ReadOptions::default();
        options.set_iterate_range(start.clone()..keys::end_of_prefix(&start));
        let mut cursor = self.snapshot.raw_iterator_opt(options);
        cursor.seek(&start);
        while let Some((key, value)) = cursor.item() {
            let (ns, minute) = read_key(key)?;
            if minute < *minutes.start() {
                cursor.seek(Key::Counts { ns, minute: *minutes.start() }.encode());
            } else if minute > *minutes.end() {
                let last = Key::Counts { ns, minute: u32::MAX }.encode();
                cursor.seek(keys::end_of_prefix(&last));
            } else {
                let counts = OperationCounts::read(key, value)?;
                rows.add(minute * STORED_BUCKET, &ns, counts)?;
                cursor.next();
            }
        }
        cursor.status().map_err(IndexError::storage("read"))
    }

    fn add_from_segments(
        &self,
        ns_prefix: &str,
        seconds: RangeInclusive<u32>,
        rows: &mut Rows<'_>,
    ) -> Result<(), IndexError> {
        let from = Timestamp::new(*seconds.start(), 0);
        let to = Timestamp::new(*seconds.end(), u32::MAX);
        for segment in self.segments_covering(from, to)? {
            let segment = segment?;
            if segment.first.ts < from {
                continue;
            }
            for counts in segment.counts.iter().filter(|counts| counts.ns.starts_with(ns_prefix)) {
                rows.add(segment.first.ts.seconds(), &counts.ns, counts.into())?;
            }
        }
        Ok(())
    }
}

/// Adds a segment's counts to the stored sums. The segment must not have been added before.
pub(crate) fn add(
    view: &View<'_>,
    batch: &mut WriteBatch,
    segment: &SegmentSummary,
) -> Result<(), IndexError> {
    for (key, change) in changes(segment)? {
        let held = stored(view, &key)?;
        match held.checked_add(change) {
            Some(sum) => batch.put(&key, sum.to_bytes()),
            None => segment.invalid("its counts exceed what can be counted".to_owned())?,
        }
    }
    Ok(())
}

/// Undoes [`add`], down to the byte.
pub(crate) fn subtract(
    view: &View<'_>,
    batch: &mut WriteBatch,
    segment: &SegmentSummary,
) -> Result<(), IndexError> {
    for (key, change) in changes(segment)? {
        let rest = stored(view, &key)?.checked_sub(change);
        let rest = rest.ok_or_else(|| IndexError::damaged(&key, "less than its segments hold"))?;
        if rest == OperationCounts::default() {
            batch.delete(&key);
        } else {
            batch.put(&key, rest.to_bytes());
        }
    }
    Ok(())
}

/// Returns what a segment adds to which keys. Each key occurs once, because a batch does not see
/// its own writes.
fn changes(segment: &SegmentSummary) -> Result<BTreeMap<Vec<u8>, OperationCounts>, IndexError> {
    let minute = segment.first.ts.seconds() / STORED_BUCKET;
    let mut changes: BTreeMap<Vec<u8>, OperationCounts> = BTreeMap::new();
    for counts in &segment.counts {
        let change = OperationCounts::from(counts);
        if change == OperationCounts::default() {
            continue;
        }
        let sum =
            changes.entry(Key::Counts { ns: counts.ns.clone(), minute }.encode()).or_default();
        match sum.checked_add(change) {
            Some(total) => *sum = total,
            None => segment.invalid("its counts exceed what can be counted".to_owned())?,
        }
    }
    Ok(changes)
}

fn stored(view: &View<'_>, key: &[u8]) -> Result<OperationCounts, IndexError> {
    match view.snapshot.get(key).map_err(IndexError::storage("read"))? {
        Some(bytes) => OperationCounts::read(key, &bytes),
        None => Ok(OperationCounts::default()),
    }
}

fn read_key(key: &[u8]) -> Result<(String, u32), IndexError> {
    match Key::decode(key) {
        Some(Key::Counts { ns, minute }) => Ok((ns, minute)),
        _ => Err(IndexError::damaged(key, "not a key of operation counts")),
    }
}

/// The sums that become an answer.
struct Rows<'a> {
    length: u32,
    most: usize,
    wanted: &'a Wanted<'a>,
    found: BTreeMap<(u32, String), OperationCounts>,
}

impl Rows<'_> {
    /// Adds counts to the answer. Only rows that are asked for count towards the limit.
    fn add(&mut self, seconds: u32, ns: &str, counts: OperationCounts) -> Result<(), IndexError> {
        if counts == OperationCounts::default() || !(self.wanted)(ns, &counts) {
            return Ok(());
        }
        let key = (seconds - seconds % self.length, ns.to_owned());
        let sum = self.found.entry(key).or_default();
        *sum = sum.saturating_add(counts);
        if self.found.len() > self.most {
            return Err(IndexError::TooManyRows { limit: self.most });
        }
        Ok(())
    }

    fn into_rows(self) -> Vec<TimelineRow> {
        let row = |((start_seconds, ns), counts)| TimelineRow { start_seconds, ns, counts };
        self.found.into_iter().map(row).collect()
    }
}

impl OperationCounts {
    fn from_array([inserts, updates, deletes, commands, noops]: [u64; 5]) -> Self {
        OperationCounts { inserts, updates, deletes, commands, noops }
    }

    fn to_array(self) -> [u64; 5] {
        [self.inserts, self.updates, self.deletes, self.commands, self.noops]
    }

    fn checked_add(self, other: Self) -> Option<Self> {
        self.combine(other, u64::checked_add)
    }

    fn checked_sub(self, other: Self) -> Option<Self> {
        self.combine(other, u64::checked_sub)
    }

    fn saturating_add(self, other: Self) -> Self {
        self.combine(other, |a, b| Some(a.saturating_add(b))).unwrap_or(self)
    }

    fn combine(self, other: Self, with: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        let mut numbers = self.to_array();
        for (number, change) in numbers.iter_mut().zip(other.to_array()) {
            *number = with(*number, change)?;
        }
        Some(Self::from_array(numbers))
    }

    fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        for (slot, number) in bytes.chunks_exact_mut(8).zip(self.to_array()) {
            slot.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn read(key: &[u8], bytes: &[u8]) -> Result<Self, IndexError> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let numbers: Result<&[[u8; 8]; 5], _> = numbers.try_into();
        match numbers {
            Ok(numbers) if rest.is_empty() => Ok(Self::from_array(numbers.map(u64::from_be_bytes))),
            _ => Err(IndexError::damaged(key, "not five numbers")),
        }
    }
}

impl From<&NamespaceCounts> for OperationCounts {
    fn from(counts: &NamespaceCounts) -> Self {
        Self::from_array([
            counts.inserts,
            counts.updates,
            counts.deletes,
            counts.commands,
            counts.noops,
        ])
    }
}

#[cfg(test)]
mod tests;
