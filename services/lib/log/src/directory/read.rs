//! Reads segments that the directory holds.

use std::sync::Arc;

use hindsight_segment::{Frame, SegmentInfo, SegmentView, Sequence};

use super::chain::walk;
use super::listing::first_after;
use super::names::LogFile;
use super::store::Store;
use super::stored::{OpenFile, read_info};
use crate::error::{Damage, LogError};
use crate::in_chain::is_in_chain;

impl Store {
    pub(super) fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.despite_changes(|| self.read_held(sequence))
    }

    fn read_held(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        let file = OpenFile::open(&self.directory, self.find(sequence)?)?;
        let stored = file.segment(sequence)?;
        let view = stored.view()?;
        let (next, end) = {
            let state = self.state();
            (state.file(sequence.next()), state.end.clone())
        };
        let next = next.map(|next| read_info(&self.directory, next, sequence.next()));
        if !is_in_chain(view.info(), next, end.as_deref()) {
            return Err(stored.corrupt(Damage::Replaced));
        }
        Ok(view)
    }

    pub(super) fn read_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        self.despite_changes(|| self.read_held_frame(info, ordinal))
    }

    fn read_held_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        let file = OpenFile::open(&self.directory, self.find(info.sequence())?)?;
        let stored = file.segment(info.sequence())?;
        let lines = info.seal.frames.iter().zip(info.frame_ranges());
        let Some((line, range)) = lines.into_iter().nth(ordinal as usize) else {
            let what = format!("frame {ordinal}");
            return Err(LogError::NotFound { place: stored.place(), what });
        };
        let bytes = stored.read(range.start, line.stored_len as usize)?;
        Frame::verify(ordinal, line, bytes.into()).map_err(|error| stored.of_segment(error))
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
        self.despite_changes(|| self.held_infos(from, limit))
    }

    fn held_infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        let (page, removed, files) = {
            let state = self.state();
            let first = from.max(state.first());
            let count = (limit as u64).min((state.last().0 + 1).saturating_sub(first.0));
            let page = first.0..first.0 + count;
            // With the file of the segment before.
            let begin = state.files.partition_point(|file| file.ends().next() < first);
            let end = state.files.partition_point(|file| file.begins().0 < page.end);
            (page, state.before.clone(), state.files[begin.min(end)..end].to_vec())
        };
        if page.is_empty() {
            return Ok(Vec::new());
        }
        let (first, last) = (Sequence(page.start), Sequence(page.end - 1));
        let before = match files.first() {
            Some(file) if first > first_after(removed.as_ref()) => {
                let before = Sequence(first.0 - 1);
                Some(read_info(&self.directory, *file, before)?.chain_end())
            }
            _ => removed,
        };
        let mut infos = Vec::with_capacity((page.end - page.start) as usize);
        walk(&self.directory, &files, (first, last), before, &mut |info| infos.push(info))?;
        Ok(infos)
    }

    fn find(&self, sequence: Sequence) -> Result<LogFile, LogError> {
        self.settle()?;
        self.check_not_removed(sequence)?;
        if let Some(file) = self.state().file(sequence) {
            return Ok(file);
        }
        self.refresh()?;
        self.check_not_removed(sequence)?;
        let file = self.state().file(sequence);
        file.ok_or_else(|| LogError::no_segment(self.directory.display(), sequence))
    }

    fn check_not_removed(&self, sequence: Sequence) -> Result<(), LogError> {
        let first = self.state().first();
        match (Sequence::FIRST..first).contains(&sequence) {
            true => Err(LogError::removed(self.directory.display(), sequence, first)),
            false => Ok(()),
        }
    }
}
