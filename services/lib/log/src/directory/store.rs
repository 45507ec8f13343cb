//! The directory behind a [`super::DirectoryLog`]. All functions here block.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_segment::{ChainEnd, Frame, SegmentInfo, SegmentView, Sequence};

use super::files::{BeforeStep, create_directory, read_info, read_range, remove_file};
use super::listing::{Listing, walk};
use super::lock::take_lock;
use super::names::SegmentName;
use super::{DirectoryOptions, KnownEnd};
use crate::error::{Damage, LogError};
use crate::in_chain::is_in_chain;

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
    /// The segments without holes: the segment with sequence n is at index n - 1.
    pub(super) names: Vec<SegmentName>,
    pub(super) end: Option<Arc<SegmentInfo>>,
    /// The last segment has its name, but syncing the directory failed. A power failure may take
    /// the name away again.
    pub(super) unsynced: bool,
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
            tracing::info!(file = %temporary.display(), "removed an append that never ended");
        }
        let store = Self {
            directory,
            lock: Some(lock),
            state: Mutex::default(),
            appending: Mutex::default(),
            before_step,
        };
        store.accept(listing.names, options)?;
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
        let names = Listing::read(&directory)?.names;
        let store = Self {
            directory,
            lock: None,
            state: Mutex::default(),
            appending: Mutex::default(),
            before_step: Box::new(|_| Ok(())),
        };
        store.accept(names, options)?;
        Ok(store)
    }

    /// Takes over what the directory holds when it is opened, after checking that it is the
    /// expected log.
    fn accept(&self, names: Vec<SegmentName>, options: &DirectoryOptions) -> Result<(), LogError> {
        let known = options.known.map(|known| self.check_known(&names, known)).transpose()?;
        let (checked, before) = known.map_or((0, None), |(count, end)| (count, Some(end)));
        let mut end = None;
        walk(&self.directory, &names[checked..], before, &mut |it| end = Some(it))?;
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
        *self.state() = State { names, end, unsynced: false };
        Ok(())
    }

    /// Returns how many segments need not be checked, and the end of the chain after them.
    fn check_known(
        &self,
        names: &[SegmentName],
        known: KnownEnd,
    ) -> Result<(usize, ChainEnd), LogError> {
        let index = known.sequence.index();
        let Some(name) = names.get(index) else {
            let last = names.last().map_or(self.directory.clone(), |it| self.path_of(it));
            let damage = Damage::MissingAfter(known.sequence);
            return Err(LogError::corrupt(last.display(), damage));
        };
        let end = read_info(&self.directory, name)?.chain_end();
        if end.digest != known.digest {
            return Err(LogError::corrupt(self.path_of(name).display(), Damage::NotAsKnown));
        }
        Ok((index + 1, end))
    }

    pub(super) fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        let name = self.find(sequence)?;
        let path = self.path_of(&name);
        // The seal states the file's length, and the digest vouches for it, before the whole file
        // is read.
        let info = read_info(&self.directory, &name)?;
        let bytes = read_range(&path, 0, info.segment_bytes as usize)?;
        let view = SegmentView::open(bytes.into())
            .map_err(|error| LogError::of_segment(path.display(), error))?;
        let (next, end) = {
            let state = self.state();
            (state.names.get(sequence.next().index()).copied(), state.end.clone())
        };
        let next = next.map(|next| read_info(&self.directory, &next));
        if !is_in_chain(view.info(), next, end.as_deref()) {
            return Err(LogError::corrupt(path.display(), Damage::Replaced));
        }
        Ok(view)
    }

    pub(super) fn read_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        let path = self.path_of(&SegmentName::of(info));
        let lines = info.seal.frames.iter().zip(info.frame_ranges());
        let Some((line, range)) = lines.into_iter().nth(ordinal as usize) else {
            let place = path.display().to_string();
            return Err(LogError::NotFound { place, what: format!("frame {ordinal}") });
        };
        let bytes = read_range(&path, range.start, line.stored_len as usize)?;
        Frame::verify(ordinal, line, bytes.into())
            .map_err(|error| LogError::of_segment(path.display(), error))
    }

    pub(super) fn infos(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        self.settle()?;
        if from.index() >= self.state().names.len() {
            self.refresh()?;
        }
        let start = from.max(Sequence::FIRST).index();
        let (before, names) = {
            let names = &self.state().names;
            let before = start.checked_sub(1).and_then(|it| names.get(it)).copied();
            let page = names.iter().skip(start).take(limit).copied();
            (before, page.collect::<Vec<_>>())
        };
        let mut infos = Vec::with_capacity(names.len());
        let before = match before {
            Some(name) if !names.is_empty() => Some(read_info(&self.directory, &name)?.chain_end()),
            _ => None,
        };
        walk(&self.directory, &names, before, &mut |info| infos.push(info))?;
        Ok(infos)
    }

    pub(super) fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.refresh()?;
        self.settle()?;
        Ok(self.state().end.clone())
    }

    fn find(&self, sequence: Sequence) -> Result<SegmentName, LogError> {
        self.settle()?;
        if let Some(&name) = self.state().names.get(sequence.index()) {
            return Ok(name);
        }
        self.refresh()?;
        let name = self.state().names.get(sequence.index()).copied();
        name.ok_or_else(|| LogError::no_segment(self.directory.display(), sequence))
    }

    /// Takes in what another process has appended since. The writer knows its log's end without
    /// looking.
    fn refresh(&self) -> Result<(), LogError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let (known, end) = {
            let state = self.state();
            (state.names.len(), state.end.clone())
        };
        let names = Listing::read(&self.directory)?.names;
        if names.len() < known {
            let damage = Damage::MissingAfter(Sequence(known as u64));
            let last = names.last().map_or(self.directory.clone(), |it| self.path_of(it));
            return Err(LogError::corrupt(last.display(), damage));
        }
        if names.len() == known {
            return Ok(());
        }
        // The writer may not have synced the directory yet, and a segment that this handle has
        // shown must not vanish.
        self.sync()?;
        let mut new_end = None;
        let before = end.map(|end| end.chain_end());
        walk(&self.directory, &names[known..], before, &mut |info| new_end = Some(info))?;
        let mut state = self.state();
        if names.len() > state.names.len() {
            state.names = names;
            state.end = new_end;
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
