//! Inserts, updates and deletes.
//!
//! | | relaxed (visible at or before the base's end) | strict |
//! |---|---|---|
//! | insert of an existing document | replaces it | refused*, except a user's |
//! | update of a missing document | makes a stub* | refused*, unless marked as an upsert |
//! | delete of a missing document | nothing | refused, except a user's and in capped collections |
//!
//! A stub holds what the update sets.
//!
//! In the relaxed window the base may already hold what an entry does (O15). After that window, a
//! mismatch means that base or log is wrong. Collections that the server writes without logging are
//! always relaxed. A user's operations are the operations of an `applyOps` that was logged as given
//! (`user.rs`). They need not fit the state that they meet.
//!
//! \* Except where the history itself trims a capped collection (`capped.rs`): the source may have
//! held a few documents more or fewer, so there the insert replaces the document and the update
//! does nothing.

use std::borrow::Cow;
use std::collections::hash_map::Entry;

use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::update::{Update, UpdateError, UserUpdate};
use hindsight_oplog::{Operation, Timestamp, id_key};

use crate::assemble::Newest;
use crate::proof::Change;
use crate::unit::{Target, Unit};
use crate::value::{self, Chain, Order, Stored};
use crate::{ApplyError, HistoryError, Writer, key, user};

/// What the newest version of the current document is.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) exists: bool,
    order: Option<Order>,
    /// The time of the version; `None` when there is no version.
    visible: Option<Timestamp>,
    /// Set when the version is stored as a delta.
    chain: Option<Chain>,
}

