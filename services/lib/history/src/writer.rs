//! The only writer: it takes apply units, and writes batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hindsight_oplog::{OpKind, OpTime, Operation, Timestamp};
use rocksdb::DBRawIterator;

use crate::ahead::Ahead;
use crate::assemble::Assembler;
use crate::capped::Trimming;
use crate::catalog::Previous;
use crate::claim::Claim;
use crate::generation::Generation;
use crate::latest::{Latest, Mark};
use crate::observed::Observed;
use crate::proof::{HashCounts, Proof};
use crate::storing::Storing;
use crate::unit::{Target, Unit};
use crate::{ApplyError, CollectionState, History, HistoryError, history, state};

mod commit;

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The unit was applied now.
    Done,
    /// The unit was applied before (I10): its last entry is not after the last entry that was
    /// applied.
    Already,
}

/// What this writer did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Units applied.
    pub units: u64,
    /// Insert operations.
    pub inserts: u64,
    /// Update operations.
    pub updates: u64,
    /// Delete operations.
    pub deletes: u64,
    /// Commands.
    pub commands: u64,
    /// Writes in the relaxed window that met a state that a strict write would not accept.
    pub relaxed: u64,
    /// Writes to unlogged and capped collections that met a state that a strict write would not
    /// accept. They may do so at any time.
    pub tolerated: u64,
    /// Documents whose newest version had been read ahead ([`Writer::use_ahead`]).
    pub ahead: u64,
    /// Documents into which the server put its own clock, so that the history holds only about the
    /// same time.
    pub clock_values: u64,
}

impl History {
    /// Returns the only writer, which continues the newest generation.
    ///
    /// # Errors
    /// Returns [`HistoryError::Busy`] while a load or another writer exists, and
    /// [`HistoryError::NoBase`] before a base is loaded.
    pub fn writer(&self) -> Result<Writer<'_>, HistoryError> {
        let claim = self.claim()?;
        let generation = self.generations().pop().ok_or(HistoryError::NoBase)?;
        // A writer that ended early may have changed the catalog without storing the change.
        *self.write_catalog() = history::stored_catalog(&self.db)?;
        Writer::new(self, claim, generation)
    }
}

/// Applies units to the newest generation. The units that [`Writer::apply`] was given are visible
/// after [`Writer::commit`], and survive a crash after [`Writer::flush`] (or when RocksDB flushes
/// by itself).
pub struct Writer<'h> {
    pub(crate) history: &'h History,
    pub(crate) generation: Generation,
    pub(crate) latest: Latest,
    /// Sees everything that was stored when an arena of `latest` was last forgotten.
    pub(crate) stored: DBRawIterator<'h>,
    /// Number and id key of the current document.
    pub(crate) prefix: Vec<u8>,
    pub(crate) ahead: Option<Ahead>,
    pub(crate) assembler: Assembler,
    pub(crate) counts: Counts,
    /// The greatest prefix that each number ever had.
    pub(crate) greatest: HashMap<u32, Vec<u8>>,
    pub(crate) trimming: Trimming,
    pub(crate) proof: Proof,
    targets: HashMap<[u8; 16], Target>,
    last_target: Option<([u8; 16], Target)>,
    edits: Vec<Edit>,
    /// Records of deletions that are not stored yet.
    pub(crate) deleted: Vec<Vec<u8>>,
    /// Observations that are not stored yet.
    pub(crate) observed: Vec<Observed>,
    last_unit: Option<OpTime>,
    stopped: Option<OpTime>,
    window_closed: bool,
    pub(crate) storing: Storing,
    /// The number of the commit that was handed over last. Commits are counted in the history.
    handed: u64,
    /// The last commit of which `latest` remembers versions in its old arena.
    old_through: u64,
    /// The last commit of which `latest` may have forgotten versions.
    forgotten: u64,
    _claim: Claim<'h>,
}

/// A change of the catalog that is not stored yet.
struct Edit {
    number: u32,
    since: Timestamp,
    previous: Previous,
}

