//! Deltas (`$v: 2`), as the server's `applyDiff` applies them. Grammar and table of results:
//!
//! ```text
//! document diff := sections in the order d u i b s*      array diff := a: true, then
//!   d  { name: … }                drop                     l    int32           new length
//!   u  { name: value }            set where it stands      u<n> value           set element n
//!   i  { name: value }            drop, add at the end     s<n> diff            change element n
//!   b  { name: {o: int32, d: binary} }  patch a column
//!   s<name> diff                  change what is nested
//! ```
//!
//! A subdiff on a value of another type leaves null, and a subdiff on a missing field does nothing.
//! Both happen only when the document is ahead of the delta, and a later entry corrects the result.
//! A field that `u` names and that is missing is appended, before the fields of `i`.

use std::collections::HashMap;

use super::error::{DiffFault, UpdateError};
use super::output::{IndexName, Output};
use crate::raw::{Doc, Element, MAX_DEPTH, kind};

mod grammar;
mod writes;

pub(super) use writes::writes;

use grammar::{
    Action, ArrayAction, ArrayEntries, ArrayEntry, SUB_DIFF, action, deeper, is_array_diff,
    section_order,
};

/// BSON column, the only binary subtype that a delta can patch.
const COLUMN: u8 = 7;

/// Up to this many changes of one document are looked up by walking them.
const FEW: usize = 16;

pub(super) fn apply(pre: Doc<'_>, diff: Doc<'_>) -> Result<Vec<u8>, UpdateError> {
    let capacity = pre.as_bytes().len() + diff.as_bytes().len();
    let mut applier = Applier { changes: Vec::new(), out: Output::with_capacity(capacity) };
    applier.document(pre, diff, MAX_DEPTH)?;
    Ok(applier.out.into_bytes())
}

struct Change<'d> {
    name: &'d [u8],
    action: Action<'d>,
    /// Whether the document had that field, so that the change took its place.
    is_placed: bool,
}

/// The changes of one document: a range of [`Applier::changes`].
struct Level<'d> {
    from: usize,
    /// The [`bit`] of each name, which recognises most untouched fields at once.
    mask: u64,
    /// By name, once there are more than [`FEW`] changes.
    by_name: Option<HashMap<&'d [u8], usize>>,
}

struct Applier<'d> {
    /// The changes of all documents that are being walked, outermost first: one allocation for all
    /// of them.
    changes: Vec<Change<'d>>,
    out: Output,
}

impl<'d> Applier<'d> {
    fn document(&mut self, pre: Doc<'_>, diff: Doc<'d>, depth: usize) -> Result<(), UpdateError> {
        let depth = deeper(depth)?;
        let level = self.read(diff)?;
        let start = self.out.start()?;
        let bytes = pre.as_bytes();
        // Elements from `copied` to `position` are unchanged and not yet copied.
        let (mut copied, mut position) = (4, 4);
        for element in pre.elements() {
            let element = element?;
            let end = position + element.as_bytes().len();
            if let Some(at) = self.find(&level, element.name) {
                self.out.copy(&bytes[copied..position])?;
                self.change(at, element, depth)?;
                copied = end;
            }
            position = end;
        }
        self.out.copy(&bytes[copied..position])?;
        self.append_rest(&level, depth)?;
        self.changes.truncate(level.from);
        self.out.end(start)
    }

    /// Applies a change to a field that the document has. A name that occurs twice is changed
    /// twice.
    fn change(&mut self, at: usize, old: Element<'_>, depth: usize) -> Result<(), UpdateError> {
        let action = self.changes[at].action;
        match action {
            Action::Delete | Action::Insert(_) => return Ok(()),
            Action::Update(new) => self.out.copy(new.as_bytes())?,
            Action::Patch { offset, data } => self.patch(old, offset, data)?,
            Action::Sub(diff) => {
                if !self.sub(old.name, old, diff, depth)? {
                    self.out.null(old.name)?;
                    return Ok(());
                }
            }
        }
        self.changes[at].is_placed = true;
        Ok(())
    }

