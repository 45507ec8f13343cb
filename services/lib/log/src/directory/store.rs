//! The directory behind a [`super::DirectoryLog`]. All functions here block.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_segment::{ChainEnd, SegmentInfo, Sequence};

use super::beginning;
use super::chain::check_files;
use super::files::BeforeStep;
use super::listing::{Listing, first_after, last_of};
use super::names::LogFile;
use crate::beginning::Beginning;
use crate::error::{Damage, LogError};

pub(super) struct Store {
    pub(super) directory: PathBuf,
    /// The writer holds it as long as the writer lives. Readers need none.
    pub(super) lock: Option<File>,
    state: Mutex<State>,
    /// Held during an append, so that there is one append at a time. It is separate from `state`,
    /// so that reads go on meanwhile.
    pub(super) appending: Mutex<()>,
    /// Held while segments are packed, so that one pack is written at a time. Appends, reads and
    /// removals go on meanwhile.
    pub(super) packing: Mutex<()>,
    /// Held while files are removed that the log needs no more.
    pub(super) clearing: Mutex<()>,
    pub(super) before_step: BeforeStep,
}

#[derive(Default)]
pub(super) struct State {
    /// The last segment that was removed. None when none was.
    pub(super) before: Option<ChainEnd>,
    /// The files that hold the segments from the first one on, in order and without holes. The
    /// first one may be a pack that begins earlier.
    pub(super) files: Vec<LogFile>,
    /// The files that the log needs no more, and that are still there: their segments were removed,
    /// or a pack holds them. A writer removes the files, a reader ignores them.
    pub(super) surplus: VecDeque<LogFile>,
    pub(super) end: Option<Arc<SegmentInfo>>,
    /// The last segment has its name, but syncing the directory failed. A power failure may take
    /// the name away again.
    pub(super) unsynced: bool,
    /// How many times files were removed or packed. Whoever looked for a file and did not find it
    /// looks again when this has changed.
    pub(super) changes: u64,
}

impl State {
    /// Returns the sequence of the first segment.
    pub(super) fn first(&self) -> Sequence {
        first_after(self.before.as_ref())
    }

    /// Returns the sequence of the last segment, or the one before the first segment.
    pub(super) fn last(&self) -> Sequence {
        last_of(self.first(), &self.files)
    }

    /// Returns the file that holds a segment.
    pub(super) fn file(&self, sequence: Sequence) -> Option<LogFile> {
        if !(self.first()..=self.last()).contains(&sequence) {
            return None;
        }
        let at = self.files.partition_point(|file| file.ends() < sequence);
        self.files.get(at).copied()
    }

    /// Takes the segments up to and including this one out of the log. A pack that also holds later
    /// ones stays.
    pub(super) fn begin_after(&mut self, last_removed: ChainEnd) {
        let count = self.files.partition_point(|file| file.ends() <= last_removed.sequence);
        self.surplus.extend(self.files.drain(..count));
        self.before = Some(last_removed);
        self.changes += 1;
    }

    /// Puts a pack in the place of the files whose segments it holds. Some or all of them may have
    /// been removed since.
    pub(super) fn replace(&mut self, pack: LogFile) {
        let begin = self.files.partition_point(|file| file.begins() < pack.begins());
        let end = self.files.partition_point(|file| file.ends() <= pack.ends());
        self.changes += 1;
        if begin >= end {
            self.surplus.push_back(pack);
            return;
        }
        let replaced: Vec<_> = self.files.splice(begin..end, [pack]).collect();
        self.surplus.extend(replaced);
    }
}

impl Store {
    pub(super) fn new(directory: PathBuf, lock: Option<File>, before_step: BeforeStep) -> Self {
        Self {
            directory,
            lock,
            state: Mutex::default(),
            appending: Mutex::default(),
            packing: Mutex::default(),
            clearing: Mutex::default(),
            before_step,
        }
    }

    pub(super) fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.refresh()?;
        self.settle()?;
        Ok(self.state().end.clone())
    }

    pub(super) fn begin(&self) -> Result<Option<Beginning>, LogError> {
        self.refresh()?;
        self.settle()?;
        let state = self.state();
        let whole = || Some(Beginning::of_all(state.end.as_ref()?.header.source.clone()));
        Ok(state.before.as_ref().map(Beginning::after).or_else(whole))
    }

    /// Takes in what another process has appended, removed and packed since. The writer knows its
    /// log without looking.
    pub(super) fn refresh(&self) -> Result<(), LogError> {
        match self.lock {
            Some(_) => Ok(()),
            None => Listing::with(&self.directory, |listing| self.take_in(listing)),
        }
    }

    fn take_in(&self, new: &Listing) -> Result<(), LogError> {
        let (last, end) = {
            let state = self.state();
            if state.first() == new.first() && state.files == new.files {
                return Ok(());
            }
            (state.last(), state.end.clone())
        };
        if new.last() < last {
            let damage = Damage::MissingAfter(last);
            let last = new.files.last().map_or(self.directory.clone(), |it| self.path_of(it));
            return Err(LogError::corrupt(last.display(), damage));
        }
        // The writer may not have synced the directory yet, and a segment that this handle has
        // shown must not vanish.
        self.sync()?;
        // What this handle knew last may have been removed, together with what came after it.
        let known = end.as_ref().map(|end| end.chain_end());
        let known = known.filter(|end| end.sequence.next() >= new.first());
        let known = known.or_else(|| new.before.clone());
        let unread = last.next().max(new.first());
        let end = check_files(&self.directory, &new.files, unread, known)?.or(end);
        let mut state = self.state();
        // Another call may have taken in a newer listing meanwhile.
        if new.first() >= state.first() && new.last() >= state.last() {
            let is_continued = new.first() == state.first() && new.files.starts_with(&state.files);
            state.changes += u64::from(!is_continued);
            state.before.clone_from(&new.before);
            state.files.clone_from(&new.files);
            state.end = end;
        }
        Ok(())
    }

    /// Does `work`. Does it again when it failed and files were removed or packed meanwhile: it may
    /// have looked for files that are gone.
    pub(super) fn despite_changes<T>(
        &self,
        work: impl Fn() -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        self.notice_removals()?;
        loop {
            let changes = self.state().changes;
            let outcome = work();
            let is_final = matches!(outcome, Ok(_) | Err(LogError::Removed { .. }));
            if is_final || self.refresh().is_err() || self.state().changes == changes {
                return outcome;
            }
        }
    }

    /// Takes in that another process has removed segments. A pack may still hold them, so no
    /// missing file would tell.
    fn notice_removals(&self) -> Result<(), LogError> {
        let is_news =
            |before: Option<ChainEnd>| first_after(before.as_ref()) != self.state().first();
        if self.lock.is_none() && is_news(beginning::read(&self.directory)?) {
            self.refresh()?;
        }
        Ok(())
    }

    pub(super) fn set_state(&self, state: State) {
        *self.state() = state;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path_of(&self, file: &LogFile) -> PathBuf {
        self.directory.join(file.to_string())
    }
}
