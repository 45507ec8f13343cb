//! What a revert did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::reversion::Reversion;

/// The most conflicts that a report names. Further ones are counted.
const MOST_NAMED: usize = 1000;

/// How many documents would be written, in one collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Documents that are inserted again.
    pub inserted: u64,
    /// Documents that get other content.
    pub replaced: u64,
    /// Documents that are deleted.
    pub deleted: u64,
}

impl Totals {
    /// Counts a document.
    pub fn count(&mut self, reversion: &Reversion) {
        match (&reversion.now, &reversion.then) {
            (None, _) => self.inserted += 1,
            (_, None) => self.deleted += 1,
            _ => self.replaced += 1,
        }
    }

    /// Returns the number of documents.
    pub fn documents(&self) -> u64 {
        self.inserted + self.replaced + self.deleted
    }
}

/// A document that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The namespace of the document.
    pub ns: String,
    /// A BSON document `{_id: …}`.
    pub id: Vec<u8>,
    /// Why the document was left alone.
    pub reason: String,
}

/// What a revert did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was written, by collection.
    pub written: BTreeMap<String, Totals>,
    /// Documents that already were what they shall be.
    pub already: u64,
    /// Documents that were left alone: the first of them.
    pub conflicts: Vec<Conflict>,
    /// How many documents were left alone.
    pub conflict_count: u64,
}

impl Report {
    /// Returns the sums over all collections.
    pub fn totals(&self) -> Totals {
        self.written.values().fold(Totals::default(), |sum, it| Totals {
            inserted: sum.inserted + it.inserted,
            replaced: sum.replaced + it.replaced,
            deleted: sum.deleted + it.deleted,
        })
    }

    pub(crate) fn wrote(&mut self, reversion: &Reversion) {
        self.written.entry(reversion.ns.clone()).or_default().count(reversion);
    }

    pub(crate) fn conflict(&mut self, reversion: &Reversion, reason: impl Into<String>) {
        self.conflict_count += 1;
        if self.conflicts.len() < MOST_NAMED {
            let (ns, id) = (reversion.ns.clone(), reversion.id.clone());
            self.conflicts.push(Conflict { ns, id, reason: reason.into() });
        }
    }

    pub(crate) fn add(&mut self, other: Report) {
        for (ns, totals) in other.written {
            let sum = self.written.entry(ns).or_default();
            sum.inserted += totals.inserted;
            sum.replaced += totals.replaced;
            sum.deleted += totals.deleted;
        }
        self.already += other.already;
        self.conflict_count += other.conflict_count;
        let room = MOST_NAMED - self.conflicts.len().min(MOST_NAMED);
        self.conflicts.extend(other.conflicts.into_iter().take(room));
    }
}
