//! Decides whether a tailer that stands by may take the log over, from what this tailer sees alone.
//!
//! Taking over too early does no harm to the log, because the former leader is fenced (I6). It only
//! costs a change of roles.

use std::time::Duration;

use hindsight_log::{Instance, Leader};
use hindsight_segment::WriterEpoch;
use tokio::time::Instant;

/// How long a leader may be silent. A leader writes at least every second. A leader that wrote
/// nothing for this long, while the log could be read, is dead or cut off.
const SILENCE: Duration = Duration::from_secs(4);

/// The most that the time between two consecutive looks counts as silence: the log may have been
/// out of reach between them.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// Whether to take the log over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keep standing by.
    Wait,
    /// Take the log over, for the reason given.
    TakeOver(&'static str),
}

/// The watch that a tailer keeps over the leader.
#[derive(Debug)]
pub(crate) struct Vigil {
    own: Instance,
    seen: Option<(WriterEpoch, u64)>,
    looked: Option<Instant>,
    /// How long the leader was seen to write nothing.
    silent: Duration,
}

impl Vigil {
    /// Makes a watch for the tailer of this installation.
    pub(crate) fn new(own: Instance) -> Self {
        Self { own, seen: None, looked: None, silent: Duration::ZERO }
    }

    /// Notes that the log cannot be read: what the leader writes is unknown, and the leader may be
    /// unable to write too. Silence is counted anew.
    pub(crate) fn is_blind(&mut self) {
        self.looked = None;
        self.silent = Duration::ZERO;
    }

    /// Takes in one look at the log and decides. `can_capture` says whether this tailer can read
    /// the source: a tailer that cannot read it is no better than a dead leader.
    pub(crate) fn look(&mut self, leader: &Leader, can_capture: bool, now: Instant) -> Verdict {
        let step = self.looked.map_or(Duration::ZERO, |looked| now.duration_since(looked));
        self.looked = Some(now);
        let seen = Some((leader.epoch, leader.signs));
        if self.seen == seen {
            self.silent += step.min(LONGEST_STEP);
        } else {
            self.seen = seen;
            self.silent = Duration::ZERO;
        }
        if leader.epoch == WriterEpoch(0) {
            return Verdict::TakeOver("nobody led it yet");
        }
        if self.own.is(leader.instance) {
            return Verdict::TakeOver("it was led from this data directory before");
        }
        if leader.has_resigned && can_capture {
            return Verdict::TakeOver("its leader resigned");
        }
        if self.silent >= SILENCE && can_capture {
            return Verdict::TakeOver("its leader fell silent");
        }
        Verdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Instance = Instance(1);
    const OTHER: Instance = Instance(2);

    fn leader(epoch: u64, instance: Instance, signs: u64) -> Leader {
        let (epoch, name) = (WriterEpoch(epoch), "other".to_owned());
        Leader { epoch, instance, name, has_resigned: false, signs }
    }

    /// Looks every 250 ms, and returns after how long the tailer takes over.
    fn takes_over_after(can_capture: bool, signs: impl Fn(u64) -> u64) -> Option<Duration> {
        let mut vigil = Vigil::new(OWN);
        let start = Instant::now();
        (0..400).find_map(|step| {
            let passed = Duration::from_millis(250) * step;
            let seen = leader(3, OTHER, signs(step.into()));
            let verdict = vigil.look(&seen, can_capture, start + passed);
            (verdict != Verdict::Wait).then_some(passed)
        })
    }

    #[test]
    fn a_leader_that_speaks_is_left_alone_and_a_silent_one_is_not() {
        assert_eq!(takes_over_after(true, |step| step / 4), None, "a word a second");
        assert_eq!(takes_over_after(true, |_| 7), Some(SILENCE));
        let died_after_two_seconds = |step: u64| step.min(8);
        assert_eq!(takes_over_after(true, died_after_two_seconds), Some(Duration::from_secs(6)));
        assert_eq!(takes_over_after(false, |_| 7), None, "the source cannot be read from here");
    }

    #[test]
    fn silence_counts_only_while_one_looks() {
        let start = Instant::now();
        let mut vigil = Vigil::new(OWN);
        let seen = leader(3, OTHER, 1);
        assert_eq!(vigil.look(&seen, true, start), Verdict::Wait);
        let later = start + Duration::from_secs(60);
        assert_eq!(vigil.look(&seen, true, later), Verdict::Wait, "one long step is one step");
        for step in 1..8 {
            let now = later + Duration::from_millis(500) * step;
            let verdict = vigil.look(&seen, true, now);
            assert_eq!(verdict == Verdict::Wait, step < 7, "{step}");
        }
        vigil.is_blind();
        let verdict = vigil.look(&seen, true, later + Duration::from_secs(9));
        assert_eq!(verdict, Verdict::Wait, "it counts anew");
    }

    #[test]
    fn nobody_is_waited_for_who_is_known_to_be_gone() {
        let now = Instant::now();
        let look = |leader: &Leader, can_capture| Vigil::new(OWN).look(leader, can_capture, now);
        assert_ne!(look(&leader(0, Instance::UNKNOWN, 0), false), Verdict::Wait);
        assert_ne!(look(&leader(3, OWN, 9), false), Verdict::Wait);
        let resigned = Leader { has_resigned: true, ..leader(3, OTHER, 9) };
        assert_ne!(look(&resigned, true), Verdict::Wait);
        assert_eq!(look(&resigned, false), Verdict::Wait);
        assert_eq!(look(&leader(3, OTHER, 9), true), Verdict::Wait);
        let unknown =
            Vigil::new(Instance::UNKNOWN).look(&leader(3, Instance::UNKNOWN, 9), true, now);
        assert_eq!(unknown, Verdict::Wait, "two unknown ones are not the same");
    }
}
