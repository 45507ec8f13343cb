//! The simulated replica set: members that replicate, elect, roll back and forget, by the rules
//! that MongoDB takes from Raft. What a majority holds is never lost; everything else may be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hindsight_oplog::{OpTime, Timestamp};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::entries::{Entry, make, new_term};
use crate::member::{Member, Role};

/// The cluster time at which every simulation begins, in seconds.
const EPOCH: u32 = 1_700_000_000;
/// The entries that a secondary copies in a step, at most.
const COPIED: usize = 8;

/// The set, as all its connections and the simulation share it.
#[derive(Debug)]
pub(crate) struct Set {
    state: Mutex<State>,
    /// Wakes those who wait for a step, in the order in which they came.
    stepped: Notify,
}

impl Set {
    pub(crate) fn new(seed: u64, members: usize, capacity: usize) -> Arc<Self> {
        let state = State::new(seed, members, capacity);
        Arc::new(Self { state: Mutex::new(state), stepped: Notify::new() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the members do what they do in a short time.
    pub(crate) fn step(&self, writes: u32) {
        self.state().step(writes);
        self.stepped.notify_waiters();
    }

    /// Waits for the next step.
    pub(crate) async fn stepped(&self) {
        self.stepped.notified().await;
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) members: Vec<Member>,
    pub(crate) random: SmallRng,
    term: i64,
    /// What a majority holds, from the first entry on. Nothing is ever taken from it.
    pub(crate) committed: Vec<Arc<Entry>>,
    begun: Instant,
    pub(crate) elections: u64,
    pub(crate) rollbacks: u64,
    pub(crate) resyncs: u64,
}

impl State {
    fn new(seed: u64, members: usize, capacity: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let has_hidden = members > 1 && random.random_bool(0.3);
        let member = |number: usize| {
            let capacity = random.random_range(capacity / 2..=capacity);
            let hidden = has_hidden && number == members - 1;
            Member::new(format!("m{number}:27017"), hidden, capacity)
        };
        let members = (0..members).map(member).collect();
        Self {
            members,
            random,
            term: 0,
            committed: Vec::new(),
            begun: Instant::now(),
            elections: 0,
            rollbacks: 0,
            resyncs: 0,
        }
    }

    fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// Returns the member that the others follow, if there is one.
    pub(crate) fn primary(&self) -> Option<usize> {
        let leads = |member: &Member| {
            member.role == Role::Primary
                && member.is_among_others()
                && self.is_of_newest_term(member)
        };
        self.members.iter().position(leads)
    }

    /// Returns the member that the others copy from: the primary, or the one with the newest entry
    /// while there is none.
    fn sync_source(&self) -> Option<usize> {
        let can_give = |member: &Member| {
            member.is_among_others() && !member.resyncs && member.role != Role::Recovering
        };
        let newest = |at: &usize| {
            let last = self.members[*at].log.last();
            (last.term, last.ts)
        };
        let others = (0..self.members.len()).filter(|at| can_give(&self.members[*at]));
        self.primary().or_else(|| others.max_by_key(newest))
    }

    fn is_of_newest_term(&self, member: &Member) -> bool {
        member.log.last().term == self.term
    }

    fn step(&mut self, writes: u32) {
        let now = Instant::now();
        self.recover(now);
        self.write(now, writes);
        for follower in 0..self.members.len() {
            if self.random.random_bool(0.8) {
                self.replicate(follower, now);
            }
        }
        self.commit();
        if self.primary().is_none() && self.random.random_bool(0.2) {
            self.elect(now);
        }
        self.truncate();
        self.members.iter_mut().for_each(|member| member.note(now));
    }

    fn recover(&mut self, now: Instant) {
        let source_at = self.sync_source();
        for at in 0..self.members.len() {
            let member = &self.members[at];
            let is_due = member.recovers_at.is_some_and(|then| then <= now);
            if !member.up || member.hung || !is_due {
                continue;
            }
            if member.resyncs {
                let Some(source_at) = source_at.filter(|_| !member.isolated) else { continue };
                let source = &self.members[source_at].log;
                if source.end() < self.committed.len() {
                    continue;
                }
                // Copying the data took a while: the oplog begins in the middle of the source's.
                let start = self.random.random_range(source.start()..source.end());
                let (mut log, commit) = (source.clone(), self.members[source_at].commit);
                log.forget_before(start.min(commit.max(source.start())));
                self.members[at].commit = commit.max(log.start());
                self.members[at].log = log;
                self.members[at].resyncs = false;
                self.resyncs += 1;
            }
            self.members[at].role = Role::Secondary;
            self.members[at].recovers_at = None;
        }
    }

    fn write(&mut self, now: Instant, writes: u32) {
        for at in 0..self.members.len() {
            let member = &self.members[at];
            if member.role != Role::Primary || !member.up || member.hung {
                continue;
            }
            if member.is_among_others() && !self.is_of_newest_term(member) {
                // It hears of the newer term and steps down.
                self.members[at].role = Role::Secondary;
                continue;
            }
            if member.isolated && self.random.random_bool(0.05) {
                self.members[at].role = Role::Secondary;
                continue;
            }
            for _ in 0..self.random.random_range(0..=writes) {
                let log = &self.members[at].log;
                let (last, newest) = (log.last(), log.newest());
                let open = newest.map(|entry| Arc::clone(&entry.open)).unwrap_or_default();
                let optime = OpTime { ts: self.after(last.ts, now), term: last.term };
                let entry = make(&mut self.random, &open, optime);
                self.members[at].log.push(Arc::new(entry));
            }
        }
    }

    /// Returns a timestamp after `last`, at the cluster's present second or later.
    fn after(&mut self, last: Timestamp, now: Instant) -> Timestamp {
        let seconds = EPOCH + now.duration_since(self.begun).as_secs() as u32;
        let step = self.random.random_range(1..4);
        match last.seconds() >= seconds {
            true => Timestamp::new(last.seconds(), last.increment() + step),
            false => Timestamp::new(seconds, step),
        }
    }

    fn replicate(&mut self, at: usize, now: Instant) {
        let Some(source) = self.sync_source().filter(|source| *source != at) else { return };
        let (source, follower) = (&self.members[source], &self.members[at]);
        if !follower.is_among_others() || follower.role == Role::Recovering {
            return;
        }
        let Some(common) = source.log.common_end(&follower.log).or_else(|| {
            // A new member holds nothing yet.
            (follower.log.len() == 0 && source.log.start() == 0).then_some(0)
        }) else {
            self.resync(at, now);
            return;
        };
        if common < follower.log.end() {
            assert!(follower.commit <= common, "the model rolled back what a majority holds");
            let pause = Duration::from_millis(self.random.random_range(200..4000));
            let follower = &mut self.members[at];
            follower.log.roll_back_to(common);
            follower.recover_until(now + pause);
            self.rollbacks += 1;
            return;
        }
        let known = source.commit;
        let most = self.random.random_range(0..=COPIED);
        let copied: Vec<_> = (common..source.log.end().min(common + most))
            .filter_map(|at| source.log.get(at))
            .cloned()
            .collect();
        let learns = self.random.random_bool(0.7);
        let follower = &mut self.members[at];
        copied.into_iter().for_each(|entry| follower.log.push(entry));
        if learns {
            follower.commit = follower.commit.max(known.min(follower.log.end()));
        }
    }

    /// Empties a member, so that it copies everything from another one. Does nothing while a
    /// majority could lose something by it.
    pub(crate) fn resync(&mut self, at: usize, now: Instant) {
        let end = self.committed.len();
        let holds = |member: &&Member| {
            !member.resyncs && member.log.end() >= end && self.agrees(member, end)
        };
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != at);
        let holders = others.map(|(_, member)| member).filter(holds).count();
        if holders < self.majority() {
            return;
        }
        let pause = Duration::from_millis(self.random.random_range(500..15_000));
        let member = &mut self.members[at];
        if !member.resyncs {
            member.log = crate::oplog::Oplog::starting(end);
            member.commit = end;
            member.resyncs = true;
            member.recover_until(now + pause);
        }
    }

    /// Whether a member holds the newest entry that a majority holds.
    fn agrees(&self, member: &Member, end: usize) -> bool {
        let Some(newest) = end.checked_sub(1) else { return true };
        member.log.start() >= end
            || member.log.get(newest).is_some_and(|it| it.optime == self.committed[newest].optime)
    }

    fn commit(&mut self) {
        let Some(primary) = self.primary() else { return };
        let log = &self.members[primary].log;
        let held_by_majority = |position: &usize| {
            let Some(entry) = log.get(*position) else { return false };
            let holds = |member: &&Member| {
                !member.resyncs
                    && (member.log.get(*position)).is_some_and(|it| it.optime == entry.optime)
            };
            entry.optime.term == self.term
                && self.members.iter().filter(holds).count() >= self.majority()
        };
        let lowest = self.members[primary].commit;
        let Some(newest) = (lowest..log.end()).rev().find(held_by_majority) else { return };
        for position in self.committed.len()..=newest {
            let entry = Arc::clone(log.get(position).expect("a primary holds what is committed"));
            self.committed.push(entry);
        }
        self.members[primary].commit = newest + 1;
    }

    fn elect(&mut self, now: Instant) {
        let can_vote = |member: &Member| {
            member.is_among_others() && !member.resyncs && member.role != Role::Recovering
        };
        let key = |log: &crate::oplog::Oplog| (log.last().term, log.last().ts);
        let wins = |candidate: &Member| {
            let votes = self
                .members
                .iter()
                .filter(|voter| can_vote(voter) && key(&voter.log) <= key(&candidate.log));
            can_vote(candidate) && !candidate.hidden && votes.count() >= self.majority()
        };
        let able: Vec<usize> =
            (0..self.members.len()).filter(|at| wins(&self.members[*at])).collect();
        let Some(&winner) = able.choose(&mut self.random) else { return };
        self.term += 1;
        self.elections += 1;
        let log = &self.members[winner].log;
        let open = log.newest().map(|entry| Arc::clone(&entry.open)).unwrap_or_default();
        let ts = self.after(self.members[winner].log.last().ts, now);
        let entry = new_term(&open, OpTime { ts, term: self.term });
        self.members[winner].log.push(Arc::new(entry));
        self.members[winner].role = Role::Primary;
        for (at, member) in self.members.iter_mut().enumerate() {
            if at != winner && member.is_among_others() && member.role == Role::Primary {
                member.role = Role::Secondary;
            }
        }
    }

    /// Asks the primary to step down, so that another member may be elected.
    pub(crate) fn step_down(&mut self) {
        if let Some(primary) = self.primary() {
            self.members[primary].role = Role::Secondary;
        }
    }

    fn truncate(&mut self) {
        for member in &mut self.members {
            if member.up && !member.hung && member.log.len() > member.capacity {
                let keep = member.capacity * 3 / 4;
                member.log.forget_before((member.log.end() - keep).min(member.commit));
            }
        }
    }

    /// Makes members forget all but the newest entries that a majority holds.
    pub(crate) fn roll_over(&mut self, keep: usize) {
        for member in &mut self.members {
            member.log.forget_before(member.commit.saturating_sub(keep));
        }
    }

    /// Returns the position of a committed entry.
    pub(crate) fn position_of(&self, optime: OpTime) -> Option<usize> {
        let at = self.committed.binary_search_by_key(&optime.ts, |entry| entry.optime.ts).ok()?;
        (self.committed[at].optime == optime).then_some(at)
    }
}
