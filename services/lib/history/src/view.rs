//! Reads the state at one time.

use std::sync::Arc;

use hindsight_oplog::raw::Element;
use hindsight_oplog::{Timestamp, id_key};
use rocksdb::DBRawIterator;

use crate::assemble::Assembler;
use crate::generation::Generation;
use crate::horizon::Pin;
use crate::scan::DocumentScan;
use crate::value::Order;
use crate::{CollectionState, History, HistoryError, Observed, ReadError, key};

/// The documents of a collection, one after the other.
pub type Documents<'h> = Box<dyn Iterator<Item = Result<Vec<u8>, HistoryError>> + Send + 'h>;

/// The state at one time. A view is consistent, because the writer adds only what becomes visible
/// later.
#[derive(Clone, Debug)]
pub struct View<'h> {
    pub(crate) history: &'h History,
    pub(crate) generation: u32,
    pub(crate) at: Timestamp,
    /// Nothing that the view shows is forgotten while the view is in use.
    pin: Arc<Pin>,
}

/// Finds documents of one collection at one time by their ids, one after the other.
pub struct Lookup<'h> {
    finder: Finder<'h>,
    number: u32,
    prefix: Vec<u8>,
}

/// Finds single documents at one time by number and id key.
struct Finder<'h> {
    versions: DBRawIterator<'h>,
    at: Timestamp,
    _pin: Arc<Pin>,
    seek: Vec<u8>,
    assembler: Assembler,
}

impl History {
    /// Returns a view of the state at a time.
    ///
    /// # Errors
    /// Returns [`ReadError::OutOfWindow`] when no restore window contains the time. The error names
    /// the nearest times that can be read. Returns [`ReadError::Forgotten`] when the time is before
    /// the horizon.
    pub fn reader_at(&self, at: Timestamp) -> Result<View<'_>, ReadError> {
        let pin = self.horizon.pin(at).ok_or_else(|| {
            let oldest = self.horizon.oldest();
            ReadError::Forgotten { at, oldest }
        })?;
        let generations = self.generations();
        let windows = || generations.iter().filter_map(Generation::window);
        match generations.iter().rev().find(|generation| generation.holds(at)) {
            Some(generation) => Ok(View::new(self, generation.id, at, pin)),
            None => Err(ReadError::OutOfWindow {
                at,
                nearest: [
                    windows().map(|(_, through)| through).filter(|&t| t < at).max(),
                    windows().map(|(from, _)| from).filter(|&t| t > at).min(),
                ],
            }),
        }
    }

    /// Returns the observations of the generation that answers at `at`.
    pub fn observed_around(&self, at: Timestamp) -> Vec<Observed> {
        let Ok(view) = self.reader_at(at) else { return Vec::new() };
        let generation = view.generation();
        let catalog = self.read_catalog();
        catalog.observed().filter(|it| it.generation == generation).cloned().collect()
    }
}

impl<'h> View<'h> {
    fn new(history: &'h History, generation: u32, at: Timestamp, pin: Arc<Pin>) -> Self {
        View { history, generation, at, pin }
    }

    /// Returns the time of the view.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns the id of the generation that the view reads.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns every collection that exists, ordered by name.
    pub fn collections(&self) -> Vec<Arc<CollectionState>> {
        let catalog = self.history.read_catalog();
        let mut collections: Vec<_> = catalog
            .of_generation(self.generation)
            .filter_map(|(_, collection)| collection.at(self.at))
            .filter(|state| !state.implicit)
            .cloned()
            .collect();
        collections.sort_by(|a, b| a.ns.cmp(&b.ns));
        collections
    }

    /// Returns the collection that has this name; `None` when no collection has it.
    pub fn collection(&self, ns: &str) -> Option<Arc<CollectionState>> {
        let catalog = self.history.read_catalog();
        catalog.named_at(self.generation, ns, self.at).map(|(_, state)| Arc::clone(state))
    }

    /// Returns the bytes of a document; `None` when there is no such document.
    ///
    /// # Errors
    /// Returns [`ReadError::NoSuchCollection`] when no collection has this name, and
    /// [`ReadError::Store`] when the store cannot be read.
    pub fn get(&self, ns: &str, id: Element<'_>) -> Result<Option<Vec<u8>>, ReadError> {
        let mut id_key = Vec::with_capacity(64);
        id_key::encode(id, &mut id_key);
        self.get_by_key(ns, &id_key)
    }

    /// Like [`View::get`], but takes the key of the id (`id_key::encode`). For many documents, use
    /// [`View::lookup`].
    ///
    /// # Errors
    /// As for [`View::get`].
    pub fn get_by_key(&self, ns: &str, id_key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let mut lookup = self.lookup(ns)?;
        Ok(lookup.get(id_key)?.map(<[u8]>::to_vec))
    }

