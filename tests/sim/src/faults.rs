//! What goes wrong in a simulation, and how it is put right.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use crate::log::Store;
use crate::member::{Reach, Role};
use crate::set::{Set, State};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    MemberKilled,
    MemberHangs,
    MemberIsolated,
    MemberRefuses,
    MemberSilent,
    MemberSlow,
    StepDown,
    Rollover,
    Resync,
    LogOutage,
    LogTrimmed,
    TailerKilled,
    TailerStopped,
}

const ALL: [Fault; 13] = [
    Fault::MemberKilled,
    Fault::MemberHangs,
    Fault::MemberIsolated,
    Fault::MemberRefuses,
    Fault::MemberSilent,
    Fault::MemberSlow,
    Fault::StepDown,
    Fault::Rollover,
    Fault::Resync,
    Fault::LogOutage,
    Fault::LogTrimmed,
    Fault::TailerKilled,
    Fault::TailerStopped,
];

impl Fault {
    pub(crate) fn any(random: &mut SmallRng) -> Self {
        *ALL.choose(random).expect("there are faults")
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MemberKilled => "members killed",
            Self::MemberHangs => "members that hung",
            Self::MemberIsolated => "members cut off from the others",
            Self::MemberRefuses => "members that refused connections",
            Self::MemberSilent => "members whose answers were lost",
            Self::MemberSlow => "slow members",
            Self::StepDown => "primaries that stepped down",
            Self::Rollover => "oplogs that rolled over",
            Self::Resync => "members asked to resync",
            Self::LogOutage => "outages of the log",
            Self::LogTrimmed => "removals of the oldest segments",
            Self::TailerKilled => "tailers killed",
            Self::TailerStopped => "tailers stopped",
        }
    }
}

/// What is wrong with which member until when.
#[derive(Debug, Default)]
pub(crate) struct Wrong(BTreeMap<(usize, Fault), Instant>);

impl Wrong {
    /// Lets a fault of a member or of the log happen, for a while.
    pub(crate) fn happen(&mut self, fault: Fault, set: &Set, store: &Store, random: &mut SmallRng) {
        let now = Instant::now();
        let mut state = set.state();
        let at = random.random_range(0..state.members.len());
        let lasts = Duration::from_millis(random.random_range(100..15_000));
        let slow = Duration::from_millis(random.random_range(500..12_000));
        let keep = random.random_range(0..10);
        match fault {
            Fault::StepDown => state.step_down(),
            Fault::Rollover => state.roll_over(keep),
            Fault::Resync => state.resync(at, now),
            Fault::LogOutage => store.go_out_for(lasts / 3),
            Fault::LogTrimmed | Fault::TailerKilled | Fault::TailerStopped => {}
            Fault::MemberSlow => {
                state.members[at].reach = Reach::Slow(slow);
                self.0.insert((at, fault), now + lasts);
            }
            lasting => {
                begin(&mut state, at, lasting);
                self.0.insert((at, lasting), now + lasts);
            }
        }
    }

    /// Ends the faults that have lasted long enough, or all of them.
    pub(crate) fn mend(&mut self, set: &Set, until: Option<Instant>) {
        let mut state = set.state();
        let is_over = |at: Instant| until.is_none_or(|until| at <= until);
        let over: Vec<_> =
            self.0.iter().filter(|(_, at)| is_over(**at)).map(|(fault, _)| *fault).collect();
        for (at, fault) in over {
            self.0.remove(&(at, fault));
            end(&mut state, at, fault);
        }
    }
}

fn begin(state: &mut State, at: usize, fault: Fault) {
    let member = &mut state.members[at];
    match fault {
        Fault::MemberKilled => {
            member.up = false;
            member.incarnation += 1;
            if member.role == Role::Primary {
                member.role = Role::Secondary;
            }
        }
        Fault::MemberHangs => member.hung = true,
        Fault::MemberIsolated => member.isolated = true,
        Fault::MemberRefuses => member.reach = Reach::Refused,
        Fault::MemberSilent => member.reach = Reach::Silent,
        _ => {}
    }
}

fn end(state: &mut State, at: usize, fault: Fault) {
    let pause = Duration::from_millis(state.random.random_range(100..3000));
    let member = &mut state.members[at];
    match fault {
        Fault::MemberKilled if !member.up => {
            member.up = true;
            member.recover_until(Instant::now() + pause);
            // What a majority holds is learned again after a start.
            let (oldest, known) = (member.log.start().min(member.commit), member.commit);
            member.commit = state.random.random_range(oldest..=known);
        }
        Fault::MemberHangs => member.hung = false,
        Fault::MemberIsolated => member.isolated = false,
        _ => member.reach = Reach::Fine,
    }
}
