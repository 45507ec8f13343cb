//! Puts entries of the log together into apply units, from any place at which reading begins. Pure.
//!
//! After a stop the log is read again from the first entry of what was open at the applied
//! position. Entries up to that position are read only for the sake of open transactions. What
//! these entries complete is in the history already, and may have begun before the first entry that
//! is read.

use hindsight_history::Progress;
use hindsight_oplog::{Assembler, AssemblyError, Entry, OpTime, Step, Timestamp, Transaction};

/// Where reading begins, and what the history holds at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    /// The first entry to read. No transaction that is open includes an earlier entry.
    pub(super) from: OpTime,
    /// The last applied entry. What ends at or before it is in the history.
    pub(super) applied: Option<OpTime>,
}

impl Resume {
    /// Continues after this progress. Without progress, begins at the first entry that the base
    /// needs.
    pub(super) fn after(progress: Option<Progress>, capture_from: OpTime) -> Self {
        let from = match progress {
            None => capture_from,
            Some(progress) => progress.oldest_open.unwrap_or_else(|| just_after(progress.applied)),
        };
        Self { from: from.max(capture_from), applied: progress.map(|progress| progress.applied) }
    }

    /// Reads from an earlier entry than seemed necessary.
    pub(super) fn reading_from(self, from: OpTime) -> Self {
        Self { from, ..self }
    }
}

/// Returns the first position after an entry. There need not be an entry at this position.
fn just_after(at: OpTime) -> OpTime {
    OpTime { ts: at.ts.successor(), term: at.term }
}

/// What a base says about the entries around its copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    /// What ended at or before this entry is in the base's documents.
    pub(super) start: OpTime,
    /// What became visible by this time was there when the copy began to read documents.
    pub(super) scanned_after: Timestamp,
    /// The first entry that the base needs.
    pub(super) capture_from: OpTime,
}

/// What an entry completes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit<P> {
    /// Nothing that the history lacks.
    Nothing,
    /// The entry alone.
    Entry,
    /// The entry, and what was kept of the earlier entries of its transaction.
    Transaction(Transaction<P>),
    /// A transaction that the log holds, but of which the entry `missing` was not read, because
    /// progress did not say that the transaction was open. An earlier version stored such progress
    /// after a failure.
    BeganEarlier { missing: OpTime },
    /// A transaction whose beginning is not in the log.
    Torn,
}

/// A place between two entries, and what is open there.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// The entry before the place, if that entry was read.
    last: Option<OpTime>,
    oldest_open: Option<OpTime>,
    oldest_prepared: Option<Timestamp>,
}

/// Puts apply units together.
#[derive(Debug)]
pub(super) struct Units<P> {
    transactions: Assembler<P>,
    base: Base,
    resume: Resume,
    last: Option<OpTime>,
    /// The place before the entry pushed last. That entry may fail after its transaction was closed
    /// here.
    before: Standing,
}

impl<P> Units<P> {
    /// `weigh` is as in [`Assembler::new`].
    pub(super) fn new(base: Base, resume: Resume, weigh: fn(&P) -> usize) -> Self {
        Self {
            transactions: Assembler::new(weigh),
            base,
            resume,
            last: None,
            before: Standing::default(),
        }
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    pub(super) fn resume(&self) -> Resume {
        self.resume
    }

    /// Returns the entry pushed last.
    pub(super) fn last(&self) -> Option<OpTime> {
        self.last
    }

    /// Returns the weight of what is kept of open transactions.
    pub(super) fn kept(&self) -> u64 {
        self.transactions.kept()
    }

    /// Takes the next entry of the log. `keep` is as in [`Assembler::push`].
    ///
    /// # Errors
    /// Returns an error when entries contradict each other.
    pub(super) fn push(
        &mut self,
        entry: &Entry<'_>,
        keep: impl FnOnce() -> P,
    ) -> Result<Unit<P>, AssemblyError> {
        if entry.ts() < self.resume.from.ts {
            return Ok(Unit::Nothing);
        }
        self.before = self.standing();
        let step = self.transactions.push(entry, keep)?;
        self.last = Some(entry.optime);
        Ok(match step {
            Step::Pending | Step::Aborted => Unit::Nothing,
            _ if self.is_held(entry.optime) => Unit::Nothing,
            Step::Single => Unit::Entry,
            Step::Complete(transaction) => Unit::Transaction(transaction),
            // The transaction began before the base's own capture and ended before the base's scans
            // began, so it is in the documents.
            Step::Incomplete(_) if entry.ts() <= self.base.scanned_after => Unit::Nothing,
            Step::Incomplete(incomplete) => match incomplete.missing {
                Some(missing) if self.is_in_log(missing) => Unit::BeganEarlier { missing },
                _ => Unit::Torn,
            },
        })
    }

    /// Returns the progress up to this position, when nothing beyond it was read. None when the
    /// history is already as far.
    pub(super) fn progress(&self, applied: OpTime, before: Option<Progress>) -> Option<Progress> {
        self.standing().progress(applied, before)
    }

    /// Returns the progress up to just before the entry pushed last, which cannot be applied. What
    /// that entry was to complete is still open.
    pub(super) fn progress_before(
        &self,
        entry: &Entry<'_>,
        before: Option<Progress>,
    ) -> Option<Progress> {
        let term = self.before.last.map_or(entry.optime.term, |last| last.term);
        self.before.progress(OpTime { ts: entry.ts().predecessor(), term }, before)
    }

    fn standing(&self) -> Standing {
        Standing {
            last: self.last,
            oldest_open: self.transactions.oldest_unresolved(),
            oldest_prepared: self.transactions.oldest_prepared(),
        }
    }

    /// Whether what ends with this entry is in the history, or in the documents of its base.
    fn is_held(&self, at: OpTime) -> bool {
        at <= self.base.start || self.resume.applied.is_some_and(|applied| at.ts <= applied.ts)
    }

    /// Whether an entry that was not read is in the part of the log that belongs to the base. Going
    /// back to such an entry moves `from`, so nothing goes back for the same entry twice.
    fn is_in_log(&self, missing: OpTime) -> bool {
        self.base.capture_from.ts <= missing.ts && missing.ts < self.resume.from.ts
    }
}

impl Standing {
    fn progress(&self, applied: OpTime, before: Option<Progress>) -> Option<Progress> {
        if before.is_some_and(|before| applied.ts <= before.applied.ts) {
            return None;
        }
        let through = self.oldest_prepared.map_or(applied.ts, Timestamp::predecessor);
        let through = through.min(applied.ts);
        let through = before.map_or(through, |before| before.through.max(through));
        Some(Progress { applied, through, oldest_open: self.oldest_open })
    }
}

#[cfg(test)]
mod tests;
