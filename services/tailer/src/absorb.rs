//! Absorbs segments of the log into the index: segments that another process appended, and segments
//! that were appended and not indexed.

use hindsight_index::Index;
use hindsight_log::{LogError, SegmentLog};
use hindsight_oplog::Timestamp;
use hindsight_segment::{SegmentInfo, Sequence};

use crate::error::CaptureError;
use crate::positions::PositionBoard;

/// How many headers and seals are read at a time.
const STEP: usize = 256;

/// Absorbs what the log has and the index lacks, and moves the positions there. Of a damaged log,
/// absorbs what comes before the damage, and then returns the error.
///
/// # Errors
/// Returns an error when the log or the index cannot be read, or when they do not belong together.
pub async fn absorb_new(
    log: &dyn SegmentLog,
    index: &Index,
    positions: &PositionBoard,
) -> Result<(), CaptureError> {
    let resume = index.resume_point()?;
    let mut next = resume.map_or(Sequence::FIRST, |resume| Sequence(resume.sequence + 1));
    let mut last = None;
    let outcome = loop {
        let infos = match log.infos(next, STEP).await {
            Ok(infos) => infos,
            Err(error @ LogError::Corrupt { .. }) => break Err(error),
            Err(error) => return Err(error.into()),
        };
        let is_begun = resume.is_some() || last.is_some();
        if let Some(first) = infos.first()
            && is_begun
            && first.sequence() > next
        {
            let begins = first.sequence();
            return Err(CaptureError::RemovedTooSoon { next, begins });
        }
        for info in &infos {
            index.absorb_segment(info)?;
            next = info.sequence().next();
        }
        let Some(newest) = infos.last() else { break Ok(()) };
        last = Some(std::sync::Arc::clone(newest));
    };
    if let Some(resume) = resume
        && last.is_none()
        && positions.now().durable.is_none()
    {
        // Everything was absorbed by an earlier process.
        last = log.infos(Sequence(resume.sequence), 1).await?.pop();
    }
    if let Some(last) = last {
        publish(&last, positions);
    }
    outcome.map_err(CaptureError::from)
}

/// Moves the positions to this segment, with which the log ends.
pub(crate) fn publish(info: &SegmentInfo, positions: &PositionBoard) {
    positions.saw_majority(info.seal.majority);
    positions.received(info.last());
    positions.durable(info.last(), info.sequence().0, restorable_through(info));
}

/// Returns the timestamp up to which everything visible is in the log up to this segment, and
/// decided (I7).
pub(crate) fn restorable_through(info: &SegmentInfo) -> Timestamp {
    info.seal.oldest_prepared.map_or(info.last().ts, |ts| ts.predecessor())
}
