//! The positions of capture, published as one value. `durable` and `indexed` move in one place
//! only, and the order of the positions is asserted.

use hindsight_oplog::{OpTime, Timestamp};
use hindsight_runtime::Board;
use tokio::sync::watch;

/// The positions of capture: `indexed ≤ durable ≤ received ≤ majority`. The replayer's `applied`
/// comes below them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Positions {
    /// The source's majority point.
    pub majority: Option<OpTime>,
    /// The last entry read from the source.
    pub received: Option<OpTime>,
    /// The last entry that is durable in the log.
    pub durable: Option<OpTime>,
    /// The last entry that is absorbed into the index.
    pub indexed: Option<OpTime>,
    /// Everything visible at or before this timestamp is durable, and every transaction prepared by
    /// then is resolved.
    pub restorable_through: Option<Timestamp>,
    /// The oldest entry that the source still has. Older entries can no longer be read from it.
    pub oldest_at_source: Option<OpTime>,
    /// The last sequence that is durable and indexed.
    pub sequence: Option<u64>,
}

impl Positions {
    /// Returns how far the durable position is behind the source, in seconds of cluster time.
    pub fn capture_lag_seconds(&self) -> Option<u32> {
        seconds_between(self.durable, self.majority)
    }

    /// Returns how far a history that applied entries through `applied` is behind the durable
    /// position, in seconds of cluster time.
    pub fn apply_lag_seconds(&self, applied: Option<OpTime>) -> Option<u32> {
        seconds_between(applied, self.durable)
    }

    /// Returns how much oplog the source still has before the durable position, in seconds of
    /// cluster time. At 0, entries are lost.
    pub fn headroom_seconds(&self) -> Option<u32> {
        seconds_between(self.oldest_at_source, self.durable)
    }
}

fn seconds_between(earlier: Option<OpTime>, later: Option<OpTime>) -> Option<u32> {
    Some(later?.ts.seconds().saturating_sub(earlier?.ts.seconds()))
}

/// Moves the positions. Readers watch them. Clones are handles of the same board.
#[derive(Debug, Clone, Default)]
pub struct PositionBoard(Board<Positions>);

impl PositionBoard {
    /// Makes a board with these positions.
    pub fn new(initial: Positions) -> Self {
        Self(Board::new(initial))
    }

    /// Returns a receiver that is notified when the positions change.
    pub fn watch(&self) -> watch::Receiver<Positions> {
        self.0.watch()
    }

    /// Returns the present positions.
    pub fn now(&self) -> Positions {
        self.0.now()
    }

    /// Notes a member's majority point. The position never moves back.
    pub fn saw_majority(&self, majority: OpTime) {
        self.0.change(|positions| positions.majority = positions.majority.max(Some(majority)));
    }

    /// Notes the oldest entry of the member being read.
    pub fn saw_oldest(&self, oldest: OpTime) {
        self.0.change(|positions| positions.oldest_at_source = Some(oldest));
    }

    /// Notes the last entry received. Entries are read with majority read concern, so what was
    /// received is majority committed, even before the next look at the member's majority point
    /// says so.
    pub fn received(&self, received: OpTime) {
        self.0.change(|positions| {
            positions.received = positions.received.max(Some(received));
            positions.majority = positions.majority.max(positions.received);
        });
    }

    /// Notes that a segment is durable and indexed. These two positions move nowhere else (I4).
    ///
    /// # Panics
    /// Panics when `last` is before `durable` or after `received`.
    pub fn durable(&self, last: OpTime, sequence: u64, restorable_through: Timestamp) {
        self.0.change(|positions| {
            assert!(positions.durable <= Some(last), "durable moves only forward");
            assert!(Some(last) <= positions.received, "durable follows received");
            positions.durable = Some(last);
            positions.indexed = Some(last);
            positions.sequence = Some(sequence);
            positions.restorable_through =
                positions.restorable_through.max(Some(restorable_through));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_pulls_majority_along_and_durable_follows() {
        let board = PositionBoard::new(Positions::default());
        let at = |increment| OpTime::new(10, increment, 1);
        board.saw_majority(at(1));
        board.received(at(5));
        assert_eq!(board.now().majority, Some(at(5)));
        board.saw_majority(at(3));
        assert_eq!(board.now().majority, Some(at(5)), "never back");
        board.durable(at(4), 1, at(4).ts);
        assert_eq!(board.now().restorable_through, Some(at(4).ts));
    }

    #[test]
    #[should_panic(expected = "durable follows received")]
    fn durable_beyond_received_is_a_broken_invariant() {
        let board = PositionBoard::new(Positions::default());
        board.durable(OpTime::new(10, 1, 1), 1, Timestamp::ZERO);
    }
}
