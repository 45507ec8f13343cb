//! What the follower publishes for the rest of the process.

use hindsight_oplog::{OpTime, Timestamp};
use hindsight_remedy::Finding;

use super::error::Needs;
use super::{FollowError, Follower};

/// How far the history is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last entry that was applied.
    pub applied: Option<OpTime>,
    /// The last time whose state is complete.
    pub through: Option<Timestamp>,
    /// The number of entries applied since the history was last opened for writing.
    pub entries: u64,
    /// Why the history cannot continue without help. The log continues.
    pub stopped: Option<Stopped>,
    /// Why the history cannot continue at the moment. The follower tries again regularly.
    pub waiting: Option<String>,
    /// The base that is being loaded.
    pub loading: Option<String>,
}

/// Why the history stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The reason, for people.
    pub reason: Finding,
    /// True when no existing base lets the history begin again, but a base that is copied from now
    /// on does.
    pub needs_base: bool,
}

impl Follower {
    /// Publishes what readers of the history see by now. A writer whose store failed may be ahead
    /// of this.
    pub(super) fn publish_stored(&self, entries: u64) {
        let generations = self.history.generations();
        self.board.change(|board| {
            for generation in &generations {
                board.applied = generation.applied().max(board.applied);
                board.through = generation.window().map(|(_, through)| through).max(board.through);
            }
            board.entries = entries;
        });
    }

    /// Notes that nothing is in the way.
    pub(super) fn goes_on(&self) {
        self.tell(None, None);
    }

    /// Notes an obstacle that passes by itself.
    pub(super) fn waits_for(&self, error: &FollowError) {
        tracing::warn!(%error, "the history cannot go on; trying again");
        self.tell(None, Some(format!("the history waits: {error}")));
    }

    /// Notes an obstacle that does not pass by itself. The process logs it once, however often it
    /// recurs.
    pub(super) fn stops_for(&self, error: &FollowError) {
        let needs_base = error.needs() == Needs::NewBase && self.lacks_later_base();
        let stopped = Some(Stopped { reason: error.into(), needs_base });
        self.take_back(error);
        let is_new = self.board.read(|board| board.stopped != stopped);
        if is_new {
            crate::metrics::history_stopped();
            tracing::error!(%error, "the history stops here; the log goes on");
        }
        self.tell(stopped, None);
    }

    /// Withdraws the times that were falsely published as complete.
    pub(super) fn take_back(&self, error: &FollowError) {
        if let FollowError::FalselyComplete { visible, .. } = error {
            self.board.change(|board| board.through = Some(visible.predecessor()));
        }
    }

    pub(super) fn tell(&self, stopped: Option<Stopped>, waiting: Option<String>) {
        self.board.change_if(|board| {
            let is_new = board.stopped != stopped || board.waiting != waiting;
            board.stopped = stopped;
            board.waiting = waiting;
            is_new
        });
    }

    /// Notes which base is being loaded. None when no base is.
    pub(super) fn loads(&self, name: Option<&str>) {
        self.board.change(|board| board.loading = name.map(str::to_owned));
    }
}
