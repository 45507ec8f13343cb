//! A log in memory, for tests. It fails as scripted.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hindsight_segment::{
    ChainEnd, Frame, SealedSegment, SegmentInfo, SegmentView, Sequence, check_next,
};

use crate::SegmentLog;
use crate::beginning::Beginning;
use crate::error::LogError;

const PLACE: &str = "log in memory";

/// A fault of the next append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFault {
    /// The append fails, and nothing was appended.
    FailBefore,
    /// The append fails, although the segment was appended.
    AnswerLost,
    /// The append takes that long, and then succeeds.
    Slow(Duration),
}

/// A fault of the next read of a segment or frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// The read fails.
    Fail,
    /// One bit of the bytes that are read is flipped. The stored bytes stay intact.
    Corrupt,
    /// The read takes that long, and then succeeds.
    Slow(Duration),
}

/// A log whose segments are in memory. Clones are handles of the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The last segment that was removed. None when none was.
    before: Option<ChainEnd>,
    /// The segments after it.
    segments: Vec<Bytes>,
    end: Option<Arc<SegmentInfo>>,
    append_faults: VecDeque<AppendFault>,
    read_faults: VecDeque<ReadFault>,
}

impl MemoryLog {
    /// Returns an empty log without scripted faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault for a later append. Each append takes the oldest fault that is left.
    pub fn script_append(&self, fault: AppendFault) {
        self.state().append_faults.push_back(fault);
    }

    /// Adds a fault for a later read. Each read takes the oldest fault that is left.
    pub fn script_read(&self, fault: ReadFault) {
        self.state().read_faults.push_back(fault);
    }

