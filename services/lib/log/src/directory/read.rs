//! Reads segments that the directory holds.

use std::sync::Arc;

use hindsight_segment::{Frame, SegmentInfo, SegmentView, Sequence};

use super::files::{read_info, read_range};
use super::listing::walk;
use super::names::SegmentName;
use super::store::Store;
use crate::error::{Damage, LogError};
use crate::in_chain::is_in_chain;

impl Store {
    pub(super) fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.despite_removals(|| self.read_held(sequence))
    }

    fn read_held(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
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
            (state.name(sequence.next()), state.end.clone())
        };
        let next = next.map(|next| read_info(&self.directory, &next));
        if !is_in_chain(view.info(), next, end.as_deref()) {
            return Err(LogError::corrupt(path.display(), Damage::Replaced));
        }
        Ok(view)
    }

    pub(super) fn read_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        self.despite_removals(|| self.read_held_frame(info, ordinal))
    }

    fn read_held_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        self.check_not_removed(info.sequence())?;
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
        if from > self.state().last() {
            self.refresh()?;
        }
        self.despite_removals(|| self.held_infos(from, limit))
    }

    fn held_infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        let (removed, before, names) = {
            let state = self.state();
            let start = state.index(from).unwrap_or(0);
            let before = start.checked_sub(1).map(|it| state.names.get(it).copied());
            let page = state.names.iter().skip(start).take(limit).copied();
            (state.before.clone(), before, page.collect::<Vec<_>>())
        };
        let mut infos = Vec::with_capacity(names.len());
        let before = match before {
            None => removed,
            Some(Some(name)) if !names.is_empty() => {
                Some(read_info(&self.directory, &name)?.chain_end())
            }
            Some(_) => None,
        };
        walk(&self.directory, &names, before, &mut |info| infos.push(info))?;
        Ok(infos)
    }

    fn find(&self, sequence: Sequence) -> Result<SegmentName, LogError> {
        self.settle()?;
        self.check_not_removed(sequence)?;
        if let Some(name) = self.state().name(sequence) {
            return Ok(name);
        }
        self.refresh()?;
        self.check_not_removed(sequence)?;
        let name = self.state().name(sequence);
        name.ok_or_else(|| LogError::no_segment(self.directory.display(), sequence))
    }

    fn check_not_removed(&self, sequence: Sequence) -> Result<(), LogError> {
        let first = self.state().first();
        match (Sequence::FIRST..first).contains(&sequence) {
            true => Err(LogError::removed(self.directory.display(), sequence, first)),
            false => Ok(()),
        }
    }

    /// Does `work` again when it failed and segments were removed meanwhile: it may have looked for
    /// files that are gone.
    fn despite_removals<T>(&self, work: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
        loop {
            let first = self.state().first();
            let outcome = work();
            let is_final = matches!(outcome, Ok(_) | Err(LogError::Removed { .. }));
            if is_final || self.refresh().is_err() || self.state().first() == first {
                return outcome;
            }
        }
    }
}
