//! Transaction assembly: which entries become visible together, and when.
//!
//! A transaction is one `applyOps` entry, or a chain of them linked by `prevOpTime`. It becomes
//! visible at its last entry, or, once prepared, at the `commitTimestamp` of a later
//! `commitTransaction`. Large batched writes are chains, too, without a session. Every other entry
//! stands alone.
//!
//! A chain that is not prepared is written by one primary in one piece, so it is dead once its
//! session begins another transaction or another primary writes. Without the second rule a chain
//! without a session, or a chain of a child session that is never used again, would stay open
//! forever. A prepared transaction outlives its primary: only its commit or its abort ends it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Entry, OpTime, Timestamp};

mod chain;
mod session;
mod shape;
mod step;

pub use shape::{Ending, Part, Shape};
pub use step::{AssemblyError, Incomplete, Step, Transaction};

use chain::Chain;
use session::{SessionId, TransactionId};
/// Assembles transactions from entries that are pushed in order of timestamp. `P` is what the
/// caller keeps of an entry while its transaction is open: its bytes, where to find them again, or
/// nothing.
///
/// Memory: the payloads, weighed by the caller ([`Assembler::kept`]), and about 200 bytes per open
/// transaction. A chain has no limit of its own. A caller that must not hold a whole chain checks
/// `kept` before it pushes, and keeps a position instead of bytes once there is too much.
#[derive(Debug)]
pub struct Assembler<P> {
    /// By the timestamp of the first known entry.
    open: BTreeMap<Timestamp, Chain<P>>,
    /// From the timestamp of an open chain's last known entry to the timestamp of its first.
    by_last: BTreeMap<Timestamp, Timestamp>,
    /// A session has one transaction at a time.
    by_session: BTreeMap<SessionId, Timestamp>,
    /// Timestamps of the prepare entries of open transactions.
    prepared: BTreeSet<Timestamp>,
    last: Option<OpTime>,
    weigh: fn(&P) -> usize,
    kept: u64,
    abandoned: u64,
}

impl Default for Assembler<()> {
    /// Returns an assembler that keeps nothing but positions.
    fn default() -> Self {
        Self::new(|()| 0)
    }
}

impl<P> Assembler<P> {
    /// Returns an assembler without open transactions. `weigh` returns the bytes that a payload
    /// takes in memory, for [`Assembler::kept`].
    pub fn new(weigh: fn(&P) -> usize) -> Self {
        Self {
            open: BTreeMap::new(),
            by_last: BTreeMap::new(),
            by_session: BTreeMap::new(),
            prepared: BTreeSet::new(),
            last: None,
            weigh,
            kept: 0,
            abandoned: 0,
        }
    }

    /// Takes the next entry of the log. `keep` is called if the entry must be kept until later.
    ///
    /// # Errors
    /// See [`AssemblyError`]. The entry is then not taken, and the state is unchanged.
    pub fn push(
        &mut self,
        entry: &Entry<'_>,
        keep: impl FnOnce() -> P,
    ) -> Result<Step<P>, AssemblyError> {
        if let Some(previous) = self.last.filter(|last| entry.ts() <= last.ts) {
            return Err(AssemblyError::OutOfOrder { at: entry.optime, previous });
        }
        let unreadable = |source| AssemblyError::Malformed { at: entry.optime, source };
        let shape = Shape::of(entry).map_err(unreadable)?;
        if shape == Shape::Alone && self.by_session.is_empty() {
            self.passed(entry.optime);
            return Ok(Step::Single);
        }
        let id = TransactionId::of(entry).map_err(unreadable)?;
        let superseded = self.superseded(entry, shape, id.as_ref())?;
        let step = match shape {
            Shape::Alone => Step::Single,
            Shape::Part(part) => self.part(entry, part, id, keep)?,
            Shape::Commit { commit_timestamp } => self.commit(entry, commit_timestamp, id)?,
            Shape::Abort => self.abort(id.as_ref()),
        };
        if let Some(first) = superseded {
            self.abandon(first);
        }
        self.passed(entry.optime);
        Ok(step)
    }

