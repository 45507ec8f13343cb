//! What the follower tells everybody else.

use hindsight_oplog::{OpTime, Timestamp};

use super::error::Remedy;
use super::{FollowError, Follower};

/// How far the history is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub applied: Option<OpTime>,
    /// The last time whose state is complete.
    pub through: Option<Timestamp>,
    pub entries: u64,
    /// Why the history goes no further without help. The log goes on.
    pub stopped: Option<Stopped>,
    /// Why the history does not go on at the moment; it is tried again and again.
    pub waiting: Option<String>,
    /// The base being loaded.
    pub loading: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    pub reason: String,
    /// A base that is copied from now on lets the history begin again, and none that is there does.
    pub needs_base: bool,
}

impl Follower {
    /// What readers of the history see by now, which a writer whose store failed may be ahead of.
    pub(super) fn publish_stored(&self, entries: u64) {
        let generations = self.history.generations();
        self.board.send_modify(|board| {
            for generation in &generations {
                board.applied = generation.applied().max(board.applied);
                board.through = generation.window().map(|(_, through)| through).max(board.through);
            }
            board.entries = entries;
        });
    }

    /// Nothing is in the way.
    pub(super) fn goes_on(&self) {
        self.tell(None, None);
    }

    /// It passes by itself.
    pub(super) fn waits_for(&self, error: &FollowError) {
        tracing::warn!(%error, "the history cannot go on; trying again");
        self.tell(None, Some(format!("the history waits: {error}")));
    }

    /// It does not pass by itself. Told to the log once, however often it is met again.
    pub(super) fn stops_for(&self, error: &FollowError) {
        let needs_base = error.remedy() == Remedy::NewBase && self.lacks_later_base();
        let stopped = Some(Stopped { reason: error.to_string(), needs_base });
        self.take_back(error);
        let is_new = self.board.borrow().stopped != stopped;
        if is_new {
            crate::metrics::history_stopped();
            tracing::error!(%error, "the history stops here; the log goes on");
        }
        self.tell(stopped, None);
    }

    /// Times that were falsely called complete are not called so any more.
    pub(super) fn take_back(&self, error: &FollowError) {
        if let FollowError::FalselyComplete { visible, .. } = error {
            self.board.send_modify(|board| board.through = Some(visible.predecessor()));
        }
    }

    pub(super) fn tell(&self, stopped: Option<Stopped>, waiting: Option<String>) {
        self.board.send_if_modified(|board| {
            let is_new = board.stopped != stopped || board.waiting != waiting;
            board.stopped = stopped;
            board.waiting = waiting;
            is_new
        });
    }

    /// Which base is being loaded.
    pub(super) fn loads(&self, name: Option<&str>) {
        self.board.send_modify(|board| board.loading = name.map(str::to_owned));
    }
}
