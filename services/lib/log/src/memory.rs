//! A log in memory, for tests. It fails as scripted.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hindsight_segment::{Frame, SealedSegment, SegmentInfo, SegmentView, Sequence, check_next};

use crate::SegmentLog;
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
        if let Some(stored) = state.segments.get_mut(sequence.index()) {
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
            (state.segments.get(sequence.index()).cloned(), state.read_faults.pop_front())
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
        let next = self.state().segments.get(sequence.next().index()).cloned();
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
        let from = from.max(Sequence::FIRST);
        let stored = self.state().segments.clone();
        let mut before = None;
        if from > Sequence::FIRST && from.index() <= stored.len() {
            let sequence = Sequence(from.0 - 1);
            before = Some(open(sequence, stored[sequence.index()].clone())?.info().chain_end());
        }
        let mut infos = Vec::new();
        let page = stored.into_iter().skip(from.index()).take(limit);
        for (bytes, number) in page.zip(from.0..) {
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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