impl<'h> Writer<'h> {
    pub(crate) fn new(
        history: &'h History,
        claim: Claim<'h>,
        generation: Generation,
    ) -> Result<Self, HistoryError> {
        // Nothing that was read ahead before this writer began may be used.
        let handed = history.commits.fetch_add(1, Ordering::AcqRel) + 1;
        let recent = history.recent.get_or_init(Arc::default);
        let storing = Storing::start(
            Arc::clone(&history.db),
            Arc::clone(&history.generations),
            Arc::clone(&history.commits),
        )?;
        Ok(Writer {
            history,
            latest: Latest::new(history.settings.latest_bytes, Arc::clone(recent)),
            stored: history.version_finder(),
            prefix: Vec::with_capacity(64),
            ahead: None,
            assembler: Assembler::default(),
            counts: Counts::default(),
            storing,
            handed,
            old_through: handed,
            forgotten: handed,
            greatest: HashMap::new(),
            trimming: Trimming::default(),
            proof: Proof::new(generation.hashes),
            targets: HashMap::new(),
            last_target: None,
            edits: Vec::new(),
            deleted: Vec::new(),
            observed: Vec::new(),
            last_unit: generation.applied(),
            stopped: None,
            window_closed: false,
            generation,
            _claim: claim,
        })
    }

    /// Returns the generation that the writer applies to, as of the last commit.
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Returns what this writer did so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the results of checking the hashes that the source gave of its documents.
    pub fn hash_counts(&self) -> HashCounts {
        self.proof.counts
    }

    /// Returns the number of bytes that are applied and not committed. They are held in memory;
    /// commit when there are many.
    pub fn uncommitted_bytes(&self) -> usize {
        self.latest.pending_bytes()
    }

    /// Uses what was read ahead for the next units, in place of what was read ahead before. What is
    /// too old is not used.
    pub fn use_ahead(&mut self, ahead: Option<Ahead>) {
        self.ahead = ahead;
        self.doubt_ahead();
    }

    /// Gives up what was read ahead if the writer has forgotten versions that may be newer.
    fn doubt_ahead(&mut self) {
        if self.ahead.as_ref().is_some_and(|ahead| ahead.commits() < self.forgotten) {
            self.ahead = None;
        }
    }

