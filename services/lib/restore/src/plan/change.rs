//! What is changed about a collection once its documents are written.

use super::super::time_series::set_mark;
use super::PlannedCollection;

/// A change that has to wait until the documents are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Takes away the mark of mixed types that was set only so that buckets could be written.
    TakeMarkAway,
    /// Sets `expireAfterSeconds`.
    Expire,
    /// Sets the bounds of a capped collection.
    Bound,
}

impl PlannedCollection {
    /// Returns true if this change must be made once the documents are written.
    pub fn needs(&self, change: Change) -> bool {
        self.command_for(change).is_some()
    }

    /// Builds the command that makes the change, if it must be made.
    pub fn command_for(&self, change: Change) -> Option<Vec<u8>> {
        match change {
            Change::TakeMarkAway => {
                let series = self.time_series.as_ref().filter(|series| series.unmark)?;
                Some(set_mark(&series.view, false))
            }
            Change::Expire => self.expire.clone(),
            Change::Bound => self.bounds.clone(),
        }
    }
}