impl Writer<'_> {
    pub(crate) fn insert(&mut self, unit: &Unit, op: &Operation<'_>) -> Result<(), ApplyError> {
        self.counts.inserts += 1;
        let target = self.target(unit, op)?;
        if target.excluded {
            return Ok(());
        }
        let trims = self.trims_what(&target)?;
        let user = self.user(op)?;
        let document = match user {
            Some(_) => self.users_document(unit, op)?,
            None => Cow::Borrowed(op.o.as_bytes()),
        };
        let hash = self.point_at(&target, document_id(unit, op)?);
        let is_new = self.note_greatest(target.number)?;
        // In relaxed mode, nobody needs to know whether the document exists. A user's insert keeps
        // the place of the document.
        let is_relaxed = unit.relaxed || target.unlogged || user.is_some();
        let keeps_place = user.is_some() && target.capped;
        let must_look = !is_new && (trims || keeps_place || !is_relaxed);
        let before = if must_look { self.find(hash, |_| Ok(()))? } else { Found::default() };
        if before.exists && !is_relaxed {
            if !trims {
                return Err(unit.inconsistent(op.ns, "inserts a document that exists"));
            }
            self.count_mismatch(unit, true);
        }
        self.prove(unit, op, &target, Change { before: None, after: Some(&document) })?;
        let here = Order { inserted: unit.visible, position: unit.position };
        let order = before.order.filter(|_| keeps_place).unwrap_or(here);
        self.put(hash, unit, &document, target.capped.then_some(order));
        if trims {
            self.trim(unit, &target, before.order, order, document.len())?;
        }
        Ok(())
    }

    pub(crate) fn update(&mut self, unit: &Unit, op: &Operation<'_>) -> Result<(), ApplyError> {
        self.counts.updates += 1;
        let target = self.target(unit, op)?;
        if target.excluded {
            return Ok(());
        }
        let trims = self.trims_what(&target)?;
        let id = document_id(unit, op)?;
        let user = self.user(op)?;
        let here = user::circumstances(unit, &target, user);
        let update = match user {
            Some(user) => UserUpdate::parse(op.o, user.server),
            None => Update::parse(op.o).map(UserUpdate::Logged),
        };
        let update = update.map_err(|error| unappliable(unit, op, &error))?;
        if user.is_some() {
            self.note_clock(unit, op, update.takes_the_clock());
        }
        let hash = self.point_at(&target, id);
        let mut post_image = None;
        let mut pre_image = None;
        let found = self.find(hash, |document| {
            let applied = update.apply(document, &here);
            post_image = Some(applied.map_err(|error| unappliable(unit, op, &error))?);
            pre_image = op.document_hash.map(|_| document.as_bytes().to_vec());
            Ok(())
        })?;
        let post_image = match post_image {
            Some(_) if unit.relaxed && !update.is_idempotent() => {
                return Err(unit.unsupported(op.ns, user::NOT_IDEMPOTENT));
            }
            Some(post_image) => post_image,
            None if trims && user.is_none() => {
                // The document has been trimmed already, or was trimmed when the base was read.
                self.count_mismatch(unit, true);
                return Ok(());
            }
            None if unit.relaxed || target.unlogged || op.upsert => {
                self.count_mismatch(unit, !op.upsert);
                let made = update.apply_to_missing(id, &here);
                made.map_err(|error| unappliable(unit, op, &error))?
            }
            None => return Err(unit.inconsistent(op.ns, "updates a document that is missing")),
        };
        let change = Change { before: pre_image.as_deref(), after: Some(&post_image) };
        self.prove(unit, op, &target, change)?;
        self.note_greatest(target.number)?;
        let here = Order { inserted: unit.visible, position: unit.position };
        let order = target.capped.then(|| found.order.unwrap_or(here));
        let length = post_image.len();
        let chain = match user {
            Some(_) => None,
            None => delta_chain(unit, op, &update, &found, &target, length),
        };
        match chain {
            Some(chain) => self.put_delta(hash, unit, op.o.as_bytes(), chain, post_image),
            None => self.put(hash, unit, &post_image, order),
        }
        match order.filter(|_| trims) {
            Some(order) if !found.exists => self.trim(unit, &target, None, order, length)?,
            Some(_) => self.trimming.changed(target.number, &self.prefix, order, Some(length)),
            None => {}
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, unit: &Unit, op: &Operation<'_>) -> Result<(), ApplyError> {
        self.counts.deletes += 1;
        let user = self.user(op)?;
        if user.is_some() && op.ui.is_none() && !self.is_named(op.ns) {
            // A user may delete from a collection that does not exist.
            self.count_mismatch(unit, true);
            return Ok(());
        }
        let target = self.target(unit, op)?;
        if target.excluded {
            return Ok(());
        }
        let trims = self.trims_what(&target)?;
        let hash = self.point_at(&target, document_id(unit, op)?);
        let mut pre_image = None;
        let found = self.find(hash, |document| {
            pre_image = op.document_hash.map(|_| document.as_bytes().to_vec());
            Ok(())
        })?;
        if found.exists {
            self.prove(unit, op, &target, Change { before: pre_image.as_deref(), after: None })?;
            if trims {
                self.trimming.changed(target.number, &self.prefix, found.order, None);
            }
            self.remove(hash, unit);
            return Ok(());
        }
        if unit.relaxed || target.unlogged || target.capped || user.is_some() {
            self.count_mismatch(unit, true);
            return Ok(());
        }
        Err(unit.inconsistent(op.ns, "deletes a document that is missing"))
    }

    /// Checks the change against the source's hash, if the entry has one. While the base was
    /// copied, and in collections that the server writes without logging, the state before the
    /// change is not the source's.
    fn prove(
        &mut self,
        unit: &Unit,
        op: &Operation<'_>,
        target: &Target,
        change: Change<'_>,
    ) -> Result<(), ApplyError> {
        match op.document_hash {
            Some(stated) if !unit.relaxed && !target.unlogged => {
                self.proof.check(unit, op.ns, stated, change)
            }
            _ => Ok(()),
        }
    }

    /// Whether the history trims this collection. Must be called before the writer points at the
    /// document.
    fn trims_what(&mut self, target: &Target) -> Result<bool, ApplyError> {
        if target.system_version {
            self.trimming.look_again();
        }
        Ok(target.capped && self.trims()?)
    }

    fn count_mismatch(&mut self, unit: &Unit, is_mismatch: bool) {
        if is_mismatch && unit.relaxed {
            self.counts.relaxed += 1;
        } else if is_mismatch {
            self.counts.tolerated += 1;
        }
    }

    /// Makes `self.prefix` the prefix of the document, and returns its hash.
    fn point_at(&mut self, target: &Target, id: Element<'_>) -> u64 {
        self.prefix.clear();
        key::push_number(&mut self.prefix, target.number);
        id_key::encode(id, &mut self.prefix);
        self.latest.hash(&self.prefix)
    }

    /// Notes the current id among the ids of its collection. Returns true when the id is greater
    /// than every id that the collection ever had: then the document is new, and nobody needs to
    /// look. Most inserts are such, because ids are made from a clock or a counter.
    pub(crate) fn note_greatest(&mut self, number: u32) -> Result<bool, ApplyError> {
        let greatest = match self.greatest.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.history.greatest_prefix(number)?),
        };
        let is_greater = self.prefix > *greatest;
        if is_greater {
            greatest.clone_from(&self.prefix);
        }
        Ok(is_greater)
    }

    pub(crate) fn put(&mut self, hash: u64, unit: &Unit, document: &[u8], order: Option<Order>) {
        self.latest.push(hash, &self.prefix, unit.visible, |out| {
            value::push_document(out, document, order);
        });
    }

    /// Stores the update itself. `document` is what the update makes.
    fn put_delta(
        &mut self,
        hash: u64,
        unit: &Unit,
        update: &[u8],
        chain: Chain,
        document: Vec<u8>,
    ) {
        self.latest.push_delta(hash, &self.prefix, unit.visible, document, |out| {
            value::push_delta(out, update, chain);
        });
    }

    /// Makes the current document missing from the unit's time on.
    pub(crate) fn remove(&mut self, hash: u64, unit: &Unit) {
        self.deleted.push(key::deleted(unit.visible, &self.prefix));
        self.latest.push(hash, &self.prefix, unit.visible, |out| {
            out.extend_from_slice(value::TOMBSTONE_VALUE);
        });
    }

    /// Finds the newest version of the current document, and shows it to `see` unless it is a
    /// tombstone.
    pub(crate) fn find(
        &mut self,
        hash: u64,
        see: impl FnOnce(Doc<'_>) -> Result<(), ApplyError>,
    ) -> Result<Found, ApplyError> {
        if let Some(remembered) = self.latest.find(hash, &self.prefix) {
            let visible = Some(remembered.visible);
            return match value::parse(remembered.value)? {
                Stored::Tombstone => Ok(Found { visible, ..Found::default() }),
                Stored::Document { document, order } => {
                    see(document)?;
                    Ok(Found { exists: true, order, visible, chain: None })
                }
                Stored::Delta { chain, .. } => {
                    see(Doc::new(remembered.document.unwrap_or_default()).map_err(not_kept)?)?;
                    Ok(Found { exists: true, order: None, visible, chain: Some(chain) })
                }
            };
        }
        let read = self.ahead.as_ref().and_then(|ahead| ahead.find(hash, &self.prefix));
        let newest = match read {
            Some(newest) => {
                self.counts.ahead += 1;
                newest
            }
            None => self.assembler.newest(&mut self.stored, &self.prefix)?,
        };
        let Some(Newest { visible, document }) = newest else { return Ok(Found::default()) };
        let visible = Some(visible);
        let Some(document) = document else { return Ok(Found { visible, ..Found::default() }) };
        see(document.document)?;
        Ok(Found { exists: true, order: document.order, visible, chain: document.chain })
    }
}

