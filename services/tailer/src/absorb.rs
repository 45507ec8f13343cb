//! Segments of the log into the index: what somebody else appended, or what was appended and not indexed.

use hindsight_index::{Index, IndexError, SegmentSummary};
use hindsight_log::SegmentLog;
use hindsight_oplog::Timestamp;
use hindsight_segment::{SegmentInfo, Sequence};

use crate::error::CaptureError;
use crate::positions::PositionBoard;

/// How many headers and seals are read at a time.
const STEP: usize = 256;

/// Absorbs what the log has and the index lacks, and moves the positions there.
///
/// # Errors
/// A log or an index that cannot be read, or that do not belong together.
pub async fn absorb_new(
    log: &dyn SegmentLog,
    index: &Index,
    positions: &PositionBoard,
) -> Result<(), CaptureError> {
    let resume = index.resume_point().map_err(failed)?;
    let mut next = resume.map_or(Sequence::FIRST, |resume| Sequence(resume.sequence + 1));
    let mut last = None;
    loop {
        let infos = log.infos(next, STEP).await?;
        for info in &infos {
            index.absorb(&summary_of(info)).map_err(failed)?;
            next = info.sequence().next();
        }
        let Some(newest) = infos.last() else { break };
        last = Some(std::sync::Arc::clone(newest));
    }
    if last.is_none() && positions.now().durable.is_none() {
        // Everything was absorbed by an earlier process.
        last = log.end().await?;
    }
    if let Some(last) = last {
        publish(&last, positions);
    }
    Ok(())
}

/// A store that is full or gone may come back.
fn failed(error: IndexError) -> CaptureError {
    match error {
        IndexError::Storage { .. } => CaptureError::Unavailable(format!("the index: {error}")),
        other => CaptureError::Index(other.to_string()),
    }
}

/// The log ends with this segment.
pub(crate) fn publish(info: &SegmentInfo, positions: &PositionBoard) {
    positions.saw_majority(info.seal.majority);
    positions.received(info.last());
    positions.durable(info.last(), info.sequence().0, restorable_through(info));
}

/// Everything visible by then is in the log up to this segment, and decided (I7).
pub(crate) fn restorable_through(info: &SegmentInfo) -> Timestamp {
    info.seal.oldest_prepared.map_or(info.last().ts, |ts| ts.predecessor())
}

/// What the index keeps of a segment.
pub(crate) fn summary_of(info: &SegmentInfo) -> SegmentSummary {
    let seal = &info.seal;
    let counts = seal.namespaces.iter().map(|it| hindsight_index::NamespaceCounts {
        ns: it.namespace.clone(),
        inserts: it.counts.inserts.into(),
        updates: it.counts.updates.into(),
        deletes: it.counts.deletes.into(),
        commands: it.counts.commands.into(),
        noops: it.counts.noops.into(),
    });
    let commands = seal.commands.iter().map(|note| hindsight_index::CommandNote {
        optime: note.optime,
        command: note.name.clone(),
        ns: note.namespace.clone(),
    });
    SegmentSummary {
        sequence: info.sequence().0,
        epoch: info.header.epoch.0,
        digest: info.digest.0,
        predecessor: info.header.predecessor.0,
        first: seal.first,
        last: seal.last,
        majority: seal.majority,
        first_wall_ms: seal.first_wall_ms,
        last_wall_ms: seal.last_wall_ms,
        entries: seal.entries,
        raw_bytes: seal.raw_bytes,
        stored_bytes: info.segment_bytes,
        oldest_unresolved: seal.oldest_unresolved,
        oldest_prepared: seal.oldest_prepared,
        gap_before: info.header.gap.as_ref().map(|gap| hindsight_index::GapNotice {
            after: gap.after,
            before: gap.before,
            reason: gap.detail.clone(),
            noticed_wall_ms: gap.detected_at_ms,
        }),
        counts: counts.collect(),
        commands: commands.collect(),
        cut_reason: seal.reason.to_string(),
    }
}
