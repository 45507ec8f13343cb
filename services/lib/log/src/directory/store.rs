//! The directory behind a [`super::DirectoryLog`]. All functions here block.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_segment::{ChainEnd, SegmentInfo, Sequence};

use super::beginning;
use super::files::{BeforeStep, create_directory, read_info, remove_file};
use super::listing::{Listing, first_after, walk};
use super::lock::take_lock;
use super::names::SegmentName;
use super::{DirectoryOptions, KnownEnd};
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
    pub(super) before_step: BeforeStep,
}

#[derive(Default)]
pub(super) struct State {
    /// The last segment that was removed. None when none was.
    pub(super) before: Option<ChainEnd>,
    /// The segments from the first one on, without holes.
    pub(super) names: Vec<SegmentName>,
    /// The segments that the log no longer holds, and whose files are still there. A writer removes
    /// them, a reader ignores them.
    pub(super) removed: VecDeque<SegmentName>,
    pub(super) end: Option<Arc<SegmentInfo>>,
    /// The last segment has its name, but syncing the directory failed. A power failure may take
    /// the name away again.
    pub(super) unsynced: bool,
}

impl State {
    /// Returns the sequence of the first segment.
    pub(super) fn first(&self) -> Sequence {
        first_after(self.before.as_ref())
    }

    /// Returns the sequence of the last segment, or the one before the first segment.
    pub(super) fn last(&self) -> Sequence {
        Sequence(self.first().0 - 1 + self.names.len() as u64)
    }

    /// Returns where a segment is in the list, or would be. None before the first segment.
    pub(super) fn index(&self, sequence: Sequence) -> Option<usize> {
        usize::try_from(sequence.0.checked_sub(self.first().0)?).ok()
    }

    pub(super) fn name(&self, sequence: Sequence) -> Option<SegmentName> {
        self.names.get(self.index(sequence)?).copied()
    }

    /// Moves the segments up to and including this one to those that are to be removed.
    pub(super) fn begin_after(&mut self, last_removed: ChainEnd) {
        let count = self.index(last_removed.sequence.next()).unwrap_or(0);
        self.removed.extend(self.names.drain(..count));
        self.before = Some(last_removed);
    }
}

impl Store {
    pub(super) fn open_writer(
        directory: PathBuf,
        options: &DirectoryOptions,
        before_step: BeforeStep,
    ) -> Result<Self, LogError> {
        create_directory(&directory)
            .map_err(|error| LogError::unavailable(directory.display(), "create it", error))?;
        let lock = take_lock(&directory)?;
        let listing = Listing::read(&directory)?;
        for temporary in &listing.temporaries {
            remove_file(temporary)?;
            tracing::info!(file = %temporary.display(), "removed what an unfinished write left");
        }
        let store = Self {
            directory,
            lock: Some(lock),
            state: Mutex::default(),
            appending: Mutex::default(),
            before_step,
        };
        store.accept(listing, options)?;
        store.clear_removed()?;
        Ok(store)
    }

    pub(super) fn open_reader(
        directory: PathBuf,
        options: &DirectoryOptions,
    ) -> Result<Self, LogError> {
        if !directory.is_dir() {
            let place = directory.display().to_string();
            return Err(LogError::NotFound { place, what: "log directory".to_owned() });
        }
        let store = Self {
            directory,
            lock: None,
            state: Mutex::default(),
            appending: Mutex::default(),
            before_step: Box::new(|_| Ok(())),
        };
        // A writer may remove segments while their headers are read.
        let mut listing = Listing::read(&store.directory)?;
        loop {
            let first = first_after(listing.before.as_ref());
            let Err(error) = store.accept(listing, options) else { return Ok(store) };
            listing = Listing::read(&store.directory)?;
            if first_after(listing.before.as_ref()) == first {
                return Err(error);
            }
        }
    }