    /// Applies a subdiff, unless the value is of another type than the diff expects. Returns
    /// whether it was applied.
    fn sub(
        &mut self,
        name: &[u8],
        old: Element<'_>,
        diff: Doc<'d>,
        depth: usize,
    ) -> Result<bool, UpdateError> {
        let is_array_diff = is_array_diff(diff)?;
        match old.kind {
            kind::DOCUMENT if !is_array_diff => {
                self.out.head_of(old.kind, name)?;
                self.document(Doc::new(old.value)?, diff, depth)?;
            }
            kind::ARRAY if is_array_diff => {
                self.out.head_of(old.kind, name)?;
                self.array(Doc::new(old.value)?, diff, depth)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn patch(&mut self, old: Element<'_>, offset: usize, data: &[u8]) -> Result<(), UpdateError> {
        let Some((COLUMN, column)) = old.as_binary() else {
            return Err(UpdateError::NotAColumn(String::from_utf8_lossy(old.name).into_owned()));
        };
        match column.get(..offset) {
            Some(kept) => self.out.binary(old.name, COLUMN, [kept, data]),
            None => self.out.copy(old.as_bytes()),
        }
    }

    /// Appends what goes to the end: the fields of `u` that the document lacks, and the fields of
    /// `i`. Subdiffs that found no place are still checked, so that the validity of a delta does
    /// not depend on the document.
    fn append_rest(&mut self, level: &Level<'d>, depth: usize) -> Result<(), UpdateError> {
        for at in level.from..self.changes.len() {
            let change = &self.changes[at];
            match change.action {
                Action::Update(new) | Action::Insert(new) if !change.is_placed => {
                    self.out.copy(new.as_bytes())?;
                }
                Action::Sub(diff) if !change.is_placed => self.check(diff, depth)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn array(&mut self, pre: Doc<'_>, diff: Doc<'d>, depth: usize) -> Result<(), UpdateError> {
        let depth = deeper(depth)?;
        let mut entries = ArrayEntries::new(diff)?;
        let length = entries.length;
        let mut next = entries.next()?;
        let start = self.out.start()?;
        let bytes = pre.as_bytes();
        let mut index = IndexName::zero();
        let (mut copied, mut position) = (4, 4);
        for element in pre.elements() {
            if length.is_some_and(|length| index.index() >= length) {
                break;
            }
            let element = element?;
            let end = position + element.as_bytes().len();
            let entry = next.filter(|entry| entry.index == index.index());
            if entry.is_some() || element.name != index.name() {
                self.out.copy(&bytes[copied..position])?;
                copied = end;
                match entry {
                    Some(entry) => {
                        self.array_entry(entry, &index, Some(element), depth)?;
                        next = entries.next()?;
                    }
                    None => self.out.renamed(index.name(), element)?,
                }
            }
            position = end;
            index.advance();
        }
        self.out.copy(&bytes[copied..position])?;
        while next.is_some() || length.is_some_and(|length| index.index() < length) {
            match next.filter(|entry| entry.index == index.index()) {
                Some(entry) => {
                    self.array_entry(entry, &index, None, depth)?;
                    next = entries.next()?;
                }
                None => self.out.null(index.name())?,
            }
            index.advance();
        }
        self.out.end(start)
    }

    fn array_entry(
        &mut self,
        entry: ArrayEntry<'d>,
        index: &IndexName,
        old: Option<Element<'_>>,
        depth: usize,
    ) -> Result<(), UpdateError> {
        let diff = match entry.action {
            ArrayAction::Update(new) => return self.out.renamed(index.name(), new),
            ArrayAction::Sub(diff) => diff,
        };
        if let Some(old) = old
            && self.sub(index.name(), old, diff, depth)?
        {
            return Ok(());
        }
        self.check(diff, depth)?;
        self.out.null(index.name())
    }

    /// Checks a subdiff that is not applied.
    fn check(&mut self, diff: Doc<'d>, depth: usize) -> Result<(), UpdateError> {
        let depth = deeper(depth)?;
        if is_array_diff(diff)? {
            let mut entries = ArrayEntries::new(diff)?;
            while let Some(entry) = entries.next()? {
                if let ArrayAction::Sub(diff) = entry.action {
                    self.check(diff, depth)?;
                }
            }
            return Ok(());
        }
        let level = self.read(diff)?;
        for at in level.from..self.changes.len() {
            if let Action::Sub(diff) = self.changes[at].action {
                self.check(diff, depth)?;
            }
        }
        self.changes.truncate(level.from);
        Ok(())
    }

    /// Reads the sections of a document diff itself.
    fn read(&mut self, diff: Doc<'d>) -> Result<Level<'d>, UpdateError> {
        let mut level = Level { from: self.changes.len(), mask: 0, by_name: None };
        let mut last = 0;
        for section in diff.elements() {
            let section = section?;
            let order = section_order(section.name)?;
            if order < last || (order == last && order != SUB_DIFF) {
                let fault = match last {
                    SUB_DIFF => DiffFault::AfterSubDiff,
                    _ => DiffFault::UnexpectedSection,
                };
                return Err(UpdateError::delta(fault, section.name));
            }
            last = order;
            let Some(content) = section.as_doc() else {
                let fault = match order {
                    SUB_DIFF => DiffFault::SubDiffType,
                    _ => DiffFault::SectionType,
                };
                return Err(UpdateError::delta(fault, section.name));
            };
            if order == SUB_DIFF {
                self.add(&mut level, &section.name[1..], Action::Sub(content))?;
                continue;
            }
            for element in content.elements() {
                let element = element?;
                self.add(&mut level, element.name, action(order, element)?)?;
            }
        }
        if last == 0 { Err(UpdateError::delta(DiffFault::Empty, b"")) } else { Ok(level) }
    }

    fn add(
        &mut self,
        level: &mut Level<'d>,
        name: &'d [u8],
        action: Action<'d>,
    ) -> Result<(), UpdateError> {
        if self.find(level, name).is_some() {
            return Err(UpdateError::delta(DiffFault::DuplicateField, name));
        }
        let at = self.changes.len();
        level.mask |= bit(name);
        self.changes.push(Change { name, action, is_placed: false });
        if let Some(by_name) = &mut level.by_name {
            by_name.insert(name, at);
        } else if at - level.from == FEW {
            let added = self.changes[level.from..].iter().enumerate();
            level.by_name =
                Some(added.map(|(offset, change)| (change.name, level.from + offset)).collect());
        }
        Ok(())
    }

    fn find(&self, level: &Level<'d>, name: &[u8]) -> Option<usize> {
        if level.mask & bit(name) == 0 {
            return None;
        }
        match &level.by_name {
            Some(by_name) => by_name.get(name).copied(),
            None => self.changes[level.from..]
                .iter()
                .position(|change| change.name == name)
                .map(|offset| level.from + offset),
        }
    }
}

/// Returns one of 64 bits, chosen by the length of a name and its first and last byte.
fn bit(name: &[u8]) -> u64 {
    let (first, last) = match name {
        [] => (0, 0),
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
    };
    let mixed = (name.len() as u8).wrapping_mul(5) ^ first.wrapping_mul(3) ^ last;
    1 << (mixed % 64)
}