    /// Returns a lookup that finds documents of this collection.
    ///
    /// # Errors
    /// Returns [`ReadError::NoSuchCollection`] when no collection has this name.
    pub fn lookup(&self, ns: &str) -> Result<Lookup<'h>, ReadError> {
        let number = self.number(ns)?.0;
        Ok(Lookup { finder: self.finder(), number, prefix: Vec::with_capacity(64) })
    }

    /// Scans all documents of a collection in the order of their ids.
    ///
    /// # Errors
    /// Returns [`ReadError::NoSuchCollection`] when no collection has this name.
    pub fn scan(&self, ns: &str) -> Result<DocumentScan<'h>, ReadError> {
        self.scan_after(ns, None)
    }

    /// Like [`View::scan`], but begins after the document with this id. The id is given by the key
    /// that the scan reported ([`crate::Scanned::id_key`]). A document with this id need not exist.
    ///
    /// # Errors
    /// As for [`View::scan`].
    pub fn scan_after(
        &self,
        ns: &str,
        id_key: Option<&[u8]>,
    ) -> Result<DocumentScan<'h>, ReadError> {
        let (number, _) = self.number(ns)?;
        let mut iterator = self.history.versions_of(number);
        if let Some(id_key) = id_key {
            let mut prefix = Vec::with_capacity(64);
            key::push_number(&mut prefix, number);
            prefix.extend_from_slice(id_key);
            let last = key::last_of(&prefix);
            iterator.seek(&last);
            if iterator.key() == Some(&last[..]) {
                iterator.next();
            }
        }
        Ok(DocumentScan::new(iterator, self.at, Arc::clone(&self.pin)))
    }

    /// Returns all documents of a collection in the order in which they were inserted, if it is
    /// capped; otherwise like [`View::scan`].
    ///
    /// For a capped collection this holds about 60 bytes per document in memory.
    ///
    /// # Errors
    /// Returns [`ReadError::NoSuchCollection`] when no collection has this name, and
    /// [`ReadError::Store`] when the store cannot be read.
    pub fn scan_natural(&self, ns: &str) -> Result<Documents<'h>, ReadError> {
        let (number, state) = self.number(ns)?;
        let mut scan = self.scan(ns)?;
        if !state.is_capped() {
            return Ok(Box::new(scan));
        }
        let mut order: Vec<(Order, Box<[u8]>)> = Vec::new();
        while let Some(found) = scan.advance()? {
            let at = found
                .order
                .ok_or_else(|| HistoryError::corrupt("no order in a capped collection"))?;
            order.push((at, scan.prefix().into()));
        }
        order.sort_unstable();
        debug_assert!(order.iter().all(|(_, prefix)| prefix.starts_with(&number.to_be_bytes())));
        let mut finder = self.finder();
        Ok(Box::new(order.into_iter().filter_map(move |(_, prefix)| {
            let found = finder.find(&prefix).transpose()?;
            Some(found.map(<[u8]>::to_vec))
        })))
    }

    fn finder(&self) -> Finder<'h> {
        Finder {
            versions: self.history.version_finder(),
            at: self.at,
            _pin: Arc::clone(&self.pin),
            seek: Vec::with_capacity(64),
            assembler: Assembler::default(),
        }
    }

    fn number(&self, ns: &str) -> Result<(u32, Arc<CollectionState>), ReadError> {
        let catalog = self.history.read_catalog();
        match catalog.named_at(self.generation, ns, self.at) {
            Some((_, state)) if state.excluded => Err(ReadError::Excluded { ns: ns.to_owned() }),
            Some((number, state)) => Ok((number, Arc::clone(state))),
            None => Err(ReadError::NoSuchCollection { ns: ns.to_owned(), at: self.at }),
        }
    }
}

impl Lookup<'_> {
    /// Returns the document with this id, lent until the next call; `None` when there is no such
    /// document.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store cannot be read.
    pub fn get(&mut self, id_key: &[u8]) -> Result<Option<&[u8]>, HistoryError> {
        // No id has an empty key, and a key that is only a number is not the key of a version.
        if id_key.is_empty() {
            return Ok(None);
        }
        self.prefix.clear();
        key::push_number(&mut self.prefix, self.number);
        self.prefix.extend_from_slice(id_key);
        self.finder.find(&self.prefix)
    }
}

impl Finder<'_> {
    /// Returns the document with this prefix (number and id key), lent.
    fn find(&mut self, prefix: &[u8]) -> Result<Option<&[u8]>, HistoryError> {
        self.seek.clear();
        self.seek.extend_from_slice(prefix);
        key::push_time(&mut self.seek, self.at);
        self.versions.seek(&self.seek);
        self.versions.status()?;
        if self.versions.key().map(key::prefix_of_version) != Some(prefix) {
            return Ok(None);
        }
        let found = self.assembler.read(&mut self.versions)?;
        Ok(found.map(|whole| whole.document.as_bytes()))
    }
}
