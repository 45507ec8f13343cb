//! The unit that is being applied, and the collection that an operation of it is on.

use hindsight_oplog::{OpTime, Timestamp};

use crate::capped::SYSTEM_VERSION;
use crate::{ApplyError, CollectionState, state};

/// What an operation on a document must know about the collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) number: u32,
    pub(crate) capped: bool,
    /// Whether the server writes to the collection without logging.
    pub(crate) unlogged: bool,
    /// Whether the collection holds the feature compatibility version.
    pub(crate) system_version: bool,
    /// Whether strings of the collection are compared otherwise than by their bytes.
    pub(crate) has_collation: bool,
    /// Whether the history leaves the documents of the collection out.
    pub(crate) excluded: bool,
}

/// The current unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) at: OpTime,
    /// The time under which its versions are stored.
    pub(crate) visible: Timestamp,
    pub(crate) relaxed: bool,
    /// Position of the current operation.
    pub(crate) position: u64,
}

impl Target {
    pub(crate) fn of(number: u32, state: &CollectionState) -> Self {
        Target {
            number,
            capped: state.is_capped(),
            unlogged: state::is_written_unlogged(&state.ns),
            system_version: state.ns == SYSTEM_VERSION,
            has_collation: state.collation().is_some(),
            excluded: state.excluded,
        }
    }
}

impl Unit {
    pub(crate) fn unsupported(&self, ns: &str, what: impl Into<String>) -> ApplyError {
        ApplyError::Unsupported { at: self.at, ns: ns.to_owned(), what: what.into() }
    }

    pub(crate) fn inconsistent(&self, ns: &str, reason: impl Into<String>) -> ApplyError {
        ApplyError::Inconsistent { at: self.at, ns: ns.to_owned(), reason: reason.into() }
    }
}
