//! Entries into apply units, and those into the history's writer.

use hindsight_history::{Progress, Writer};
use hindsight_log::SegmentLog;
use hindsight_oplog::{Assembler, Entry, Namespaces, OpTime, Operation, Step, Timestamp};
use hindsight_segment::Sequence;
use tokio::runtime::Handle;

use super::{FollowError, sightings};
use crate::kept::Kept;
use crate::read_ahead::DecodedSegment;

/// Puts apply units together and hands them to the history's writer.
pub(super) struct Applier<'a> {
    pub(super) log: &'a dyn SegmentLog,
    pub(super) runtime: &'a Handle,
    pub(super) transactions: Assembler<Kept>,
    pub(super) start: OpTime,
    pub(super) scanned_after: Timestamp,
    pub(super) capture_from: OpTime,
    pub(super) entries: u64,
}

impl Applier<'_> {
    /// Applies one segment and commits it with its progress.
    pub(super) fn apply_segment(
        &mut self,
        segment: &DecodedSegment,
        writer: &mut Writer<'_>,
    ) -> Result<(), FollowError> {
        let sequence = segment.info.sequence();
        for frame in &segment.frames {
            for bytes in frame.entries() {
                let entry = Entry::parse(bytes)?;
                if entry.optime >= self.capture_from
                    && let Err(error) = self.apply_entry(&entry, sequence, writer)
                {
                    self.commit_before(&entry, writer)?;
                    return Err(error);
                }
                self.entries += 1;
            }
        }
        sightings::take_in(&segment.info, writer)?;
        self.commit(segment.info.last(), writer)
    }

    fn apply_entry(
        &mut self,
        entry: &Entry<'_>,
        sequence: Sequence,
        writer: &mut Writer<'_>,
    ) -> Result<(), FollowError> {
        let kept = self.transactions.kept();
        let step = self.transactions.push(entry, || Kept::new(entry, sequence, kept))?;
        match step {
            Step::Pending | Step::Aborted => Ok(()),
            // What ended at or before the start of the base is in its documents.
            _ if entry.optime <= self.start => Ok(()),
            Step::Single => apply_unit(writer, entry.ts(), entry.optime, &[], Some(entry)),
            Step::Complete(transaction) => {
                let mut earlier = Vec::with_capacity(transaction.earlier.len());
                for kept in transaction.earlier {
                    earlier.push(kept.into_bytes(self.log, self.runtime)?);
                }
                let last = transaction.last_carries_operations.then_some(entry);
                apply_unit(writer, transaction.visible, entry.optime, &earlier, last)
            }
            // Begun before the base's own capture, and over before its scans began: it is in the documents.
            Step::Incomplete(_) if entry.ts() <= self.scanned_after => Ok(()),
            Step::Incomplete(_) => Err(FollowError::TornTransaction { at: entry.optime }),
        }
    }

    fn commit(&self, applied: OpTime, writer: &mut Writer<'_>) -> Result<(), FollowError> {
        if writer.generation().applied().is_some_and(|before| applied <= before) {
            return Ok(());
        }
        let prepared = self.transactions.oldest_prepared();
        let before = writer.generation().progress.map(|progress| progress.through);
        let through = prepared.map_or(applied.ts, |ts| ts.predecessor()).min(applied.ts);
        let progress = Progress {
            applied,
            through: before.map_or(through, |before| before.max(through)),
            oldest_open: self.transactions.oldest_unresolved(),
        };
        writer.commit(progress)?;
        Ok(())
    }

    /// An entry cannot be applied: what came before it in the segment is kept.
    fn commit_before(&self, entry: &Entry<'_>, writer: &mut Writer<'_>) -> Result<(), FollowError> {
        let before = OpTime { ts: entry.ts().predecessor(), term: entry.optime.term };
        self.commit(before, writer)
    }
}

/// Applies the operations of the kept entries, in order, then those of the last one.
fn apply_unit(
    writer: &mut Writer<'_>,
    visible: Timestamp,
    at: OpTime,
    earlier: &[Vec<u8>],
    last: Option<&Entry<'_>>,
) -> Result<(), FollowError> {
    if let ([], Some(entry)) = (earlier, last)
        && entry.command() != Some(hindsight_oplog::CommandKind::ApplyOps)
    {
        let operation = entry.operation();
        writer.apply(visible, at, is_followed(&operation).then_some(operation))?;
        return Ok(());
    }
    let mut operations: Vec<Operation<'_>> = Vec::new();
    for bytes in earlier {
        gather_operations(&Entry::parse(bytes)?, &mut operations)?;
    }
    if let Some(entry) = last {
        gather_operations(entry, &mut operations)?;
    }
    writer.apply(visible, at, operations)?;
    Ok(())
}

fn gather_operations<'a>(
    entry: &Entry<'a>,
    operations: &mut Vec<Operation<'a>>,
) -> Result<(), FollowError> {
    entry.for_each_operation::<FollowError>(&mut |operation| {
        if is_followed(&operation) {
            operations.push(operation);
        }
        Ok(())
    })
}

/// The server's own bookkeeping is in the log like everything else, but no base carries it, so there is no
/// state to apply it to. Both sides go by the same list.
fn is_followed(operation: &Operation<'_>) -> bool {
    match operation.namespaces() {
        Namespaces::One(namespace) => {
            namespace.collection.is_empty()
                || hindsight_base::is_carried(namespace.database, namespace.collection)
        }
        Namespaces::None | Namespaces::Renamed { .. } => true,
    }
}
