//! What assembly tells its caller.

use crate::raw::Malformed;
use crate::{Entry, OpTime, Timestamp};

/// What became of the entry just pushed.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// It is no part of anything larger (or all of its transaction), and visible at its own
    /// timestamp.
    Single,
    /// It is part of a transaction that is not decided yet.
    Pending,
    /// It completes a transaction.
    Complete(Transaction<P>),
    /// It completes a transaction of which entries were never pushed, as at the start of a capture.
    Incomplete(Incomplete),
    /// It aborts a transaction, pushed or not: nothing becomes visible.
    Aborted,
}

impl<P> Step<P> {
    /// When the writes that `entry`, the one pushed, brings to an end become visible, if any do.
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
    pub first: OpTime,
    pub visible: Timestamp,
    /// What was kept of the entries before the last, in order of timestamp.
    pub earlier: Vec<P>,
    /// False for `commitTransaction`, which holds no operations itself.
    pub last_carries_operations: bool,
    /// Elements of all its `applyOps` arrays together, no-ops included and nested ones unopened.
    pub operations: u64,
}

/// A committed transaction whose beginning we never saw. Data is missing wherever its writes are:
/// this is harmless only to who already holds the state at `visible` or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    pub visible: Timestamp,
    /// The first entry of it that was pushed, perhaps the last one itself.
    pub first_known: OpTime,
    /// The entry before it. None if the entry does not say (the server always does).
    pub missing: Option<OpTime>,
}

/// Entries that contradict each other or the oplog's rules: the log is damaged, or from a server
/// that we do not understand. Going on would invent or lose writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssemblyError {
    #[error("entry {at} cannot be read as part of a transaction: {source}")]
    Malformed { at: OpTime, source: Malformed },
    #[error("entry {at} does not come after the one before it, {previous}")]
    OutOfOrder { at: OpTime, previous: OpTime },
    #[error("entry {at} contradicts the transaction that begins at {first}: {reason}")]
    Contradiction { at: OpTime, first: OpTime, reason: &'static str },
    #[error(
        "commitTransaction {at} has the commitTimestamp {commit}, which is not between its prepare at \
         {prepare} and itself"
    )]
    CommitTimestamp { at: OpTime, commit: Timestamp, prepare: Timestamp },
    #[error(
        "the transaction from {first} through {at} has {found} operations, but says it has {stated}"
    )]
    Count { at: OpTime, first: OpTime, found: u64, stated: i64 },
}
