//! Plans which parts of the log show what became visible between two times.
//!
//! Almost all of it lies between the two times. The exceptions are:
//!
//! - A transaction that began before the span and ends in it. Its entries are linked backwards, so
//!   its later entries must be seen, whatever collections they write to.
//! - A transaction that was prepared before the span and becomes visible in it (by its
//!   `commitTimestamp`), and whose commit entry comes after the span. The log is read on until
//!   everything prepared before the span is decided. A transaction prepared in the span needs no
//!   such reading: its entries are taken whether or not it was committed.

use std::collections::HashSet;

use hindsight_index::SegmentSummary;
use hindsight_oplog::Timestamp;
use hindsight_segment::{FrameInfo, KeyFilter, Sequence};

/// The times after `after`, up to and including `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) after: Timestamp,
    pub(super) through: Timestamp,
}

impl Span {
    pub(super) fn between(one: Timestamp, other: Timestamp) -> Self {
        Span { after: one.min(other), through: one.max(other) }
    }

    pub(super) fn holds(&self, ts: Timestamp) -> bool {
        self.after < ts && ts <= self.through
    }

    pub(super) fn is_empty(&self) -> bool {
        self.after == self.through
    }
}

/// What is looked for in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// Any entry after the beginning of the span: a transaction that began before the span may
    /// continue or end here.
    Everything,
    /// Operations on documents in the span.
    Writes,
    /// Commits of what was prepared before the span. The segment lies after the span.
    Commits,
}

impl Interest {
    pub(super) fn wants(self, frame: &FrameInfo, span: Span) -> bool {
        let reaches_in = frame.last.ts > span.after;
        match self {
            Self::Everything | Self::Commits => reaches_in,
            Self::Writes => {
                let writes = frame.filter != KeyFilter::NoKeys;
                reaches_in && frame.first.ts <= span.through && writes
            }
        }
    }
}

/// Decides segment by segment, beginning with the segment that holds the span's beginning.
pub(super) struct Planner<'a> {
    pub(super) span: Span,
    /// The names that matter.
    pub(super) names: HashSet<&'a str>,
    /// The oldest unresolved transaction and the oldest prepare at the end of the previous segment.
    /// None before the first segment.
    before: Option<(Option<Timestamp>, Option<Timestamp>)>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(span: Span, names: HashSet<&'a str>) -> Self {
        Planner { span, names, before: None }
    }

    /// Whether neither the next segment nor any later one is needed.
    pub(super) fn is_done(&self, next: &SegmentSummary) -> bool {
        let prepared = self.before.is_none_or(|(_, prepared)| self.is_before_span(prepared));
        next.first.ts > self.span.through && !prepared
    }

    pub(super) fn take(&mut self, segment: &SegmentSummary) -> Option<(Sequence, Interest)> {
        let unresolved = self.before.is_none_or(|(unresolved, _)| self.is_before_span(unresolved));
        let oldest_unresolved = segment.oldest_unresolved.map(|optime| optime.ts);
        self.before = Some((oldest_unresolved, segment.oldest_prepared));
        let interest = if segment.first.ts > self.span.through {
            let commands = segment.counts.iter().any(|counts| counts.commands > 0);
            commands.then_some(Interest::Commits)
        } else if unresolved {
            Some(Interest::Everything)
        } else {
            let wanted = segment.counts.iter().any(|it| self.names.contains(it.ns.as_str()));
            wanted.then_some(Interest::Writes)
        };
        interest.map(|interest| (Sequence(segment.sequence), interest))
    }

    fn is_before_span(&self, ts: Option<Timestamp>) -> bool {
        ts.is_some_and(|ts| ts <= self.span.after)
    }
}
