//! Finds the entries just before a match.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_oplog::{Entry, Timestamp};

use super::Found;
use super::frames::{Examined, OpenFrame, Place, Searched, read_infos};
use crate::error::QueryError;

/// The limit on the entries before one match, in bytes.
const CONTEXT_BYTES: usize = 64 << 20;
/// The limit on the frames kept so that the next match need not read them again, in bytes of
/// entries.
const KEPT_BYTES: usize = 32 << 20;

/// Adds to each match the wanted number of entries before it, none of them twice.
///
/// These entries come directly before the match in the log and are within the wanted time. Context
/// ends where entries are missing.
pub(super) struct Context {
    log: Arc<dyn SegmentLog>,
    index: Arc<Index>,
    from: Timestamp,
    wanted: usize,
    /// Consecutive frames, of which the last is the frame searched last.
    recent: VecDeque<OpenFrame>,
    /// The last match that was returned.
    given: Option<(Place, usize)>,
}

impl Context {
    pub(super) fn new(
        log: Arc<dyn SegmentLog>,
        index: Arc<Index>,
        from: Timestamp,
        wanted: usize,
    ) -> Self {
        Self { log, index, from, wanted, recent: VecDeque::new(), given: None }
    }

    /// Returns the matches of a frame with the entries that come before them. Frames come in the
    /// order of the log.
    ///
    /// When the future is dropped before its end, nothing counts as returned.
    pub(super) async fn of(
        &mut self,
        examined: &Examined,
        searched: &mut Searched,
    ) -> Result<Vec<Found>, QueryError> {
        let Examined { open, hits } = examined;
        let mut found = Vec::new();
        if self.wanted > 0
            && let Some(&first) = hits.first()
            && (first as usize) < self.wanted
        {
            found = self.before(open, self.wanted - first as usize, searched).await?;
        }
        let mut next = 0;
        for &hit in hits {
            let hit = hit as usize;
            for position in next.max(hit.saturating_sub(self.wanted))..hit {
                let entry = open.entry(position);
                if ts_of(entry)? >= self.from {
                    found.push(Found { entry: Bytes::copy_from_slice(entry), is_context: true });
                }
            }
            let entry = Bytes::copy_from_slice(open.entry(hit));
            found.push(Found { entry, is_context: false });
            next = hit + 1;
        }
        Ok(found)
    }

    /// Returns the last `missing` entries before the frame's first entry, oldest first. Fewer when
    /// the context ends earlier.
    async fn before(
        &mut self,
        open: &OpenFrame,
        mut missing: usize,
        searched: &mut Searched,
    ) -> Result<Vec<Found>, QueryError> {
        let mut found = VecDeque::new();
        let mut bytes = 0;
        if !self.recent.back().is_some_and(|last| follows(last, open)) {
            self.recent.clear();
        }
        let mut at = self.recent.len();
        while missing > 0 {
            if at == 0 {
                let first = self.recent.front().unwrap_or(open);
                let Some(frame) = self.read_before(first, searched).await? else { break };
                self.recent.push_front(frame);
                at = 1;
            }
            at -= 1;
            let frame = &self.recent[at];
            for position in (0..frame.len()).rev().take(missing) {
                let entry = frame.entry(position);
                if self.given.is_some_and(|given| (frame.place(), position) <= given)
                    || ts_of(entry)? < self.from
                {
                    return Ok(found.into());
                }
                bytes += entry.len();
                if bytes > CONTEXT_BYTES {
                    return Err(QueryError::TooLarge(format!(
                        "the entries before a match take more than {} MiB: ask for fewer of them",
                        CONTEXT_BYTES >> 20
                    )));
                }
                found.push_front(Found { entry: Bytes::copy_from_slice(entry), is_context: true });
                missing -= 1;
            }
        }
        Ok(found.into())
    }

    /// Reads the frame directly before this one. None where the log begins, where entries are
    /// missing, or where the wanted time begins.
    async fn read_before(
        &self,
        frame: &OpenFrame,
        searched: &mut Searched,
    ) -> Result<Option<OpenFrame>, QueryError> {
        let (mut info, mut ordinal) = (Arc::clone(&frame.info), frame.ordinal);
        if ordinal == 0 {
            let Some(before) = self.sequence_before(frame)? else { return Ok(None) };
            let infos = read_infos(Arc::clone(&self.log), (before, 1)).await?;
            searched.segments += 1;
            info = infos.into_iter().next().expect("as many as asked for");
            ordinal = info.seal.frames.len() as u32;
        }
        ordinal -= 1;
        if info.seal.frames[ordinal as usize].last.ts < self.from {
            return Ok(None);
        }
        searched.frames += 1;
        OpenFrame::read(Arc::clone(&self.log), info, ordinal, None).await.map(Some)
    }

    fn sequence_before(
        &self,
        frame: &OpenFrame,
    ) -> Result<Option<hindsight_segment::Sequence>, QueryError> {
        if frame.info.header.gap.is_some() {
            return Ok(None);
        }
        let Some(before) = frame.info.sequence().0.checked_sub(1) else { return Ok(None) };
        let held = self.index.view().segment(before).map_err(QueryError::corrupt)?;
        Ok(held.map(|segment| hindsight_segment::Sequence(segment.sequence)))
    }

    /// Notes that the result of [`Context::of`] for this frame was returned. The caller must call
    /// this afterwards.
    pub(super) fn gave(&mut self, examined: Examined) {
        if self.wanted == 0 {
            return;
        }
        let Examined { open, hits } = examined;
        if let Some(&last) = hits.last() {
            self.given = Some((open.place(), last as usize));
        }
        if !self.recent.back().is_some_and(|last| follows(last, &open)) {
            self.recent.clear();
        }
        self.recent.push_back(open);
        let (mut entries, mut bytes, mut kept) = (0, 0, 0);
        for frame in self.recent.iter().rev() {
            bytes += frame.raw_bytes();
            let is_last = kept == 0;
            if entries >= self.wanted || bytes > KEPT_BYTES || !(is_last || frame.has_share()) {
                break;
            }
            entries += frame.len();
            kept += 1;
        }
        self.recent.drain(..self.recent.len() - kept);
    }
}

/// Whether no frame lies between the two frames, and no entry is missing there.
fn follows(first: &OpenFrame, second: &OpenFrame) -> bool {
    let (one, next) = (first.place(), second.place());
    if one.sequence == next.sequence {
        return one.ordinal + 1 == next.ordinal;
    }
    next.ordinal == 0
        && one.sequence.next() == next.sequence
        && one.ordinal as usize + 1 == first.info.seal.frames.len()
        && second.info.header.gap.is_none()
}

fn ts_of(entry: &[u8]) -> Result<Timestamp, QueryError> {
    Entry::parse(entry).map(|entry| entry.ts()).map_err(QueryError::corrupt)
}
