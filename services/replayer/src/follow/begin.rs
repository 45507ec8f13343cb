//! Where reading the log begins, and when it must begin earlier.

use hindsight_history::Writer;
use hindsight_oplog::OpTime;
use hindsight_segment::Sequence;
use tracing::warn;

use super::applier::Applier;
use super::units::{Base, Resume, Units};
use super::{FollowError, Follower};
use crate::kept::{Kept, parse, read_entry};

impl Follower {
    /// To go on where the writer's generation ends.
    pub(super) fn applier(&self, writer: &Writer<'_>) -> Result<Applier<'_>, FollowError> {
        let generation = writer.generation();
        let name = &generation.base.name;
        // It may have been forgotten since it was looked up.
        let known = self.index.view().base(name)?;
        let known = known.ok_or_else(|| FollowError::base_is_gone(name))?;
        let opened = self.open_base(name)?;
        let origin = &opened.manifest().origin;
        let base = Base {
            start: origin.start,
            scanned_after: origin.scanned_after,
            capture_from: known.capture_from,
        };
        let resume = Resume::after(generation.progress, base.capture_from);
        Ok(Applier {
            log: self.log.as_ref(),
            runtime: &self.runtime,
            units: Units::new(base, resume, Kept::weight),
            entries: 0,
        })
    }

    /// The segment to read first.
    pub(super) fn first_segment(&self, applier: &Applier<'_>) -> Result<Sequence, FollowError> {
        let from = applier.units.resume().from;
        // No entry need have this position: it may lie between two segments, or before the first.
        let found = self.index.view().sequence_from(from)?;
        found.map(Sequence).ok_or(FollowError::LogBeginsLater { from })
    }

    /// Begins again with the first entry of the transaction that this entry is a part of.
    pub(super) fn go_back(
        &self,
        entry: OpTime,
        applier: &mut Applier<'_>,
    ) -> Result<(), FollowError> {
        let base = applier.units.base();
        let first = self.first_of_chain(entry, base.capture_from)?;
        warn!(%first, "the history did not note an open transaction; its beginning is read again");
        let resume = applier.units.resume().reading_from(first);
        applier.units = Units::new(base, resume, Kept::weight);
        Ok(())
    }

    /// Walks a transaction back to its first entry, or to the first one that belongs to the base.
    fn first_of_chain(&self, entry: OpTime, capture_from: OpTime) -> Result<OpTime, FollowError> {
        let mut first = entry;
        loop {
            let holding = self.index.view().sequences_covering(first.ts, first.ts)?;
            let (sequence, _) = holding.ok_or(FollowError::LogBeginsLater { from: first })?;
            let sequence = Sequence(sequence);
            let bytes = read_entry(self.log.as_ref(), &self.runtime, sequence, first.ts)?;
            match parse(&bytes, sequence, None)?.previous() {
                // Each step leads back, so the walk comes to an end.
                Some(previous) if previous.ts < first.ts && capture_from.ts <= previous.ts => {
                    first = previous;
                }
                _ => return Ok(first),
            }
        }
    }
}