    /// Returns the first known entry of the oldest open transaction. An assembler that is pushed
    /// the log from this entry on comes to the same state again, and reports transactions that
    /// began earlier as [`Step::Incomplete`].
    pub fn oldest_unresolved(&self) -> Option<OpTime> {
        self.open.values().next().map(|chain| chain.first)
    }

    /// Returns the timestamp of the earliest prepare without commit or abort. Its transaction may
    /// still become visible at any time from there on, so no such time can be restored (I7).
    pub fn oldest_prepared(&self) -> Option<Timestamp> {
        self.prepared.first().copied()
    }

    /// Returns the number of open transactions.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Returns the weight of all payloads that are kept, in bytes.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Returns how many chains were found dead so far: begun, and neither committed nor aborted.
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    fn part(
        &mut self,
        entry: &Entry<'_>,
        part: Part,
        id: Option<TransactionId>,
        keep: impl FnOnce() -> P,
    ) -> Result<Step<P>, AssemblyError> {
        let known = self.find(entry, id.as_ref())?;
        if let Some(chain) = known.map(|first| &self.open[&first]) {
            chain.check_goes_on(entry, &part)?;
        }
        let missing = entry.previous().filter(|_| known.is_none());
        if known.is_none() && missing.is_none() && part.ending != Ending::More {
            chain::check_count(entry.optime, entry.optime, part.operations, part.count)?;
        }
        match (part.ending, known) {
            (Ending::Committed, Some(first)) => {
                let mut chain = self.close(first);
                chain.operations += part.operations;
                Ok(chain.complete(entry.ts(), true))
            }
            (Ending::Committed, None) => Ok(match missing {
                None => Step::Single,
                Some(_) => Step::Incomplete(Incomplete {
                    visible: entry.ts(),
                    first_known: entry.optime,
                    missing,
                }),
            }),
            (Ending::More | Ending::Prepared, known) => {
                let first = known.unwrap_or_else(|| self.begin(entry.optime, missing, id));
                self.extend(first, entry.optime, &part, keep);
                Ok(Step::Pending)
            }
        }
    }

    fn commit(
        &mut self,
        entry: &Entry<'_>,
        commit: Timestamp,
        id: Option<TransactionId>,
    ) -> Result<Step<P>, AssemblyError> {
        let at = entry.optime;
        let known = match entry.previous() {
            Some(_) => self.find(entry, id.as_ref())?,
            None => self.of_session(id.as_ref()),
        };
        let chain = known.map(|first| &self.open[&first]);
        if let Some(chain) = chain.filter(|chain| !chain.prepared) {
            return Err(chain.contradicted(at, "it commits what was not prepared"));
        }
        let prepare = chain.map(|chain| chain.last).or(entry.previous());
        let prepare = prepare.map_or(Timestamp::ZERO, |optime| optime.ts);
        if commit < prepare || commit > at.ts {
            return Err(AssemblyError::CommitTimestamp { at, commit, prepare });
        }
        Ok(match known {
            Some(first) => self.close(first).complete(commit, false),
            None => Step::Incomplete(Incomplete {
                visible: commit,
                first_known: at,
                missing: entry.previous(),
            }),
        })
    }

    /// Finds the transaction by its session alone: a new primary aborts what it finds begun, and
    /// then names no previous entry.
    fn abort(&mut self, id: Option<&TransactionId>) -> Step<P> {
        if let Some(first) = self.of_session(id) {
            self.close(first);
        }
        Step::Aborted
    }

