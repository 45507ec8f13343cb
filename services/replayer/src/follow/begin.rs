//! Where reading the log begins, when it must begin earlier, and how the history begins again after
//! an entry that cannot be applied.

use hindsight_history::Writer;
use hindsight_index::BaseSummary;
use hindsight_oplog::{OpTime, Timestamp};
use hindsight_runtime::CancellationToken;
use hindsight_segment::Sequence;
use tokio::sync::watch;
use tracing::{info, warn};

use super::applier::Applier;
use super::units::{Base, Resume, Units};
use super::{FollowError, Follower};
use crate::kept::{Kept, parse, read_entry};

impl Follower {
    /// Waits for a base that was copied after the entry that ended the history, and loads it.
    /// Returns without a base at shutdown.
    pub(super) fn begin_again<T>(
        &self,
        news: &mut watch::Receiver<T>,
        shutdown: &CancellationToken,
    ) -> Result<(), FollowError> {
        while !shutdown.is_cancelled() {
            if let Some(name) = self.later_base()? {
                info!(base = name, "the history begins again with a later base");
                return self.load_base(&name, shutdown);
            }
            self.wait(news, shutdown);
        }
        Ok(())
    }

    /// Whether only a base that is still to be copied helps. Returns false when the index cannot be
    /// read, because then nothing is known.
    pub(super) fn lacks_later_base(&self) -> bool {
        self.later_base().is_ok_and(|base| base.is_none())
    }

    /// Returns the oldest base that was begun after everything the history could apply.
    pub(super) fn later_base(&self) -> Result<Option<String>, FollowError> {
        let Some(current) = self.history.generations().pop() else { return Ok(None) };
        let ended = current.applied().map_or(current.base.exact_from, |applied| applied.ts);
        Ok(first_after(self.index.view().bases()?, ended))
    }

    /// Makes an applier that continues where the writer's generation ends.
    pub(super) fn applier(&self, writer: &Writer<'_>) -> Result<Applier<'_>, FollowError> {
        let generation = writer.generation();
        let name = generation.rests_on();
        // The base may have been removed from the index since it was looked up.
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

    /// Returns the segment to read first.
    pub(super) fn first_segment(&self, applier: &Applier<'_>) -> Result<Sequence, FollowError> {
        let from = applier.units.resume().from;
        // There need not be an entry at this position: it may lie between two segments, or before
        // the first.
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

    /// Walks a transaction back to its first entry, or to the first entry that belongs to the base.
    fn first_of_chain(&self, entry: OpTime, capture_from: OpTime) -> Result<OpTime, FollowError> {
        let mut first = entry;
        loop {
            let holding = self.index.view().sequences_covering(first.ts, first.ts)?;
            let (sequence, _) = holding.ok_or(FollowError::LogBeginsLater { from: first })?;
            let sequence = Sequence(sequence);
            let bytes = read_entry(self.log.as_ref(), &self.runtime, sequence, first.ts)?;
            match parse(&bytes, sequence, None)?.previous() {
                // Each step leads back, so the walk ends.
                Some(previous) if previous.ts < first.ts && capture_from.ts <= previous.ts => {
                    first = previous;
                }
                _ => return Ok(first),
            }
        }
    }
}

/// Returns the oldest base whose copy began after that time. The base holds everything that lies
/// between that time and its copy.
fn first_after(bases: Vec<BaseSummary>, ended: Timestamp) -> Option<String> {
    let later = bases.into_iter().filter(|base| base.capture_from.ts > ended);
    later.min_by_key(|base| base.exact_from).map(|base| base.name)
}