    /// Takes over what the directory holds when it is opened, after checking that it is the
    /// expected log.
    fn accept(&self, listing: Listing, options: &DirectoryOptions) -> Result<(), LogError> {
        let Listing { before, names, removed, .. } = listing;
        let (checked, known) = match options.known {
            Some(known) => self.check_known(before.as_ref(), &names, known)?,
            None => (0, before.clone()),
        };
        let mut end = None;
        walk(&self.directory, &names[checked..], known, &mut |it| end = Some(it))?;
        if let (None, Some(name)) = (&end, names.last()) {
            end = Some(read_info(&self.directory, name)?.into());
        }
        if let (Some(expected), Some(end)) = (&options.expected, &end)
            && end.header.source != *expected
        {
            return Err(LogError::Foreign {
                place: self.directory.display().to_string(),
                expected: expected.clone().into(),
                found: end.header.source.clone().into(),
            });
        }
        // A crash may have happened after the last segment got its name and before the name was
        // durable.
        self.sync()?;
        *self.state() = State { before, names, removed, end, unsynced: false };
        Ok(())
    }

    /// Returns how many segments need not be checked, and the end of the chain after them.
    fn check_known(
        &self,
        before: Option<&ChainEnd>,
        names: &[SegmentName],
        known: KnownEnd,
    ) -> Result<(usize, Option<ChainEnd>), LogError> {
        let first = first_after(before);
        let Some(index) = known.sequence.0.checked_sub(first.0) else {
            return self.check_known_removed(before, known);
        };
        let Some(name) = usize::try_from(index).ok().and_then(|index| names.get(index)) else {
            let last = names.last().map_or(self.directory.clone(), |it| self.path_of(it));
            let damage = Damage::MissingAfter(known.sequence);
            return Err(LogError::corrupt(last.display(), damage));
        };
        let end = read_info(&self.directory, name)?.chain_end();
        if end.digest != known.digest {
            return Err(LogError::corrupt(self.path_of(name).display(), Damage::NotAsKnown));
        }
        Ok((index as usize + 1, Some(end)))
    }

    /// The known segment was removed since. All segments are checked, and the known one is compared
    /// with what the log says of the last one that was removed.
    fn check_known_removed(
        &self,
        before: Option<&ChainEnd>,
        known: KnownEnd,
    ) -> Result<(usize, Option<ChainEnd>), LogError> {
        let is_other = |it: &ChainEnd| it.sequence == known.sequence && it.digest != known.digest;
        if before.is_some_and(is_other) {
            let place = beginning::path(&self.directory);
            return Err(LogError::corrupt(place.display(), Damage::NotAsKnown));
        }
        Ok((0, before.cloned()))
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

    /// Takes in what another process has appended and removed since. The writer knows its log
    /// without looking.
    pub(super) fn refresh(&self) -> Result<(), LogError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let (first, last, end) = {
            let state = self.state();
            (state.first(), state.last(), state.end.clone())
        };
        let Listing { before, names, removed, .. } = Listing::read(&self.directory)?;
        let mut new = State { before, names, removed, end: end.clone(), unsynced: false };
        if new.last() < last {
            let damage = Damage::MissingAfter(last);
            let last = new.names.last().map_or(self.directory.clone(), |it| self.path_of(it));
            return Err(LogError::corrupt(last.display(), damage));
        }
        if (new.first(), new.last()) == (first, last) {
            return Ok(());
        }
        // The writer may not have synced the directory yet, and a segment that this handle has
        // shown must not vanish.
        self.sync()?;
        // What this handle knew last may have been removed, together with what came after it.
        let known = end.map(|end| end.chain_end()).filter(|end| end.sequence.next() >= new.first());
        let unread = new.index(last.next()).unwrap_or(0);
        let known = known.or_else(|| new.before.clone());
        walk(&self.directory, &new.names[unread..], known, &mut |info| new.end = Some(info))?;
        let mut state = self.state();
        if new.first() >= state.first() && new.last() >= state.last() {
            *state = new;
        }
        Ok(())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path_of(&self, name: &SegmentName) -> PathBuf {
        self.directory.join(name.to_string())
    }
}