    /// Applies one unit: the operations of one entry or of one assembled transaction, in order.
    ///
    /// `visible` is the time from which the operations are visible (O10). `at` is the optime of the
    /// last entry of the unit: for a prepared transaction, of its commit. Units come in the order
    /// of `at`.
    ///
    /// # Errors
    /// After [`ApplyError::Unsupported`] or [`ApplyError::Inconsistent`] nothing of the unit is in
    /// the history, and the writer accepts no further unit. Earlier units may still be committed.
    pub fn apply<'a>(
        &mut self,
        visible: Timestamp,
        at: OpTime,
        operations: impl IntoIterator<Item = Operation<'a>>,
    ) -> Result<Applied, ApplyError> {
        if let Some(at) = self.stopped {
            return Err(ApplyError::Stopped { at });
        }
        if at.ts <= self.generation.base.start {
            // The base was read after this unit.
            return Ok(Applied::Already);
        }
        if let Some(last) = self.last_unit.filter(|last| at.ts <= last.ts) {
            if at.ts == last.ts && at.term != last.term {
                let reason = format!("the history holds {last} in its place");
                return Err(ApplyError::OutOfOrder { at, reason });
            }
            return Ok(Applied::Already);
        }
        let before = (self.latest.mark(), self.edits.len(), self.deleted.len());
        let result = self.apply_new(visible, at, operations);
        if result.is_err() {
            self.take_back(before.0, before.1);
            self.deleted.truncate(before.2);
            self.stopped = Some(at);
        }
        result.map(|()| Applied::Done)
    }

    fn apply_new<'a>(
        &mut self,
        visible: Timestamp,
        at: OpTime,
        operations: impl IntoIterator<Item = Operation<'a>>,
    ) -> Result<(), ApplyError> {
        let base = &self.generation.base;
        let through = self.generation.progress.map_or(base.start, |progress| progress.through);
        if visible > at.ts || (self.generation.progress.is_some() && visible <= through) {
            let reason = format!("visible at {visible}, but the state is final through {through}");
            return Err(ApplyError::OutOfOrder { at, reason });
        }
        let mut unit = Unit {
            at,
            // A transaction that was prepared before the base's start and committed after it goes
            // on top of the base, like everything in the relaxed window. Nothing is read before the
            // end of the window.
            visible: visible.max(base.start),
            relaxed: visible <= base.exact_from,
            position: 0,
        };
        if !unit.relaxed {
            self.close_window(at)?;
        }
        for operation in operations {
            self.operation(&unit, &operation)?;
            unit.position += 1;
        }
        self.last_unit = Some(at);
        self.counts.units += 1;
        Ok(())
    }

    fn operation(&mut self, unit: &Unit, operation: &Operation<'_>) -> Result<(), ApplyError> {
        match operation.kind {
            OpKind::Insert => self.insert(unit, operation),
            OpKind::Update => self.update(unit, operation),
            OpKind::Delete => self.delete(unit, operation),
            OpKind::Command => self.command(unit, operation),
            OpKind::Noop | OpKind::Bookkeeping => Ok(()),
            OpKind::Unknown => self.unknown(unit, operation.ns, operation.code),
        }
    }

    fn take_back(&mut self, mark: Mark, edits: usize) {
        self.latest.take_back(mark);
        let mut catalog = self.history.write_catalog();
        while self.edits.len() > edits {
            let Some(edit) = self.edits.pop() else { break };
            catalog.restore(edit.number, edit.since, edit.previous);
        }
    }

    /// Finds the collection of an operation on a document: by UUID, or by the name that the
    /// collection has at that moment.
    pub(crate) fn target(
        &mut self,
        unit: &Unit,
        operation: &Operation<'_>,
    ) -> Result<Target, ApplyError> {
        let Some(uuid) = operation.ui else {
            let catalog = self.history.read_catalog();
            let live = catalog.live_named(self.generation.id, operation.ns);
            return live.map(|(number, state)| Target::of(number, state)).ok_or_else(|| {
                unit.inconsistent(operation.ns, "no UUID, and no collection of that name")
            });
        };
        if let Some((last, target)) = &self.last_target
            && *last == uuid
        {
            return Ok(*target);
        }
        let target = match self.targets.get(&uuid) {
            Some(target) => *target,
            None => self.find_target(unit, uuid, operation.ns)?,
        };
        self.targets.insert(uuid, target);
        self.last_target = Some((uuid, target));
        Ok(target)
    }

    fn find_target(&mut self, unit: &Unit, uuid: [u8; 16], ns: &str) -> Result<Target, ApplyError> {
        if let Some((number, state)) = self.history.read_catalog().live(self.generation.id, &uuid) {
            return Ok(Target::of(number, state));
        }
        if !unit.relaxed && !state::is_written_unlogged(ns) {
            return Err(unit.inconsistent(ns, "its collection is neither in the base nor created"));
        }
        let excluded = self.history.excludes(ns);
        let state = CollectionState { implicit: true, excluded, ..CollectionState::new(uuid, ns) };
        let target = Target { number: self.new_number()?, ..Target::of(0, &state) };
        self.set_state(unit, target.number, Some(state));
        Ok(target)
    }

    pub(crate) fn new_number(&mut self) -> Result<u32, HistoryError> {
        self.history
            .write_catalog()
            .take_number()
            .ok_or_else(|| HistoryError::corrupt("2^32 collections"))
    }

    /// Changes the catalog from the unit's visible time on.
    pub(crate) fn set_state(&mut self, unit: &Unit, number: u32, state: Option<CollectionState>) {
        let previous = self.history.write_catalog().set(
            self.generation.id,
            number,
            unit.visible,
            state.map(Arc::new),
        );
        self.edits.push(Edit { number, since: unit.visible, previous });
        self.targets.clear();
        self.last_target = None;
        self.trimming.forget(number);
    }
}
