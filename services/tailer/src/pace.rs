//! How much is asked of a member at once, and how long its answer may take. Pure.
//!
//! A member that hangs must be left soon, but the answer of a slow link may take longer than that:
//! at 1 MB/s, a reply of 16 MiB takes 16 s. So when an answer does not come in time, less is asked
//! for next, and a single entry is waited for longest. When answers come fast again, more is asked
//! for.

use std::time::Duration;

use tokio::time::Instant;

/// What is asked for, from the most to the least.
const STEPS: [Step; 4] = [
    Step { entries: None, patience: Duration::from_secs(8) },
    Step { entries: Some(500), patience: Duration::from_secs(8) },
    Step { entries: Some(20), patience: Duration::from_secs(20) },
    Step { entries: Some(1), patience: Duration::from_secs(90) },
];

/// How long answers must come fast before more is asked for.
const FIRST_TRIAL: Duration = Duration::from_secs(20);
/// The longest wait before more is asked for. Each attempt that fails doubles the wait.
const LONGEST_TRIAL: Duration = Duration::from_secs(600);

/// One step of [`STEPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// Limit on the entries in a reply. None: the server fills 16 MiB.
    entries: Option<u32>,
    /// How long a reply may take.
    patience: Duration,
}

/// The pace at which one member is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    step: usize,
    trial: Duration,
    /// Since when every answer came fast at this step.
    fast_since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { step: 0, trial: FIRST_TRIAL, fast_since: None }
    }
}

impl Pace {
    /// Returns the limit on the number of entries in a reply. None when there is none.
    pub(crate) fn entries(&self) -> Option<u32> {
        STEPS[self.step].entries
    }

    /// Returns how long a reply may take.
    pub(crate) fn patience(&self) -> Duration {
        STEPS[self.step].patience
    }

    /// Notes that an answer did not come in time.
    pub(crate) fn too_slow(&mut self) {
        self.step = (self.step + 1).min(STEPS.len() - 1);
        self.trial = (self.trial * 2).min(LONGEST_TRIAL);
        self.fast_since = None;
    }

    /// Notes an answer, and how long it took. Returns true when the member is to be asked for more
    /// from now on.
    pub(crate) fn answered(&mut self, took: Duration, now: Instant) -> bool {
        if self.step == 0 {
            return false;
        }
        if took > self.patience() / 8 {
            self.fast_since = None;
            return false;
        }
        let since = *self.fast_since.get_or_insert(now);
        if now.duration_since(since) < self.trial {
            return false;
        }
        self.step -= 1;
        self.fast_since = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    #[test]
    fn less_is_asked_for_until_an_answer_comes() {
        let mut pace = Pace::default();
        let mut asked = vec![pace.entries()];
        for _ in 0..5 {
            pace.too_slow();
            asked.push(pace.entries());
        }
        assert_eq!(asked, [None, Some(500), Some(20), Some(1), Some(1), Some(1)]);
        assert!(pace.patience() > Pace::default().patience());
    }

    #[test]
    fn more_is_asked_for_when_answers_are_fast_for_a_while() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        pace.too_slow();
        assert!(!pace.answered(FAST, at(0)) && !pace.answered(FAST, at(39)));
        // A slow answer begins the trial anew.
        assert!(!pace.answered(Duration::from_secs(5), at(40)));
        assert!(!pace.answered(FAST, at(41)) && !pace.answered(FAST, at(80)));
        assert!(pace.answered(FAST, at(81)));
        assert_eq!(pace.entries(), None);
        assert!(!pace.answered(FAST, at(1_000)), "nothing more can be asked for");
    }

    #[test]
    fn attempts_that_fail_become_rarer() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut trials = Vec::new();
        for _ in 0..7 {
            pace.too_slow();
            let begun = now;
            while !pace.answered(FAST, now) {
                now += Duration::from_secs(1);
            }
            trials.push(now.duration_since(begun).as_secs());
        }
        assert_eq!(trials, [40, 80, 160, 320, 600, 600, 600]);
    }
}
