//! Removes the oldest segments.
//!
//! First the new beginning is made durable, then the files are removed. After a crash in between,
//! the next writer removes the rest. A pack is removed when all of its segments are.

use std::sync::PoisonError;

use hindsight_segment::{ChainEnd, Sequence, check_next};

use super::beginning;
use super::files::{Step, remove_file};
use super::store::Store;
use super::stored::OpenFile;
use crate::error::LogError;

impl Store {
    pub(super) fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.check_writable()?;
        self.begin_with(sequence)?;
        // Files may be many, and an append need not wait for their end.
        self.clear_surplus()
    }

    /// Lets the log begin with `sequence`, unless it begins later.
    fn begin_with(&self, sequence: Sequence) -> Result<(), LogError> {
        let _no_append_meanwhile = self.appending();
        // The segment that the log will begin with must not vanish after the others did.
        self.settle_alone()?;
        let (first, end) = {
            let state = self.state();
            (state.first(), state.end.as_ref().map(|end| end.sequence()))
        };
        if sequence > first {
            if end.is_none_or(|end| sequence > end) {
                return Err(LogError::end_stays(self.directory.display(), sequence, end));
            }
            let last_removed = self.despite_changes(|| self.last_before(sequence))?;
            self.begin_after(&last_removed)?;
            self.state().begin_after(last_removed);
        }
        Ok(())
    }

    /// Returns the end of the chain before `sequence`, after checking that the log can begin there.
    fn last_before(&self, sequence: Sequence) -> Result<ChainEnd, LogError> {
        let open = |sequence: Sequence| {
            let file = self.state().file(sequence);
            let file =
                file.ok_or_else(|| LogError::no_segment(self.directory.display(), sequence))?;
            OpenFile::open(&self.directory, file)
        };
        let last = Sequence(sequence.0 - 1);
        let end = open(last)?.segment(last)?.info()?.chain_end();
        let file = open(sequence)?;
        let first = file.segment(sequence)?;
        check_next(Some(&end), &first.info()?).map_err(|reason| first.corrupt(reason))?;
        Ok(end)
    }

    /// Makes durable where the log begins from now on.
    fn begin_after(&self, last_removed: &ChainEnd) -> Result<(), LogError> {
        beginning::write_temporary(&self.directory, last_removed, &self.before_step)
            .and_then(|()| beginning::rename(&self.directory, &self.before_step))
            .map_err(|(step, error)| {
                let place = self.directory.join(beginning::TEMPORARY_FILE);
                LogError::unavailable(place.display(), step.action(), error)
            })?;
        self.sync()
    }

    /// Removes the files that the log needs no more. What cannot be removed is tried again with the
    /// next removal, with the next pack, and when the log is opened.
    pub(super) fn clear_surplus(&self) -> Result<(), LogError> {
        // A pack that was removed may be written again under the same name. Nobody may be about to
        // remove it then.
        let _one_at_a_time = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(file) = self.state().surplus.front().copied() else { return Ok(()) };
            let path = self.path_of(&file);
            let step = Step::RemoveFile(file.begins());
            (self.before_step)(step)
                .map_err(|error| LogError::unavailable(path.display(), step.action(), error))?;
            remove_file(&path)?;
            self.state().surplus.pop_front();
        }
    }
}
