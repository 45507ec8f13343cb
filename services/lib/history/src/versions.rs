//! All versions of a document.

use std::ops::ControlFlow;
use std::sync::Arc;

use hindsight_oplog::raw::Element;
use hindsight_oplog::{Timestamp, id_key};
use rocksdb::{DBRawIterator, ReadOptions};

use crate::assemble::{self, Assembler};
use crate::catalog::Collection;
use crate::value::Stored;
use crate::{CollectionState, Generation, History, HistoryError, key, value};

/// Why a version begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The version came with the base: it was written at or before `visible`.
    Base,
    /// An entry wrote or deleted the document.
    Entry,
    /// The collection got this name: it was created, or renamed to this name.
    Named,
    /// The collection lost this name: it was dropped, emptied, or renamed away.
    Unnamed,
}

/// One state of one document, from `visible` until the next version. The document is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The id of the generation that holds the version.
    pub generation: u32,
    /// The time from which the version is in force.
    pub visible: Timestamp,
    /// The bytes of the document; `None` when the document does not exist from here on.
    pub document: Option<&'a [u8]>,
    /// Why the version begins.
    pub cause: Cause,
}

/// Ends a walk over versions early.
type Walk = ControlFlow<()>;
type Visit<'a> = dyn FnMut(Version<'_>) -> Walk + 'a;

impl History {
    /// Visits every version that the document with this id had under this name, oldest first, over
    /// all generations, until `visit` breaks. What happened inside a relaxed window is not known
    /// exactly and is left out, except for the version in force at the end of the window.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store cannot be read.
    pub fn versions(
        &self,
        ns: &str,
        id: Element<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), HistoryError> {
        self.versions_since(ns, id, (0, Timestamp::ZERO), visit)
    }