    /// Returns the open transaction that this entry continues or commits.
    fn find(
        &self,
        entry: &Entry<'_>,
        id: Option<&TransactionId>,
    ) -> Result<Option<Timestamp>, AssemblyError> {
        let Some(previous) = entry.previous() else {
            return Ok(None);
        };
        if let Some(&first) = self.by_last.get(&previous.ts) {
            let chain = &self.open[&first];
            let same_term = previous.term == chain.last.term
                || [previous.term, chain.last.term].contains(&OpTime::NONE.term);
            return if chain.id.as_ref() != id {
                Err(chain.contradicted(entry.optime, "it is of another session or number"))
            } else if !same_term {
                Err(chain.contradicted(entry.optime, "it follows an entry of another term"))
            } else {
                Ok(Some(first))
            };
        }
        match self.of_session(id).map(|first| &self.open[&first]) {
            Some(chain) => {
                Err(chain.contradicted(entry.optime, "entries between them are missing"))
            }
            None => Ok(None),
        }
    }

    /// Returns the open transaction of that session and number.
    fn of_session(&self, id: Option<&TransactionId>) -> Option<Timestamp> {
        let first = *self.by_session.get(&id?.session)?;
        (self.open[&first].id.as_ref() == id).then_some(first)
    }

    /// Returns the chain that is dead because its session has begun something else with this entry.
    fn superseded(
        &self,
        entry: &Entry<'_>,
        shape: Shape,
        id: Option<&TransactionId>,
    ) -> Result<Option<Timestamp>, AssemblyError> {
        let Some((id, &first)) = id.and_then(|id| Some((id, self.by_session.get(&id.session)?)))
        else {
            return Ok(None);
        };
        let chain = &self.open[&first];
        let same = chain.id.as_ref() == Some(id);
        let begins = matches!(shape, Shape::Part(_)) && (!same || entry.previous().is_none());
        let newer = chain.id.as_ref().is_some_and(|open| id.number > open.number);
        if !begins && !newer {
            return Ok(None);
        }
        if chain.prepared {
            let reason = "its session went on although it was prepared and not decided";
            return Err(chain.contradicted(entry.optime, reason));
        }
        Ok(Some(first))
    }

    fn begin(
        &mut self,
        first: OpTime,
        missing: Option<OpTime>,
        id: Option<TransactionId>,
    ) -> Timestamp {
        if let Some(id) = &id {
            self.by_session.insert(id.session.clone(), first.ts);
        }
        self.by_last.insert(first.ts, first.ts);
        self.open.insert(first.ts, Chain::begin(first, missing, id));
        first.ts
    }

    fn extend(&mut self, first: Timestamp, at: OpTime, part: &Part, keep: impl FnOnce() -> P) {
        let chain = self.open.get_mut(&first).expect("an open chain is found by its first entry");
        self.by_last.remove(&chain.last.ts);
        self.by_last.insert(at.ts, first);
        chain.last = at;
        chain.operations += part.operations;
        if part.ending == Ending::Prepared {
            chain.prepared = true;
            self.prepared.insert(at.ts);
        }
        // A chain that begins with a missing entry cannot be applied anyway.
        if chain.missing.is_none() {
            let payload = keep();
            let weight = (self.weigh)(&payload) as u64;
            chain.weight += weight;
            self.kept += weight;
            chain.payloads.push(payload);
        }
    }

    fn close(&mut self, first: Timestamp) -> Chain<P> {
        let chain = self.open.remove(&first).expect("an open chain is found by its first entry");
        self.by_last.remove(&chain.last.ts);
        self.prepared.remove(&chain.last.ts);
        if let Some(id) = &chain.id
            && self.by_session.get(&id.session) == Some(&first)
        {
            self.by_session.remove(&id.session);
        }
        self.kept -= chain.weight;
        chain
    }

    fn abandon(&mut self, first: Timestamp) {
        self.close(first);
        self.abandoned += 1;
    }

    /// Moves on, and abandons what a primary of an older term left behind.
    fn passed(&mut self, at: OpTime) {
        let new_term = self.last.is_none_or(|last| last.term < at.term);
        self.last = Some(at);
        if !new_term {
            return;
        }
        let dead: Vec<Timestamp> = self
            .open
            .values()
            .filter(|chain| chain.is_of_term_before(at.term))
            .map(|chain| chain.first.ts)
            .collect();
        for first in dead {
            self.abandon(first);
        }
    }
}

#[cfg(test)]
mod tests;
