//! All versions of a document.

use hindsight_oplog::raw::Element;
use hindsight_oplog::{Timestamp, id_key};

use crate::catalog::Collection;
use crate::value::Stored;
use crate::{Generation, History, HistoryError, key, value};

/// Why a version begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It came with the base: written at or before `visible`.
    Base,
    /// An entry wrote or deleted it.
    Entry,
    /// The collection got this name: created or renamed to it.
    Named,
    /// The collection lost this name: dropped, emptied, or renamed away.
    Unnamed,
}

/// One state of one document, from `visible` until the next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub generation: u32,
    pub visible: Timestamp,
    /// None: it does not exist from here on.
    pub document: Option<Vec<u8>>,
    pub cause: Cause,
}

impl History {
    /// Every version that the document with this id had under this name, oldest first, over all generations. What happened
    /// inside a relaxed window is not known exactly and left out, but for the version in force at its end.
    pub fn versions(&self, ns: &str, id: Element<'_>) -> Result<Vec<Version>, HistoryError> {
        let mut id_bytes = Vec::new();
        id_key::encode(id, &mut id_bytes);
        let mut spans = Vec::new();
        {
            let catalog = self.read_catalog();
            for (number, collection) in catalog.named(ns) {
                spans.extend(spans_named(collection, ns).map(|span| (number, span)));
            }
        }
        let mut versions = Vec::new();
        for generation in self.generations() {
            let Some((exact_from, through)) = generation.window() else { continue };
            for &(number, span) in spans.iter().filter(|(_, span)| span.generation == generation.id)
            {
                let from = span.from.max(exact_from);
                let to = span.to.filter(|&to| to <= through);
                if from > through || to.is_some_and(|to| to <= from) {
                    continue;
                }
                self.versions_in_span(
                    &generation,
                    number,
                    &id_bytes,
                    span.from,
                    to,
                    &mut versions,
                )?;
            }
        }
        versions.sort_by_key(|version| (version.generation, version.visible));
        Ok(versions)
    }

    fn versions_in_span(
        &self,
        generation: &Generation,
        number: u32,
        id_bytes: &[u8],
        named: Timestamp,
        unnamed: Option<Timestamp>,
        versions: &mut Vec<Version>,
    ) -> Result<(), HistoryError> {
        let first = named.max(generation.base.exact_from);
        let last = unnamed.map_or(generation.through(), Timestamp::predecessor);
        let mut prefix = number.to_be_bytes().to_vec();
        prefix.extend_from_slice(id_bytes);
        let mut newest_first = Vec::new();
        let mut finder = self.version_finder();
        let mut seek = prefix.clone();
        key::push_time(&mut seek, last);
        finder.seek(&seek);
        while let Some((key, bytes)) = finder.item().filter(|(key, _)| key.starts_with(&prefix)) {
            let (_, visible) =
                key::split_version(key).ok_or_else(|| HistoryError::corrupt("an odd key"))?;
            let document = match value::parse(bytes)? {
                Stored::Tombstone => None,
                Stored::Document { document, .. } => Some(document.as_bytes().to_vec()),
            };
            let (visible, cause) = match visible {
                written if written < named => (named, Cause::Named),
                written if written == generation.base.start => (written, Cause::Base),
                written => (written, Cause::Entry),
            };
            newest_first.push(Version { generation: generation.id, visible, document, cause });
            if visible <= first {
                break;
            }
            finder.next();
        }
        finder.status()?;
        // A deletion before the first version shown says nothing.
        if newest_first.last().is_some_and(|v| v.document.is_none() && v.visible <= first) {
            newest_first.pop();
        }
        let existed = newest_first.first().is_some_and(|version| version.document.is_some());
        versions.extend(newest_first.into_iter().rev());
        if let Some(visible) = unnamed.filter(|_| existed) {
            let cause = Cause::Unnamed;
            versions.push(Version { generation: generation.id, visible, document: None, cause });
        }
        Ok(())
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
