//! Determines which segments may hold a match, from the index alone, a page at a time.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use hindsight_index::{Index, View};
use hindsight_segment::{Sequence, any_may_contain};

use super::EntryFilter;
use crate::error::QueryError;

/// How many segments are checked between two chances to stop.
const PAGE: u64 = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// Consecutive segments: the sequence of the first, and their number.
pub(super) type Run = (Sequence, usize);

impl Direction {
    /// Splits a run into the part that comes first, of at most `most` segments, and the rest.
    pub(super) fn split(self, (first, count): Run, most: usize) -> (Run, Option<Run>) {
        let (now, later) = (count.min(most), count.saturating_sub(most));
        let at = |offset: usize| Sequence(first.0 + offset as u64);
        let (now, later) = match self {
            Direction::Forward => ((first, now), (at(now), later)),
            Direction::Backward => ((at(later), now), (first, later)),
        };
        (now, Some(later).filter(|later| later.1 > 0))
    }
}

/// What is left to check: the segments from the first sequence through the last.
#[derive(Debug)]
pub(super) struct Candidates {
    left: RangeInclusive<u64>,
    direction: Direction,
}

impl Candidates {
    pub(super) fn new(left: RangeInclusive<u64>, direction: Direction) -> Self {
        Self { left, direction }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Returns the candidates of the next page, in the direction of the search. A page may have
    /// none.
    pub(super) fn next_page(
        &mut self,
        index: &Index,
        filter: &EntryFilter,
    ) -> Result<Vec<Run>, QueryError> {
        let (first, last) = (*self.left.start(), *self.left.end());
        let page = match self.direction {
            Direction::Forward => first..=last.min(first.saturating_add(PAGE - 1)),
            Direction::Backward => first.max(last.saturating_sub(PAGE - 1))..=last,
        };
        let mut runs = runs(&candidates(&index.view(), filter, page.clone())?);
        if self.direction == Direction::Backward {
            runs.reverse();
        }
        self.left = match self.direction {
            Direction::Forward => page.end().saturating_add(1)..=last,
            Direction::Backward if *page.start() == first => after(last)..=last,
            Direction::Backward => first..=*page.start() - 1,
        };
        Ok(runs)
    }
}

/// Returns the beginning of an empty range that ends with `last`: such a range begins after its
/// end. Sequences are far from the largest number.
fn after(last: u64) -> u64 {
    last.saturating_add(1)
}

/// Returns the candidates of a page, in order.
fn candidates(
    view: &View<'_>,
    filter: &EntryFilter,
    page: RangeInclusive<u64>,
) -> Result<Vec<u64>, QueryError> {
    let mut found = Vec::new();
    let Some((_, hash)) = filter.id else {
        for segment in view.segments_from(*page.start()) {
            let segment = segment.map_err(QueryError::corrupt)?;
            if segment.sequence > *page.end() {
                break;
            }
            if filter.may_hold(&segment) {
                found.push(segment.sequence);
            }
        }
        return Ok(found);
    };
    let mut may_hold: BTreeSet<u64> = page.clone().collect();
    for filters in view.key_filters(page) {
        let (sequence, filters) = filters.map_err(QueryError::corrupt)?;
        if !any_may_contain(&filters, hash).map_err(QueryError::corrupt)? {
            may_hold.remove(&sequence);
        }
    }
    for sequence in may_hold {
        let segment = view.segment(sequence).map_err(QueryError::corrupt)?;
        if segment.is_some_and(|segment| filter.may_hold(&segment)) {
            found.push(sequence);
        }
    }
    Ok(found)
}

fn runs(sequences: &[u64]) -> Vec<Run> {
    sequences
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| (Sequence(run[0]), run.len()))
        .collect()
}
