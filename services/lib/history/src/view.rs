//! Reading the state at one time.

use std::sync::Arc;

use hindsight_oplog::raw::Element;
use hindsight_oplog::{Timestamp, id_key};
use rocksdb::DBRawIterator;

use crate::value::{Order, Stored};
use crate::{CollectionState, History, HistoryError, ReadError, key, value};

/// After so many versions of one document newer than the view, seek instead of stepping.
const STEPS_BEFORE_SEEK: usize = 8;

/// Documents of a collection, one after the other.
pub type Documents<'h> = Box<dyn Iterator<Item = Result<Vec<u8>, HistoryError>> + Send + 'h>;

/// The state at one time. Consistent: the writer adds only what is visible later.
#[derive(Clone, Copy, Debug)]
pub struct View<'h> {
    history: &'h History,
    generation: u32,
    at: Timestamp,
}

impl<'h> View<'h> {
    pub(crate) fn new(history: &'h History, generation: u32, at: Timestamp) -> Self {
        View { history, generation, at }
    }

    pub fn at(&self) -> Timestamp {
        self.at
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Every collection that exists, by name.
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

    /// The collection that has this name.
    pub fn collection(&self, ns: &str) -> Option<Arc<CollectionState>> {
        let catalog = self.history.read_catalog();
        catalog.named_at(self.generation, ns, self.at).map(|(_, state)| Arc::clone(state))
    }

    /// A document's bytes; none when there is no such document.
    pub fn get(&self, ns: &str, id: Element<'_>) -> Result<Option<Vec<u8>>, ReadError> {
        let mut prefix = Vec::with_capacity(64);
        key::push_number(&mut prefix, self.number(ns)?.0);
        id_key::encode(id, &mut prefix);
        let found = self.find(&mut self.history.version_finder(), &prefix)?;
        Ok(found)
    }

    /// All documents of a collection in the order of their ids.
    pub fn scan(&self, ns: &str) -> Result<DocumentScan<'h>, ReadError> {
        let (number, _) = self.number(ns)?;
        Ok(DocumentScan {
            iterator: self.history.versions_of(number),
            at: self.at,
            prefix: Vec::new(),
            ended: false,
        })
    }

    /// All documents of a collection in the order they were inserted, if it is capped; else as [`View::scan`].
    ///
    /// Holds about 60 bytes a document in memory.
    pub fn scan_natural(&self, ns: &str) -> Result<Documents<'h>, ReadError> {
        let (number, state) = self.number(ns)?;
        let mut scan = self.scan(ns)?;
        if !state.is_capped() {
            return Ok(Box::new(scan));
        }
        let mut order: Vec<(Order, Box<[u8]>)> = Vec::new();
        while let Some(found) = scan.advance()? {
            let at =
                found.ok_or_else(|| HistoryError::corrupt("no order in a capped collection"))?;
            order.push((at, scan.prefix.as_slice().into()));
            scan.iterator.next();
        }
        order.sort_unstable();
        debug_assert!(order.iter().all(|(_, prefix)| prefix.starts_with(&number.to_be_bytes())));
        let mut finder = self.history.version_finder();
        let view = *self;
        Ok(Box::new(
            order
                .into_iter()
                .filter_map(move |(_, prefix)| view.find(&mut finder, &prefix).transpose()),
        ))
    }

    fn number(&self, ns: &str) -> Result<(u32, Arc<CollectionState>), ReadError> {
        let catalog = self.history.read_catalog();
        catalog
            .named_at(self.generation, ns, self.at)
            .map(|(number, state)| (number, Arc::clone(state)))
            .ok_or_else(|| ReadError::NoSuchCollection { ns: ns.to_owned(), at: self.at })
    }

    fn find(
        &self,
        finder: &mut DBRawIterator<'_>,
        prefix: &[u8],
    ) -> Result<Option<Vec<u8>>, HistoryError> {
        let mut seek = prefix.to_vec();
        key::push_time(&mut seek, self.at);
        finder.seek(&seek);
        match finder.item() {
            Some((found, bytes)) if key::prefix_of_version(found) == prefix => {
                match value::parse(bytes)? {
                    Stored::Tombstone => Ok(None),
                    Stored::Document { document, .. } => Ok(Some(document.as_bytes().to_vec())),
                }
            }
            _ => {
                finder.status()?;
                Ok(None)
            }
        }
    }
}

/// The documents of one collection at one time, by id. After an error it ends.
pub struct DocumentScan<'h> {
    iterator: DBRawIterator<'h>,
    at: Timestamp,
    /// Number and id key of the document at hand.
    prefix: Vec<u8>,
    ended: bool,
}

impl DocumentScan<'_> {
    /// Moves to the next document that exists; its value is under the iterator then. Gives its order, if it has one.
    fn advance(&mut self) -> Result<Option<Option<Order>>, HistoryError> {
        loop {
            let Some((key, _)) = self.iterator.item() else {
                self.iterator.status()?;
                return Ok(None);
            };
            let prefix = key::prefix_of_version(key);
            if prefix == self.prefix {
                // An older version of a document already seen.
                self.skip_document();
                continue;
            }
            self.prefix.clear();
            self.prefix.extend_from_slice(prefix);
            if !self.seek_visible()? {
                continue;
            }
            let (_, bytes) = self.iterator.item().expect("seek_visible found a version");
            if let Stored::Document { order, .. } = value::parse(bytes)? {
                return Ok(Some(order));
            }
            self.iterator.next();
        }
    }

    /// From the newest version of the document at hand to the one in force; false when there is none.
    fn seek_visible(&mut self) -> Result<bool, HistoryError> {
        for step in 0.. {
            let Some((key, _)) = self.iterator.item() else {
                self.iterator.status()?;
                return Ok(false);
            };
            let (_, visible) =
                key::split_version(key).ok_or_else(|| HistoryError::corrupt("an odd key"))?;
            if key::prefix_of_version(key) != self.prefix {
                return Ok(false);
            }
            if visible <= self.at {
                return Ok(true);
            }
            if step < STEPS_BEFORE_SEEK {
                self.iterator.next();
            } else {
                let mut seek = self.prefix.clone();
                key::push_time(&mut seek, self.at);
                self.iterator.seek(seek);
            }
        }
        Ok(false)
    }

    /// Past all versions of the document at hand.
    fn skip_document(&mut self) {
        for _ in 0..STEPS_BEFORE_SEEK {
            match self.iterator.key() {
                Some(key) if key::prefix_of_version(key) == self.prefix => self.iterator.next(),
                _ => return,
            }
        }
        let mut last = self.prefix.clone();
        key::push_time(&mut last, Timestamp::ZERO);
        self.iterator.seek(&last);
        if self.iterator.key() == Some(&last[..]) {
            self.iterator.next();
        }
    }
}

impl Iterator for DocumentScan<'_> {
    type Item = Result<Vec<u8>, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.advance() {
            Ok(Some(_)) => {
                let bytes = self.iterator.value().expect("advance found a document");
                let document = match value::parse(bytes) {
                    Ok(Stored::Document { document, .. }) => document.as_bytes().to_vec(),
                    _ => unreachable!("advance stops at documents only"),
                };
                self.iterator.next();
                Some(Ok(document))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}
