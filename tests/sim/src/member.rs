//! One member of the simulated replica set: what it holds, and how it can be reached.

use std::time::Duration;

use tokio::time::Instant;

use crate::oplog::Oplog;

/// What a member is, as it sees itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Secondary,
    /// Starting, rolling back or being resynced. It answers no reads.
    Recovering,
}

/// How a member can be reached from the tailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Fine,
    /// Connections fail.
    Refused,
    /// Connections stay, and nothing answers.
    Silent,
    /// Each answer takes this long in addition.
    Slow(Duration),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) host: String,
    /// A hidden member is never primary.
    pub(crate) hidden: bool,
    pub(crate) role: Role,
    /// Whether the process runs.
    pub(crate) up: bool,
    /// Whether the process is stopped, so that nobody hears from it.
    pub(crate) hung: bool,
    /// Whether the other members cannot reach it. The tailers can.
    pub(crate) isolated: bool,
    pub(crate) reach: Reach,
    /// Grows whenever every open cursor of the member ends.
    pub(crate) incarnation: u64,
    pub(crate) log: Oplog,
    /// The position before which the member knows that a majority holds everything.
    pub(crate) commit: usize,
    /// The most entries that the oplog keeps.
    pub(crate) capacity: usize,
    /// When a member that is recovering becomes secondary.
    pub(crate) recovers_at: Option<Instant>,
    /// Whether the member is to copy everything from another member when it recovers.
    pub(crate) resyncs: bool,
    /// The oldest position and whether tailers could read, each since that time.
    pub(crate) past: Vec<(Instant, usize, bool)>,
}

impl Member {
    pub(crate) fn new(host: String, hidden: bool, capacity: usize) -> Self {
        Self {
            host,
            hidden,
            role: Role::Secondary,
            up: true,
            hung: false,
            isolated: false,
            reach: Reach::Fine,
            incarnation: 1,
            log: Oplog::default(),
            commit: 0,
            capacity,
            recovers_at: None,
            resyncs: false,
            past: Vec::new(),
        }
    }

    /// Describes the member to whoever looks for the reason of a violation.
    pub(crate) fn summary(&self) -> String {
        let Self { host, role, up, hung, isolated, reach, resyncs, commit, log, .. } = self;
        format!(
            "{host} {role:?} up={up} hung={hung} isolated={isolated} {reach:?} resyncs={resyncs} \
             commit={commit} of {}..{}",
            log.start(),
            log.end()
        )
    }

    /// Whether the other members hear from it.
    pub(crate) fn is_among_others(&self) -> bool {
        self.up && !self.hung && !self.isolated
    }

    /// Whether a tailer gets answers to reads, in good time.
    pub(crate) fn is_readable(&self) -> bool {
        self.up && !self.hung && self.reach == Reach::Fine && self.role != Role::Recovering
    }

    pub(crate) fn recover_until(&mut self, then: Instant) {
        self.role = Role::Recovering;
        self.incarnation += 1;
        self.recovers_at = Some(then);
    }

    /// Remembers what a tailer could have read from now on.
    pub(crate) fn note(&mut self, now: Instant) {
        let state = (self.log.start(), self.is_readable());
        if self.past.last().is_none_or(|last| (last.1, last.2) != state) {
            self.past.push((now, state.0, state.1));
        }
    }

    /// Whether tailers could read the entry at a position, and the next one, all the time.
    pub(crate) fn offered(&self, position: usize, since: Instant, until: Instant) -> bool {
        let begins = self.past.partition_point(|(at, ..)| *at <= since).checked_sub(1);
        let ends = self.past.partition_point(|(at, ..)| *at <= until);
        let Some(begins) = begins else { return false };
        let mut states = self.past[begins..ends].iter();
        states.all(|(_, start, readable)| *readable && *start <= position)
            && self.log.end() > position + 1
    }
}
