//! Determines which times can be restored, from what the log holds and what the history could
//! follow.

use std::fmt;

use hindsight_history::Generation;
use hindsight_oplog::Timestamp;

/// A restore window: a maximal interval in which every timestamp can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first restorable timestamp.
    pub from: Timestamp,
    /// The last restorable timestamp.
    pub through: Timestamp,
}

impl Window {
    /// Returns whether the time lies in the window.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.through
    }
}

/// The times between an entry that ended the history and the base with which the history began
/// again. Neither bound is part of the hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    after: Timestamp,
    before: Timestamp,
}

impl Hole {
    pub(super) fn contains(&self, at: Timestamp) -> bool {
        self.after < at && at < self.before
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "after {} comes an entry that the history could not apply; it begins again with the base of {}",
            self.after.for_people(),
            self.before.for_people()
        )
    }
}

/// Returns the holes between each two generations. Whether the log holds what lies there does not
/// matter.
pub(super) fn holes(generations: &[Generation]) -> Vec<Hole> {
    let pairs = generations.iter().zip(generations.iter().skip(1));
    let hole = |(ended, next): (&Generation, &Generation)| Hole {
        after: ended.through(),
        before: next.base.exact_from,
    };
    pairs.map(hole).filter(|hole| hole.after < hole.before).collect()
}

/// Returns what is left of the log's windows without the holes, without what comes before the
/// horizon, and without what comes after `end`.
pub(super) fn of(
    mut windows: Vec<Window>,
    holes: &[Hole],
    horizon: Timestamp,
    end: Timestamp,
) -> Vec<Window> {
    for hole in holes {
        windows = windows.into_iter().flat_map(|window| without(window, *hole)).flatten().collect();
    }
    for window in &mut windows {
        window.from = window.from.max(horizon);
        window.through = window.through.min(end);
    }
    windows.retain(|window| window.from <= window.through);
    windows
}

/// Returns the windows of both lists in order. Windows that share a time become one.
pub(super) fn joined(mut windows: Vec<Window>, more: Vec<Window>) -> Vec<Window> {
    windows.extend(more);
    windows.sort_by_key(|window| window.from);
    let mut joined: Vec<Window> = Vec::new();
    for window in windows {
        match joined.last_mut() {
            Some(last) if window.from <= last.through => {
                last.through = last.through.max(window.through);
            }
            _ => joined.push(window),
        }
    }
    joined
}

/// Returns the parts of the window before and after the hole. A part is None when nothing of the
/// window lies on that side.
fn without(window: Window, hole: Hole) -> [Option<Window>; 2] {
    let before = Window { through: window.through.min(hole.after), ..window };
    let after = Window { from: window.from.max(hole.before), ..window };
    [before, after].map(|part| (part.from <= part.through).then_some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u32) -> Timestamp {
        Timestamp::new(seconds, 1)
    }

    fn window(from: u32, through: u32) -> Window {
        Window { from: at(from), through: at(through) }
    }

    fn hole(after: u32, before: u32) -> Hole {
        Hole { after: at(after), before: at(before) }
    }

    #[test]
    fn a_hole_parts_the_window_it_lies_in_and_no_other() {
        let windows = || vec![window(10, 20), window(30, 60)];
        let left = |holes: &[Hole], end| of(windows(), holes, Timestamp::ZERO, end);
        assert_eq!(left(&[], Timestamp::MAX), windows());
        // A hole between two runs of the log.
        assert_eq!(left(&[hole(20, 30)], Timestamp::MAX), windows());
        let parted = [window(10, 20), window(30, 40), window(50, 60)];
        assert_eq!(left(&[hole(20, 30), hole(40, 50)], Timestamp::MAX), parted);
        assert_eq!(left(&[hole(40, 50)], at(55))[2], window(50, 55));
        assert_eq!(left(&[hole(40, 50)], at(45)), [window(10, 20), window(30, 40)]);
        assert_eq!(left(&[], Timestamp::ZERO), []);
        // The base begins after everything that is restorable.
        assert_eq!(left(&[hole(40, 70)], Timestamp::MAX), [window(10, 20), window(30, 40)]);
    }

    #[test]
    fn windows_that_share_a_time_become_one() {
        let windows = vec![window(30, 60), window(80, 90)];
        assert_eq!(joined(windows.clone(), Vec::new()), windows);
        let more = vec![window(10, 30), window(70, 75)];
        assert_eq!(joined(windows, more), [window(10, 60), window(70, 75), window(80, 90)]);
        assert_eq!(joined(vec![window(10, 60)], vec![window(20, 30)]), [window(10, 60)]);
    }

    #[test]
    fn no_window_begins_before_the_horizon() {
        let windows = || vec![window(10, 20), window(30, 60)];
        let left = |horizon| of(windows(), &[], at(horizon), Timestamp::MAX);
        assert_eq!(left(5), windows());
        assert_eq!(left(15), [window(15, 20), window(30, 60)]);
        assert_eq!(left(25), [window(30, 60)]);
        assert_eq!(left(40), [window(40, 60)]);
    }

    #[test]
    fn a_hole_holds_neither_of_its_bounds() {
        let hole = hole(40, 50);
        assert!(!hole.contains(at(40)) && hole.contains(at(45)) && !hole.contains(at(50)));
    }
}
