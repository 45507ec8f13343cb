//! Commits: what was applied and the progress go into the store in one batch.

use std::sync::Arc;

use hindsight_oplog::OpTime;

use super::Writer;
use crate::generation::{self, Generation, Progress};
use crate::observed;
use crate::storing::Record;
use crate::{ApplyError, HistoryError, key, state};

/// More collections than this are not remembered from one commit to the next.
const REMEMBERED_COLLECTIONS: usize = 10_000;

impl Writer<'_> {
    /// Stores what was applied since the last commit, and the progress with it, in one batch.
    /// Returns when readers see it.
    ///
    /// # Errors
    /// Returns [`ApplyError::OutOfOrder`] when the progress does not fit the units that were
    /// applied or would move back, [`ApplyError::Stopped`] when the progress reaches a refused
    /// unit, [`ApplyError::Inconsistent`] when the relaxed window ends with a collection that is
    /// neither in the base nor created nor dropped in the log, and [`ApplyError::Store`] when the
    /// store fails.
    pub fn commit(&mut self, progress: Progress) -> Result<(), ApplyError> {
        self.commit_behind(progress)?;
        Ok(self.storing.wait()?)
    }

    /// Like [`Writer::commit`], but returns as soon as the previous commit is stored, to catch up
    /// faster. The next call reports errors of the store.
    ///
    /// # Errors
    /// As for [`Writer::commit`].
    pub fn commit_behind(&mut self, progress: Progress) -> Result<(), ApplyError> {
        self.check_progress(&progress)?;
        if progress.through >= self.generation.base.exact_from {
            self.close_window(progress.applied)?;
        }
        let generation = Generation {
            progress: Some(progress),
            hashes: self.proof.hashes(),
            ..self.generation.clone()
        };
        let records = self.records(&generation);
        self.storing.store(&self.latest, records, generation.clone())?;
        self.handed += 1;
        self.edits.clear();
        self.observed.clear();
        self.deleted.clear();
        // The arena that is forgotten here was handed over at least one commit ago, so it is in the
        // store.
        if self.latest.stored() {
            self.stored.refresh()?;
            self.forgotten = std::mem::replace(&mut self.old_through, self.handed);
            self.doubt_ahead();
        }
        if self.greatest.len() > REMEMBERED_COLLECTIONS {
            // Once all of it is in the store, it can be read from there when it is needed.
            self.storing.wait()?;
            self.greatest.clear();
        }
        self.generation = generation;
        self.last_unit = self.last_unit.max(Some(progress.applied));
        Ok(())
    }

    /// Returns the records of what changed in the catalog, and of the progress.
    fn records(&self, generation: &Generation) -> Vec<Record> {
        let mut records = Vec::new();
        if !self.edits.is_empty() {
            let catalog = self.history.read_catalog();
            for edit in &self.edits {
                let state = catalog.get(edit.number).and_then(|number| number.at(edit.since));
                let record = state::encode(generation.id, state.map(Arc::as_ref));
                records.push((key::collection(edit.number, edit.since), record));
            }
            records.push((key::NEXT_NUMBER.to_vec(), catalog.next_number().to_be_bytes().to_vec()));
        }
        let deleted = self.deleted.iter();
        records.extend(deleted.map(|key| (key.clone(), Vec::new())));
        for observed in &self.observed {
            records.push((key::observed(observed.number, observed.at), observed::encode(observed)));
        }
        records.push((key::generation(generation.id), generation::encode(generation)));
        records
    }

    fn check_progress(&self, progress: &Progress) -> Result<(), ApplyError> {
        let wrong = |reason: String| ApplyError::OutOfOrder { at: progress.applied, reason };
        if progress.through > progress.applied.ts {
            return Err(wrong(format!("complete through {} is ahead of it", progress.through)));
        }
        if let Some(stopped) = self.stopped.filter(|stopped| progress.applied.ts >= stopped.ts) {
            return Err(ApplyError::Stopped { at: stopped });
        }
        if self.last_unit.is_some_and(|last| progress.applied.ts < last.ts) {
            return Err(wrong("later units were applied".to_owned()));
        }
        match self.generation.progress {
            Some(before)
                if before.applied > progress.applied || before.through > progress.through =>
            {
                Err(wrong(format!("progress would move back from {}", before.applied)))
            }
            _ => Ok(()),
        }
    }

    /// Makes everything that is committed durable.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store fails.
    pub fn flush(&mut self) -> Result<(), HistoryError> {
        self.storing.wait()?;
        self.history.flush()
    }

    /// Checks at the end of the relaxed window that every collection that was written to turned out
    /// to be real.
    pub(super) fn close_window(&mut self, at: OpTime) -> Result<(), ApplyError> {
        if self.window_closed {
            return Ok(());
        }
        let catalog = self.history.read_catalog();
        let unresolved = catalog
            .of_generation(self.generation.id)
            .filter_map(|(_, collection)| collection.newest())
            .find(|state| state.implicit && !state::is_written_unlogged(&state.ns));
        if let Some(state) = unresolved {
            let reason = "written to before the base ended, but neither in the base nor created \
                          nor dropped in the log";
            return Err(ApplyError::Inconsistent {
                at,
                ns: state.ns.clone(),
                reason: reason.to_owned(),
            });
        }
        self.window_closed = true;
        Ok(())
    }
}
