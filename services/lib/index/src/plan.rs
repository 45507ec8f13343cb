//! What can be restored: the windows, and the decision for one time. All functions are pure.

use std::fmt;

use hindsight_oplog::{OpTime, Timestamp};

use crate::run::Run;
use crate::summary::{BaseSummary, GapNotice};

/// A maximal interval without a gap that can be restored into:
/// every `T` with `from.ts <= T <= through`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The optime from which the window's oldest base is exact.
    pub from: OpTime,
    /// The last timestamp that can be restored.
    pub through: Timestamp,
    /// The name of that base. A plan for a later time may use a later base.
    pub base: String,
}

/// How to build the state at `at`: load the base, then read these segments in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePlan {
    /// The restore point: effects with a visible time up to and including this one belong to the
    /// state.
    pub at: Timestamp,
    /// The base to load.
    pub base: BaseSummary,
    /// The optime from which the log is needed (inclusive). It is in segment `first_sequence`.
    pub read_from: OpTime,
    /// The number of the first segment to read.
    pub first_sequence: u64,
    /// The last entry of the last segment that is needed, which is `last_sequence`. It may lie
    /// after `at`, because the commit or abort of every transaction prepared at or before `at` is
    /// read.
    pub read_through: OpTime,
    /// The number of the last segment to read.
    pub last_sequence: u64,
}

/// Why the state at a time cannot be restored exactly (I8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRestorable {
    /// The time is before the first window, after the last one, or between two windows without
    /// being in a gap.
    #[error("{} is outside every restore window; {neighbours}", .at.for_people())]
    OutsideWindows { at: Timestamp, neighbours: Neighbours },

    /// Entries around that time existed and are not held. There is no remedy.
    #[error(
        "{} lies in a gap: the entries after {} and before {} are not held ({}); {neighbours}",
        .at.for_people(), .gap.after, .gap.before, .gap.reason
    )]
    InGap { at: Timestamp, gap: GapNotice, neighbours: Neighbours },

    /// A transaction prepared at or before that time is neither committed nor aborted yet.
    #[error(
        "{} is not decided: the outcome of the transaction prepared at {prepared_at} {}; {neighbours}",
        .at.for_people(),
        if *.may_resolve { "is not in the log yet, so try again once it ended" }
        else { "would be in the gap that follows" }
    )]
    UnresolvedTransaction {
        at: Timestamp,
        prepared_at: Timestamp,
        /// False when a gap follows: the outcome will never be in the log.
        may_resolve: bool,
        neighbours: Neighbours,
    },

    /// The log around that time is held, but there is no base within it to start from.
    #[error(
        "{} has no base to start from: the log is held without a gap from {first} to {last}, but no \
         finished base is usable in it; {neighbours}",
        .at.for_people()
    )]
    NoBase { at: Timestamp, first: OpTime, last: OpTime, neighbours: Neighbours },
}

/// The restore windows on both sides of a time that is in no window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The last window before the time.
    pub before: Option<Window>,
    /// The first window after the time.
    pub after: Option<Window>,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} through {}", self.from.ts.for_people(), self.through.for_people())
    }
}

impl fmt::Display for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, None) => write!(f, "there is no restore window yet"),
            (Some(before), None) => write!(f, "the window before it is {before}"),
            (None, Some(after)) => write!(f, "the window after it is {after}"),
            (Some(before), Some(after)) => {
                write!(f, "the windows around it are {before} and {after}")
            }
        }
    }
}

/// The decision for one time: the base to load and the run to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice<'a> {
    pub(crate) base: &'a BaseSummary,
    pub(crate) run: &'a Run,
}

/// Returns the restore windows, oldest first. `runs` are oldest first; a run has at most one
/// window.
pub(crate) fn windows(runs: &[Run], bases: &[BaseSummary]) -> Vec<Window> {
    runs.iter().filter_map(|run| window(run, bases)).collect()
}

fn window(run: &Run, bases: &[BaseSummary]) -> Option<Window> {
    let through = run.restorable_end();
    let base = usable(run, bases)
        .filter(|base| base.exact_from.ts <= through)
        .min_by_key(|base| (base.exact_from, base.capture_from, &base.name))?;
    Some(Window { from: base.exact_from, through, base: base.name.clone() })
}

/// Returns the bases for which this run holds the log from where they need it.
fn usable<'a>(run: &Run, bases: &'a [BaseSummary]) -> impl Iterator<Item = &'a BaseSummary> {
    bases
        .iter()
        .filter(move |base| run.first <= base.capture_from && run.contains(base.capture_from.ts))
}

/// Decides how the state at `at` is built, or why it cannot be built.
///
/// Of several bases, the latest one that is exact at or before `at` is chosen, because it leaves
/// the least log to read.
pub(crate) fn decide<'a>(
    runs: &'a [Run],
    gaps: &[GapNotice],
    bases: &'a [BaseSummary],
    at: Timestamp,
) -> Result<Choice<'a>, Box<NotRestorable>> {
    let neighbours = || neighbours(windows(runs, bases), at);
    if let Some(gap) = gaps.iter().find(|gap| gap.after.ts < at && at < gap.before.ts) {
        let gap = gap.clone();
        return Err(Box::new(NotRestorable::InGap { at, gap, neighbours: neighbours() }));
    }
    let Some(run) = runs.iter().find(|run| run.contains(at)) else {
        return Err(Box::new(NotRestorable::OutsideWindows { at, neighbours: neighbours() }));
    };
    let latest_base = usable(run, bases)
        .filter(|base| base.exact_from.ts <= at)
        .max_by_key(|base| (base.exact_from, base.capture_from, &base.name));
    match (latest_base, run.oldest_prepared) {
        (Some(_), Some(prepared_at)) if prepared_at <= at => {
            let may_resolve = runs.last() == Some(run);
            let neighbours = neighbours();
            let reason =
                NotRestorable::UnresolvedTransaction { at, prepared_at, may_resolve, neighbours };
            Err(Box::new(reason))
        }
        (Some(base), _) => Ok(Choice { base, run }),
        (None, _) => Err(Box::new(without_base(run, bases, at, neighbours()))),
    }
}

/// Returns why a time that the log holds, but before which no usable base is exact, cannot be
/// restored: either the run's window starts later, or the run has no window.
fn without_base(
    run: &Run,
    bases: &[BaseSummary],
    at: Timestamp,
    neighbours: Neighbours,
) -> NotRestorable {
    match window(run, bases) {
        Some(_) => NotRestorable::OutsideWindows { at, neighbours },
        None => NotRestorable::NoBase { at, first: run.first, last: run.last, neighbours },
    }
}

fn neighbours(windows: Vec<Window>, at: Timestamp) -> Neighbours {
    let mut found = Neighbours::default();
    for window in windows {
        if window.through < at {
            found.before = Some(window);
        } else if found.after.is_none() {
            found.after = Some(window);
        }
    }
    found
}

#[cfg(test)]
mod tests;
