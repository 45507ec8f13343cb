//! The oplog of one member.

use std::collections::VecDeque;
use std::sync::Arc;

use hindsight_oplog::{OpTime, Timestamp};

use crate::entries::Entry;

/// Entries in order. Each has a position: the number of entries before it in its history. Two logs
/// that hold the same optime at a position are equal up to it, as in Raft.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oplog {
    /// The position of the oldest entry that is left.
    start: usize,
    entries: VecDeque<Arc<Entry>>,
}

impl Oplog {
    /// Makes a log whose first entry will have this position.
    pub(crate) fn starting(start: usize) -> Self {
        Self { start, entries: VecDeque::new() }
    }

    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Returns the position after the newest entry.
    pub(crate) fn end(&self) -> usize {
        self.start + self.entries.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, position: usize) -> Option<&Arc<Entry>> {
        self.entries.get(position.checked_sub(self.start)?)
    }

    pub(crate) fn oldest(&self) -> Option<&Arc<Entry>> {
        self.entries.front()
    }

    pub(crate) fn newest(&self) -> Option<&Arc<Entry>> {
        self.entries.back()
    }

    /// Returns the optime of the newest entry.
    pub(crate) fn last(&self) -> OpTime {
        self.newest().map_or(OpTime::NONE, |entry| entry.optime)
    }

    pub(crate) fn push(&mut self, entry: Arc<Entry>) {
        self.entries.push_back(entry);
    }

    /// Removes the entries at and after a position, as a rollback does.
    pub(crate) fn roll_back_to(&mut self, end: usize) {
        self.entries.truncate(end.saturating_sub(self.start));
    }

    /// Removes the entries before a position, as the limit on the log's size does. The newest entry
    /// always stays.
    pub(crate) fn forget_before(&mut self, start: usize) {
        while self.start < start && self.entries.len() > 1 {
            self.entries.pop_front();
            self.start += 1;
        }
    }

    /// Replaces the entry at a position.
    pub(crate) fn replace(&mut self, position: usize, entry: Arc<Entry>) {
        if let Some(held) = position.checked_sub(self.start).and_then(|at| self.entries.get_mut(at))
        {
            *held = entry;
        }
    }

    /// Returns the position of the first entry at or after a timestamp.
    pub(crate) fn position_from(&self, ts: Timestamp) -> usize {
        self.start + self.entries.partition_point(|entry| entry.optime.ts < ts)
    }

    /// Returns the position up to which both logs are known to be equal. None when they have no
    /// position in common.
    pub(crate) fn common_end(&self, other: &Self) -> Option<usize> {
        let lowest = self.start.max(other.start);
        let highest = self.end().min(other.end());
        let is_equal = |at: &usize| match (self.get(*at), other.get(*at)) {
            (Some(own), Some(others)) => own.optime == others.optime,
            _ => false,
        };
        (lowest..highest).rev().find(is_equal).map(|at| at + 1)
    }
}