    /// Changes the stored bytes of a segment, as a failing disk would. Does nothing when the
    /// segment does not exist.
    pub fn alter(&self, sequence: Sequence, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let index = state.index(sequence);
        if let Some(stored) = index.and_then(|index| state.segments.get_mut(index)) {
            let mut bytes = stored.to_vec();
            change(&mut bytes);
            *stored = bytes.into();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the stored bytes of a segment, after applying the next scripted fault.
    async fn fetch(&self, sequence: Sequence) -> Result<Bytes, LogError> {
        let (stored, fault) = {
            let mut state = self.state();
            state.check_not_removed(sequence)?;
            (state.segment(sequence), state.read_faults.pop_front())
        };
        let stored = stored.ok_or_else(|| LogError::no_segment(PLACE, sequence))?;
        match fault {
            None => Ok(stored),
            Some(ReadFault::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(stored)
            }
            Some(ReadFault::Fail) => Err(scripted("read")),
            Some(ReadFault::Corrupt) => {
                let mut bytes = stored.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                Ok(bytes.into())
            }
        }
    }
}

fn place_of(sequence: Sequence) -> String {
    format!("{PLACE}, segment {sequence}")
}

fn scripted(action: &'static str) -> LogError {
    LogError::unavailable(PLACE, action, io::Error::other("scripted fault"))
}

fn open(sequence: Sequence, stored: Bytes) -> Result<SegmentView, LogError> {
    let view = SegmentView::open(stored)
        .map_err(|error| LogError::of_segment(place_of(sequence), error))?;
    if view.info().sequence() != sequence {
        let found = view.info().sequence().to_string();
        return Err(LogError::corrupt(place_of(sequence), crate::Damage::Misnamed { found }));
    }
    Ok(view)
}

impl State {
    /// Returns the sequence of the first segment.
    fn first(&self) -> Sequence {
        self.before.as_ref().map_or(Sequence::FIRST, |before| before.sequence.next())
    }

    /// Returns where a segment is in the list, or would be. None before the first segment.
    fn index(&self, sequence: Sequence) -> Option<usize> {
        usize::try_from(sequence.0.checked_sub(self.first().0)?).ok()
    }

    fn segment(&self, sequence: Sequence) -> Option<Bytes> {
        self.segments.get(self.index(sequence)?).cloned()
    }

    fn check_not_removed(&self, sequence: Sequence) -> Result<(), LogError> {
        match (Sequence::FIRST..self.first()).contains(&sequence) {
            true => Err(LogError::removed(PLACE, sequence, self.first())),
            false => Ok(()),
        }
    }

    fn remove_before(&mut self, sequence: Sequence) -> Result<(), LogError> {
        let count = self.index(sequence).unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        if count >= self.segments.len() {
            let end = self.end.as_ref().map(|end| end.sequence());
            return Err(LogError::end_stays(PLACE, sequence, end));
        }
        let last = Sequence(sequence.0 - 1);
        self.before = Some(open(last, self.segments[count - 1].clone())?.info().chain_end());
        self.segments.drain(..count);
        Ok(())
    }

    fn append(&mut self, segment: &SealedSegment) -> Result<(), LogError> {
        let info = segment.info();
        if self.end.as_ref().is_some_and(|end| end.digest == info.digest) {
            return Ok(());
        }
        let end = self.end.as_ref().map(|end| end.chain_end());
        check_next(end.as_ref(), info).map_err(|reason| LogError::not_next(PLACE, info, reason))?;
        self.segments.push(segment.to_bytes());
        self.end = Some(Arc::clone(info));
        Ok(())
    }
}

#[async_trait]
impl SegmentLog for MemoryLog {
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError> {
        let fault = self.state().append_faults.pop_front();
        match fault {
            Some(AppendFault::FailBefore) => return Err(scripted("append")),
            Some(AppendFault::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(AppendFault::AnswerLost) | None => {}
        }
        self.state().append(&segment)?;
        if fault == Some(AppendFault::AnswerLost) { Err(scripted("append")) } else { Ok(()) }
    }

    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        let view = open(sequence, self.fetch(sequence).await?)?;
        let next = self.state().segment(sequence.next());
        if let Some(Ok(next)) = next.map(|bytes| open(sequence.next(), bytes))
            && next.info().header.predecessor != view.info().digest
        {
            return Err(LogError::corrupt(place_of(sequence), crate::Damage::Replaced));
        }
        Ok(view)
    }

    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError> {
        let place = place_of(info.sequence());
        let lines = info.seal.frames.iter().zip(info.frame_ranges());
        let Some((line, range)) = lines.into_iter().nth(ordinal as usize) else {
            return Err(LogError::NotFound { place, what: format!("frame {ordinal}") });
        };
        let stored = self.fetch(info.sequence()).await?;
        let (start, end) = (range.start as usize, range.end as usize);
        let bytes = stored.slice(start.min(stored.len())..end.min(stored.len()));
        Frame::verify(ordinal, line, bytes).map_err(|error| LogError::of_segment(place, error))
    }

    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        let (from, mut before, page) = {
            let state = self.state();
            let from = from.max(state.first());
            let start = state.index(from).unwrap_or(0);
            let page: Vec<Bytes> = state.segments.iter().skip(start).take(limit).cloned().collect();
            let before = match start.checked_sub(1) {
                None => state.before.clone(),
                Some(index) => match state.segments.get(index) {
                    Some(bytes) => {
                        Some(open(Sequence(from.0 - 1), bytes.clone())?.info().chain_end())
                    }
                    None => None,
                },
            };
            (from, before, page)
        };
        let mut infos = Vec::new();
        for (bytes, number) in page.into_iter().zip(from.0..) {
            let info = Arc::clone(open(Sequence(number), bytes)?.info());
            check_next(before.as_ref(), &info)
                .map_err(|reason| LogError::corrupt(place_of(Sequence(number)), reason))?;
            before = Some(info.chain_end());
            infos.push(info);
        }
        Ok(infos)
    }

    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        Ok(self.state().end.clone())
    }

    async fn begin(&self) -> Result<Option<Beginning>, LogError> {
        let state = self.state();
        let whole = || Some(Beginning::of_all(state.end.as_ref()?.header.source.clone()));
        Ok(state.before.as_ref().map(Beginning::after).or_else(whole))
    }

    async fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.state().remove_before(sequence)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
