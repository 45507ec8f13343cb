//! Puts entries together into apply units, and hands these to the history's writer.

use hindsight_history::{Progress, Writer};
use hindsight_log::SegmentLog;
use hindsight_oplog::raw::Malformed;
use hindsight_oplog::{Entry, Namespaces, OpTime, Operation, Timestamp};
use hindsight_segment::{DecodedFrame, Sequence};
use tokio::runtime::Handle;

use super::units::{Unit, Units};
use super::{FollowError, NamedEntry, sightings};
use crate::kept::{Kept, parse};
use crate::read_ahead::DecodedSegment;

/// Hands apply units to the history's writer.
pub(super) struct Applier<'a> {
    pub(super) log: &'a dyn SegmentLog,
    pub(super) runtime: &'a Handle,
    pub(super) units: Units<Kept>,
    pub(super) entries: u64,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Whole,
    /// A transaction of the segment is incomplete. The log must be read from this earlier entry on.
    NeedsEarlier(OpTime),
}

impl Applier<'_> {
    /// Applies one segment and commits it with its progress.
    pub(super) fn apply_segment(
        &mut self,
        segment: &DecodedSegment,
        writer: &mut Writer<'_>,
    ) -> Result<Taken, FollowError> {
        let sequence = segment.info.sequence();
        for bytes in segment.frames.iter().flat_map(DecodedFrame::entries) {
            let entry = match parse(bytes, sequence, self.units.last()) {
                Ok(entry) => entry,
                Err(error) => {
                    self.commit_last(writer)?;
                    return Err(error);
                }
            };
            match self.apply_entry(&entry, sequence, writer) {
                Ok(Taken::Whole) => self.entries += 1,
                Ok(needs_earlier) => return Ok(needs_earlier),
                Err(error) => {
                    self.commit_before(&entry, writer)?;
                    return Err(error);
                }
            }
        }
        sightings::take_in(&segment.info, writer)?;
        let progress = self.units.progress(segment.info.last(), writer.generation().progress);
        commit(progress, writer)?;
        Ok(Taken::Whole)
    }

    fn apply_entry(
        &mut self,
        entry: &Entry<'_>,
        sequence: Sequence,
        writer: &mut Writer<'_>,
    ) -> Result<Taken, FollowError> {
        let held = self.units.kept();
        let unit = self.units.push(entry, || Kept::new(entry, sequence, held));
        match unit.map_err(|source| FollowError::Transaction { sequence, source })? {
            Unit::Nothing => {}
            Unit::Entry => apply_unit(writer, entry.ts(), &[], (sequence, entry), true)?,
            Unit::Transaction(transaction) => {
                check_is_not_final(writer, entry.optime, transaction.visible)?;
                let mut earlier = Vec::with_capacity(transaction.earlier.len());
                for kept in transaction.earlier {
                    earlier.push((kept.sequence, kept.into_bytes(self.log, self.runtime)?));
                }
                let carries = transaction.last_carries_operations;
                apply_unit(writer, transaction.visible, &earlier, (sequence, entry), carries)?;
            }
            Unit::BeganEarlier { missing } => return Ok(Taken::NeedsEarlier(missing)),
            Unit::Torn => return Err(FollowError::TornTransaction { at: entry.optime }),
        }
        Ok(Taken::Whole)
    }

    /// Commits what came before an entry that cannot be applied.
    fn commit_before(&self, entry: &Entry<'_>, writer: &mut Writer<'_>) -> Result<(), FollowError> {
        commit(self.units.progress_before(entry, writer.generation().progress), writer)
    }

    /// Commits what came before bytes that are not an entry and therefore have no position.
    fn commit_last(&self, writer: &mut Writer<'_>) -> Result<(), FollowError> {
        let Some(last) = self.units.last() else { return Ok(()) };
        commit(self.units.progress(last, writer.generation().progress), writer)
    }
}

fn commit(progress: Option<Progress>, writer: &mut Writer<'_>) -> Result<(), FollowError> {
    if let Some(progress) = progress {
        writer.commit(progress)?;
    }
    Ok(())
}

/// Refuses versions that would appear at a time already published as complete.
fn check_is_not_final(
    writer: &Writer<'_>,
    at: OpTime,
    visible: Timestamp,
) -> Result<(), FollowError> {
    match writer.generation().progress {
        Some(Progress { through, .. }) if visible <= through => {
            Err(FollowError::FalselyComplete { at, visible, through })
        }
        _ => Ok(()),
    }
}

/// Applies the operations of the earlier entries, in order, and then those of the last entry if it
/// carries any. Each entry comes with its segment.
fn apply_unit(
    writer: &mut Writer<'_>,
    visible: Timestamp,
    earlier: &[(Sequence, Vec<u8>)],
    (sequence, last): (Sequence, &Entry<'_>),
    last_carries_operations: bool,
) -> Result<(), FollowError> {
    if earlier.is_empty()
        && last_carries_operations
        && last.command() != Some(hindsight_oplog::CommandKind::ApplyOps)
    {
        let operation = last.operation();
        writer.apply(visible, last.optime, is_followed(&operation).then_some(operation))?;
        return Ok(());
    }
    let mut operations: Vec<Operation<'_>> = Vec::new();
    for (sequence, bytes) in earlier {
        gather_operations(*sequence, &parse(bytes, *sequence, None)?, &mut operations)?;
    }
    if last_carries_operations {
        gather_operations(sequence, last, &mut operations)?;
    }
    writer.apply(visible, last.optime, operations)?;
    Ok(())
}

fn gather_operations<'a>(
    sequence: Sequence,
    entry: &Entry<'a>,
    operations: &mut Vec<Operation<'a>>,
) -> Result<(), FollowError> {
    let gathered = entry.for_each_operation::<Malformed>(&mut |operation| {
        if is_followed(&operation) {
            operations.push(operation);
        }
        Ok(())
    });
    let entry = NamedEntry::At(entry.optime);
    gathered.map_err(|source| FollowError::Malformed { sequence, entry, source })
}

/// Whether the history follows this operation. The server's own bookkeeping is in the log like
/// everything else, but no base carries it, so there is no state to apply it to. Bases and the
/// history use the same list.
fn is_followed(operation: &Operation<'_>) -> bool {
    match operation.namespaces() {
        Namespaces::One(namespace) => {
            namespace.collection.is_empty()
                || hindsight_base::is_carried(namespace.database, namespace.collection)
        }
        Namespaces::None | Namespaces::Renamed { .. } => true,
    }
}
