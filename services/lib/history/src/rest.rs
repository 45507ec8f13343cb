//! Lets go of the base that the newest generation was built from.

use hindsight_oplog::{OpTime, Timestamp};
use rocksdb::WriteBatch;

use crate::settings::write_options;
use crate::{Generation, History, HistoryError, key};

/// A later base of the same run of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterBase<'a> {
    /// The name of the base.
    pub name: &'a str,
    /// The time from which the base is exact.
    pub exact_from: Timestamp,
    /// The first entry of the log that the base needs.
    pub capture_from: OpTime,
}

impl History {
    /// Lets the newest generation rest on a later base: from now on it needs the log from where
    /// that base needs it, and its own base no longer. Nothing that can be read changes. Returns
    /// whether the generation rests on the base; it does not while it is not past the base.
    ///
    /// # Errors
    /// Returns [`HistoryError::Store`] when the store cannot be written.
    pub fn rest_on(&self, base: &LaterBase<'_>) -> Result<bool, HistoryError> {
        let Some(newest) = self.generations().pop() else { return Ok(false) };
        if newest.rests_on() != base.name && !is_past(&newest, base) {
            return Ok(false);
        }
        self.note_rest(&newest, base.name)?;
        Ok(true)
    }

    /// Notes that bases older than the one that the newest generation rests on may be removed.
    ///
    /// # Errors
    /// Returns [`HistoryError::Store`] when the store cannot be written.
    pub fn rest_where_it_is(&self) -> Result<(), HistoryError> {
        let Some(newest) = self.generations().pop() else { return Ok(()) };
        self.note_rest(&newest, newest.rests_on())
    }

    /// Stores what a generation rests on, also when that is its own base: from now on there may be
    /// times that nothing but the history can show ([`History::open`]).
    fn note_rest(&self, generation: &Generation, base: &str) -> Result<(), HistoryError> {
        if generation.rests_on.as_deref() == Some(base) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put(key::rests_on(generation.id), base);
        self.db.write_opt(batch, &write_options())?;
        // The progress that makes this true must be on disk with it: the caller removes the log
        // that would have to be applied again.
        self.db.flush()?;
        let mut rests_on = self.rests_on.write().expect("no one panics while changing a name");
        rests_on.insert(generation.id, base.to_owned());
        Ok(())
    }
}

/// Returns whether the generation holds everything that the base holds, and needs no entry before
/// those that the base needs.
fn is_past(generation: &Generation, base: &LaterBase<'_>) -> bool {
    generation.progress.is_some_and(|progress| {
        let needed = progress.oldest_open.unwrap_or(progress.applied);
        progress.through >= base.exact_from.max(generation.base.exact_from)
            && needed >= base.capture_from
    })
}
