//! Reads the log between two times for the documents it writes.

use std::ops::ControlFlow;
use std::sync::Arc;

use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_oplog::raw::Malformed;
use hindsight_oplog::{CommandKind, Entry, OpTime, Shape, Timestamp};
use hindsight_runtime::CancellationToken;
use hindsight_segment::{DecodedFrame, Frame, Sequence};

use super::plan::{Interest, Planner, Span};
use super::touched::Touched;
use crate::engine::Engine;
use crate::error::QueryError;

impl Engine {
    /// Notes every document that an operation visible in the span writes. Returns `Break` when it
    /// ended early.
    pub(super) async fn gather(
        &self,
        span: Span,
        touched: &mut Touched,
        stop: &CancellationToken,
    ) -> Result<ControlFlow<()>, QueryError> {
        if span.is_empty() || touched.is_over() {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(segments) = segments(&self.index, span, touched)? else {
            touched.give_up();
            return Ok(ControlFlow::Continue(()));
        };
        let log = self.log.as_ref();
        let mut reading = Reading { log, index: &self.index, span, touched, stop };
        for (sequence, interest) in segments {
            if reading.segment(sequence, interest).await?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if reading.touched.is_over() {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Returns the segments to read, in order. None when the log no longer holds a part of the span:
/// what was written there, nobody can tell.
fn segments(
    index: &Index,
    span: Span,
    touched: &Touched,
) -> Result<Option<Vec<(Sequence, Interest)>>, QueryError> {
    let mut planner = Planner::new(span, touched.names());
    let mut wanted = Vec::new();
    let view = index.view();
    let begins = view.begins().map_err(QueryError::corrupt)?;
    if begins.is_some_and(|begins| span.after < begins) {
        return Ok(None);
    }
    let segments = view.segments_covering(span.after, Timestamp::MAX);
    for segment in segments.map_err(QueryError::corrupt)? {
        let segment = segment.map_err(QueryError::corrupt)?;
        if planner.is_done(&segment) {
            break;
        }
        wanted.extend(planner.take(&segment));
    }
    Ok(Some(wanted))
}

struct Reading<'a> {
    log: &'a dyn SegmentLog,
    index: &'a Index,
    span: Span,
    touched: &'a mut Touched,
    stop: &'a CancellationToken,
}

impl Reading<'_> {
    async fn segment(
        &mut self,
        sequence: Sequence,
        interest: Interest,
    ) -> Result<ControlFlow<()>, QueryError> {
        let info = self.log.infos(sequence, 1).await?.pop();
        let info =
            info.ok_or_else(|| QueryError::corrupt(format!("segment {sequence} is gone")))?;
        if info.sequence() != sequence {
            // It was removed since the index was asked.
            self.touched.give_up();
            return Ok(ControlFlow::Continue(()));
        }
        for (ordinal, frame) in (0_u32..).zip(&info.seal.frames) {
            if !interest.wants(frame, self.span) {
                continue;
            }
            if self.stop.is_cancelled() {
                return Ok(ControlFlow::Break(()));
            }
            let frame = decode(&self.log.read_frame(&info, ordinal).await?)?;
            for begun in self.frame(&frame)? {
                if self.walk_back(begun).await?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if self.touched.is_over() {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Notes what a frame's entries write. Returns the entries before the span that the
    /// transactions of these entries continue from.
    fn frame(&mut self, frame: &DecodedFrame) -> Result<Vec<OpTime>, QueryError> {
        let mut begun = Vec::new();
        for bytes in frame.entries() {
            let entry = Entry::parse(bytes).map_err(QueryError::corrupt)?;
            begun.extend(self.entry(&entry).map_err(QueryError::corrupt)?);
        }
        Ok(begun)
    }

    /// Notes what an entry writes. Returns the previous entry of the same transaction when that one
    /// is before the span.
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Option<OpTime>, Malformed> {
        if entry.ts() <= self.span.after {
            return Ok(None);
        }
        // Of what lies after the span, only the commits matter.
        let is_commit = entry.command() == Some(CommandKind::CommitTransaction);
        if entry.ts() > self.span.through && !is_commit {
            return Ok(None);
        }
        let previous = match Shape::of(entry)? {
            Shape::Commit { commit_timestamp } if !self.span.holds(commit_timestamp) => None,
            Shape::Commit { .. } => {
                let previous = entry.previous();
                if previous.is_none() {
                    // Without `prevOpTime`, only the session shows what this entry commits.
                    self.touched.give_up();
                }
                previous
            }
            Shape::Part(_) => {
                self.note(entry)?;
                entry.previous()
            }
            Shape::Alone | Shape::Abort => {
                self.note(entry)?;
                None
            }
        };
        Ok(previous.filter(|previous| previous.ts <= self.span.after))
    }

    fn note(&mut self, entry: &Entry<'_>) -> Result<(), Malformed> {
        entry.for_each_operation(&mut |operation| {
            self.touched.note(&operation);
            Ok(())
        })
    }

    /// Notes what the entries of a transaction write, from the given entry back to the first. When
    /// an entry cannot be read, nothing is guessed: everything must be compared then.
    async fn walk_back(&mut self, from: OpTime) -> Result<ControlFlow<()>, QueryError> {
        let mut wanted = from.ts;
        loop {
            if self.stop.is_cancelled() {
                return Ok(ControlFlow::Break(()));
            }
            let Some(frame) = self.frame_holding(wanted).await? else {
                self.touched.give_up();
                return Ok(ControlFlow::Continue(()));
            };
            match self.walk_frame(&frame, wanted)? {
                Walk::Began => return Ok(ControlFlow::Continue(())),
                Walk::GoesOn(previous) => wanted = previous,
                Walk::Lost => {
                    self.touched.give_up();
                    return Ok(ControlFlow::Continue(()));
                }
            }
        }
    }

    /// Follows the transaction as far as it lies in one frame.
    fn walk_frame(&mut self, frame: &DecodedFrame, from: Timestamp) -> Result<Walk, QueryError> {
        let mut wanted = from;
        let entries: Vec<&[u8]> = frame.entries().collect();
        for bytes in entries.into_iter().rev() {
            let entry = Entry::parse(bytes).map_err(QueryError::corrupt)?;
            if entry.ts() > wanted {
                continue;
            }
            if entry.ts() < wanted {
                return Ok(Walk::Lost);
            }
            self.note(&entry).map_err(QueryError::corrupt)?;
            match entry.previous() {
                None => return Ok(Walk::Began),
                Some(previous) if previous.ts >= wanted => return Ok(Walk::Lost),
                Some(previous) => wanted = previous.ts,
            }
        }
        // Each step goes back, so the walk ends.
        Ok(if wanted == from { Walk::Lost } else { Walk::GoesOn(wanted) })
    }

    /// Returns the frame whose entries span that time. None when the log does not hold it.
    async fn frame_holding(&self, ts: Timestamp) -> Result<Option<DecodedFrame>, QueryError> {
        let Some(sequence) = sequence_holding(self.index, ts)? else { return Ok(None) };
        let info = self.log.infos(sequence, 1).await?.pop();
        let Some(info) = info.filter(|info| info.sequence() == sequence) else { return Ok(None) };
        let holding = (0_u32..).zip(&info.seal.frames).find(|(_, frame)| frame.spans(ts));
        let Some((ordinal, _)) = holding else { return Ok(None) };
        let frame = self.log.read_frame(&Arc::clone(&info), ordinal).await?;
        decode(&frame).map(Some)
    }
}

/// Where a transaction leads from the frame in which it was followed.
#[derive(Debug, PartialEq, Eq)]
enum Walk {
    /// The transaction began in this frame.
    Began,
    GoesOn(Timestamp),
    /// The entry is not where it should be.
    Lost,
}

fn sequence_holding(index: &Index, ts: Timestamp) -> Result<Option<Sequence>, QueryError> {
    let view = index.view();
    let mut covering = view.segments_covering(ts, ts).map_err(QueryError::corrupt)?;
    let holding = covering.next().transpose().map_err(QueryError::corrupt)?;
    Ok(holding.map(|segment| Sequence(segment.sequence)))
}

fn decode(frame: &Frame) -> Result<DecodedFrame, QueryError> {
    frame.decode().map_err(QueryError::corrupt)
}
