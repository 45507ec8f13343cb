//! What assembly reports to its caller.

use crate::raw::Malformed;
use crate::{Entry, OpTime, Timestamp};

/// What became of the entry that was just pushed.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// The entry is not part of anything larger (or is all of its transaction), and is visible at
    /// its own timestamp.
    Single,
    /// The entry is part of a transaction that is not decided yet.
    Pending,
    /// The entry completes a transaction.
    Complete(Transaction<P>),
    /// The entry completes a transaction, some of whose entries were never pushed, as at the start
    /// of a capture.
    Incomplete(Incomplete),
    /// The entry aborts a transaction, whether its other entries were pushed or not. Nothing
    /// becomes visible.
    Aborted,
}

impl<P> Step<P> {
    /// Returns when the writes that `entry`, the entry just pushed, completes become visible;
    /// `None` if it completes none.
    pub fn visible(&self, entry: &Entry<'_>) -> Option<Timestamp> {
        match self {
            Step::Single => Some(entry.ts()),
            Step::Complete(transaction) => Some(transaction.visible),
            Step::Incomplete(incomplete) => Some(incomplete.visible),
            Step::Pending | Step::Aborted => None,
        }
    }
}

/// A transaction that is whole and committed. Its operations are those of `earlier`, in order, then
/// those of the entry just pushed if `last_carries_operations`.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction<P> {
    /// The first entry of the transaction.
    pub first: OpTime,
    /// The time at which its writes become visible.
    pub visible: Timestamp,
    /// What was kept of the entries before the last one, in order of timestamp.
    pub earlier: Vec<P>,
    /// Whether the last entry holds operations. False for `commitTransaction`, which holds none
    /// itself.
    pub last_carries_operations: bool,
    /// The number of elements in all its `applyOps` arrays together. No-ops count, and a nested
    /// `applyOps` counts as one.
    pub operations: u64,
}

/// A committed transaction whose beginning was never seen. Data is missing wherever its writes are:
/// this is harmless only to a caller that already holds the state at `visible` or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// The time at which its writes become visible.
    pub visible: Timestamp,
    /// The first entry of the transaction that was pushed, perhaps the last entry itself.
    pub first_known: OpTime,
    /// The entry before `first_known`. `None` if that entry does not say (the server always does).
    pub missing: Option<OpTime>,
}

/// Entries that contradict each other or the oplog's rules: the log is damaged, or comes from a
/// server that we do not understand. Going on would invent or lose writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssemblyError {
    /// An entry cannot be read as part of a transaction.
    #[error("entry {at} cannot be read as part of a transaction: {source}")]
    Malformed { at: OpTime, source: Malformed },
    /// An entry does not come after the entry that was pushed before it.
    #[error("entry {at} does not come after the one before it, {previous}")]
    OutOfOrder { at: OpTime, previous: OpTime },
    /// An entry contradicts the open transaction that it belongs to.
    #[error("entry {at} contradicts the transaction that begins at {first}: {reason}")]
    Contradiction { at: OpTime, first: OpTime, reason: &'static str },
    /// The commit timestamp of a prepared transaction is not between its prepare and its commit.
    #[error(
        "commitTransaction {at} has the commitTimestamp {commit}, which is not between its prepare at \
         {prepare} and itself"
    )]
    CommitTimestamp { at: OpTime, commit: Timestamp, prepare: Timestamp },
    /// A transaction does not have as many operations as its last entry states.
    #[error(
        "the transaction from {first} through {at} has {found} operations, but says it has {stated}"
    )]
    Count { at: OpTime, first: OpTime, found: u64, stated: i64 },
}