/// Returns the chain under which the update itself is stored; `None` when the document is stored
/// whole. A replacement is a whole document. The versions of a capped collection carry its
/// natural order, so they are whole. Of several versions at the same time only the last is kept,
/// so a delta on one of them would lose what it is based on.
fn delta_chain(
    unit: &Unit,
    op: &Operation<'_>,
    update: &UserUpdate<'_>,
    found: &Found,
    target: &Target,
    length: usize,
) -> Option<Chain> {
    let is_change = matches!(update, UserUpdate::Logged(Update::Delta(_) | Update::Modifier(_)));
    if !is_change || !found.exists || target.capped {
        return None;
    }
    let previous = found.visible.filter(|&visible| visible < unit.visible)?;
    Chain::extended(found.chain, previous, op.o.as_bytes().len(), length)
}

fn not_kept(error: impl std::fmt::Display) -> HistoryError {
    HistoryError::corrupt(format!("a delta in memory without its document: {error}"))
}

fn document_id<'a>(unit: &Unit, op: &Operation<'a>) -> Result<Element<'a>, ApplyError> {
    op.document_id().ok_or_else(|| unit.unsupported(op.ns, "a write without the document's _id"))
}

pub(crate) fn unappliable(unit: &Unit, op: &Operation<'_>, error: &UpdateError) -> ApplyError {
    unit.unsupported(op.ns, format!("an update that cannot be applied: {error}"))
}