    /// Like [`History::versions`], but begins with the first version whose generation and time are
    /// not before `since`. Skips what is before without reading it.
    ///
    /// # Errors
    /// As for [`History::versions`].
    pub fn versions_since(
        &self,
        ns: &str,
        id: Element<'_>,
        since: (u32, Timestamp),
        visit: &mut Visit<'_>,
    ) -> Result<(), HistoryError> {
        let mut visit = |version: Version<'_>| match (version.generation, version.visible) < since {
            true => ControlFlow::Continue(()),
            false => visit(version),
        };
        let _pin = self.horizon.pin_oldest();
        let mut id_bytes = Vec::new();
        id_key::encode(id, &mut id_bytes);
        let mut spans: Vec<(u32, Span)> = Vec::new();
        {
            let catalog = self.read_catalog();
            for (number, collection) in catalog.named(ns) {
                spans.extend(spans_named(collection, ns).map(|span| (number, span)));
            }
        }
        // A name belongs to one number at a time.
        spans.sort_by_key(|(_, span)| (span.generation, span.from));
        for generation in self.generations().into_iter().filter(|it| it.id >= since.0) {
            let Some((exact_from, through)) = generation.window() else { continue };
            let begin = if generation.id == since.0 { since.1 } else { Timestamp::ZERO };
            for &(number, span) in spans.iter().filter(|(_, span)| span.generation == generation.id)
            {
                let from = span.from.max(exact_from);
                let to = span.to.filter(|&to| to <= through);
                if from > through || to.is_some_and(|to| to <= from || to < begin) {
                    continue;
                }
                let mut prefix = number.to_be_bytes().to_vec();
                prefix.extend_from_slice(&id_bytes);
                let span = Span { to, ..span };
                // One earlier: a deletion is shown only after the version that it ends.
                let first = from.max(begin.predecessor());
                if self
                    .versions_in_span(&generation, &prefix, (first, span), &mut visit)?
                    .is_break()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns every state in which a collection had this name, in no particular order.
    pub fn states_named(&self, ns: &str) -> Vec<Arc<CollectionState>> {
        let catalog = self.read_catalog();
        let states = catalog.named(ns).flat_map(|(_, collection)| &collection.states);
        let states = states.filter_map(|(_, state)| state.as_ref());
        states.filter(|state| state.ns == ns && !state.implicit).cloned().collect()
    }

    fn versions_in_span(
        &self,
        generation: &Generation,
        prefix: &[u8],
        (first, span): (Timestamp, Span),
        visit: &mut Visit<'_>,
    ) -> Result<Walk, HistoryError> {
        let last = span.to.map_or(generation.through(), Timestamp::predecessor);
        let mut existed = false;
        let mut walk = self.versions_forward(prefix, first, last)?;
        let mut document = Rolling::at(&mut walk)?;
        // Newer versions have smaller keys, so the walk goes backwards to reach newer versions.
        while let Some((key, bytes)) = walk.item() {
            let (_, written) =
                key::split_version(key).ok_or_else(|| HistoryError::corrupt("an odd key"))?;
            if written > last || key::prefix_of_version(key) != prefix {
                break;
            }
            let document = document.advance(written, bytes)?;
            // A deletion before the first version shown says nothing.
            if document.is_some() || written > first {
                let (visible, cause) = match written {
                    written if written < span.from => (span.from, Cause::Named),
                    written if written == generation.base.start => (written, Cause::Base),
                    written => (written, Cause::Entry),
                };
                let version = Version { generation: generation.id, visible, document, cause };
                if visit(version).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            existed = document.is_some();
            walk.prev();
        }
        walk.status()?;
        let Some(visible) = span.to.filter(|_| existed) else {
            return Ok(ControlFlow::Continue(()));
        };
        let (generation, cause) = (generation.id, Cause::Unnamed);
        Ok(visit(Version { generation, visible, document: None, cause }))
    }

    /// Returns an iterator over the versions of one document. It stands at the version in force at
    /// `first`, or else at the oldest version that is not newer than `last`.
    fn versions_forward(
        &self,
        prefix: &[u8],
        first: Timestamp,
        last: Timestamp,
    ) -> Result<DBRawIterator<'_>, HistoryError> {
        let at = |time| {
            let mut key = prefix.to_vec();
            key::push_time(&mut key, time);
            key
        };
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.set_iterate_lower_bound(at(last));
        // One more than the oldest possible key.
        options.set_iterate_upper_bound([&at(Timestamp::ZERO)[..], &[0]].concat());
        let mut walk = self.db.raw_iterator_opt(options);
        walk.seek(at(first));
        if !walk.valid() {
            walk.status()?;
            walk.seek_to_last();
        }
        walk.status()?;
        Ok(walk)
    }
}

/// The document on a walk from older to newer versions.
struct Rolling {
    document: Vec<u8>,
    exists: bool,
    /// The time of the version that `document` is; `None` before the first version.
    visible: Option<Timestamp>,
}

impl Rolling {
    /// Starts at the version under the iterator. If that is a delta, reads the version before it.
    fn at(walk: &mut DBRawIterator<'_>) -> Result<Self, HistoryError> {
        let mut rolling = Rolling { document: Vec::new(), exists: false, visible: None };
        let Some((key, bytes)) = walk.item().filter(|(_, bytes)| value::is_delta(bytes)) else {
            return Ok(rolling);
        };
        let (start, chain) = (key.to_vec(), value::chain(bytes)?);
        walk.next();
        let mut assembler = Assembler::default();
        let before = match walk.valid() {
            true => assembler.read(walk)?,
            false => None,
        };
        let before = before.ok_or_else(|| HistoryError::corrupt("a delta of no document"))?;
        rolling.document.extend_from_slice(before.document.as_bytes());
        (rolling.exists, rolling.visible) = (true, Some(chain.previous));
        walk.seek(start);
        walk.status()?;
        Ok(rolling)
    }

    /// Takes in the next version, and returns its document.
    fn advance(&mut self, visible: Timestamp, bytes: &[u8]) -> Result<Option<&[u8]>, HistoryError> {
        match value::parse(bytes)? {
            Stored::Tombstone => self.exists = false,
            Stored::Document { document, .. } => {
                self.document.clear();
                self.document.extend_from_slice(document.as_bytes());
                self.exists = true;
            }
            Stored::Delta { update, chain } => {
                if !self.exists || self.visible != Some(chain.previous) {
                    return Err(HistoryError::corrupt("a delta on another version"));
                }
                assemble::apply(&mut self.document, update.as_bytes())?;
            }
        }
        self.visible = Some(visible);
        Ok(self.exists.then_some(&self.document))
    }
}

/// A span of time in which a number had a name.
#[derive(Clone, Copy, Debug)]
struct Span {
    generation: u32,
    from: Timestamp,
    to: Option<Timestamp>,
}

fn spans_named<'a>(collection: &'a Collection, ns: &'a str) -> impl Iterator<Item = Span> + 'a {
    let states = &collection.states;
    let is_named = move |at: usize| {
        states.get(at).and_then(|(_, state)| state.as_ref()).is_some_and(|state| state.ns == ns)
    };
    let begins =
        (0..states.len()).filter(move |&at| is_named(at) && (at == 0 || !is_named(at - 1)));
    begins.map(move |at| Span {
        generation: collection.generation,
        from: states[at].0,
        to: (at..states.len()).find(|&end| !is_named(end)).map(|end| states[end].0),
    })
}
