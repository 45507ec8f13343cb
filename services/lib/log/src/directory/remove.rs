//! Removes the oldest segments.
//!
//! First the new beginning is made durable, then the files are removed. After a crash in between,
//! the next writer removes the rest.

use hindsight_segment::{ChainEnd, Sequence, check_next};

use super::beginning;
use super::files::{Step, read_info, remove_file};
use super::store::Store;
use crate::error::LogError;

impl Store {
    pub(super) fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.check_writable()?;
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
            let last_removed = self.last_before(sequence)?;
            self.begin_after(&last_removed)?;
            self.state().begin_after(last_removed);
        }
        self.clear_removed()
    }

    /// Returns the end of the chain before `sequence`, after checking that the log can begin there.
    fn last_before(&self, sequence: Sequence) -> Result<ChainEnd, LogError> {
        let info = |sequence: Sequence| {
            let name = self.state().name(sequence);
            let name =
                name.ok_or_else(|| LogError::no_segment(self.directory.display(), sequence))?;
            read_info(&self.directory, &name)
        };
        let end = info(Sequence(sequence.0 - 1))?.chain_end();
        let first = info(sequence)?;
        check_next(Some(&end), &first).map_err(|reason| {
            let name = super::names::SegmentName::of(&first);
            LogError::corrupt(self.path_of(&name).display(), reason)
        })?;
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

    /// Removes the files that the log no longer holds. What cannot be removed is tried again with
    /// the next removal, and when the log is opened.
    pub(super) fn clear_removed(&self) -> Result<(), LogError> {
        loop {
            let Some(name) = self.state().removed.front().copied() else { return Ok(()) };
            let path = self.path_of(&name);
            let step = Step::RemoveSegment(name.sequence);
            (self.before_step)(step)
                .map_err(|error| LogError::unavailable(path.display(), step.action(), error))?;
            remove_file(&path)?;
            self.state().removed.pop_front();
        }
    }
}
