//! The documents of a collection, one after the other.

use std::sync::Arc;

use hindsight_oplog::Timestamp;
use rocksdb::DBRawIterator;

use crate::assemble::Assembler;
use crate::horizon::Pin;
use crate::value::Order;
use crate::{HistoryError, key};

/// After this many versions of one document that are newer than the view, the scan seeks instead of
/// stepping.
const STEPS_BEFORE_SEEK: usize = 8;

/// A document of a scan, lent until the scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The key of the document's id, `id_key::encode`. A scan that begins after this key continues
    /// with the next document.
    pub id_key: &'a [u8],
    /// The bytes of the document.
    pub document: &'a [u8],
}

/// The documents of one collection at one time, by id. The scan ends after an error.
///
/// [`DocumentScan::next_document`] lends each document and copies nothing. The iterator returns
/// copies.
pub struct DocumentScan<'h> {
    iterator: DBRawIterator<'h>,
    at: Timestamp,
    /// Number and id key of the current document.
    prefix: Vec<u8>,
    /// Whether the current document was returned.
    given: bool,
    ended: bool,
    assembler: Assembler,
    /// Keeps what the scan has to read.
    _pin: Arc<Pin>,
}

/// A document that the scan came to.
pub(crate) struct Found {
    pub(crate) order: Option<Order>,
    /// The length of the document in bytes.
    length: usize,
    /// Whether the document was put together. If not, it ends the value under the iterator.
    is_delta: bool,
}

impl<'h> DocumentScan<'h> {
    /// `iterator` stands where the scan begins, within one number.
    pub(crate) fn new(iterator: DBRawIterator<'h>, at: Timestamp, pin: Arc<Pin>) -> Self {
        DocumentScan {
            iterator,
            at,
            prefix: Vec::new(),
            given: false,
            ended: false,
            assembler: Assembler::default(),
            _pin: pin,
        }
    }

    /// Returns the next document, lent; `None` at the end of the scan.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store cannot be read. The scan ends then.
    pub fn next_document(&mut self) -> Result<Option<Scanned<'_>>, HistoryError> {
        if self.ended {
            return Ok(None);
        }
        match self.advance() {
            Ok(Some(found)) => {
                let id_key = &self.prefix[key::NUMBER_LENGTH..];
                Ok(Some(Scanned { id_key, document: self.document(&found) }))
            }
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    fn document(&self, found: &Found) -> &[u8] {
        if found.is_delta {
            return self.assembler.document();
        }
        let value = self.iterator.value().unwrap_or_default();
        &value[value.len() - found.length..]
    }

    /// Returns the number and the id key of the current document.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Moves to the next document that exists, and reads it.
    pub(crate) fn advance(&mut self) -> Result<Option<Found>, HistoryError> {
        if std::mem::take(&mut self.given) {
            self.iterator.next();
        }
        loop {
            let Some(key) = self.iterator.key() else {
                self.iterator.status()?;
                return Ok(None);
            };
            let (_, visible) =
                key::split_version(key).ok_or_else(|| HistoryError::corrupt("an odd key"))?;
            let prefix = key::prefix_of_version(key);
            if prefix == self.prefix {
                // An older version of a document that was already seen.
                self.skip_document();
                continue;
            }
            self.prefix.clear();
            self.prefix.extend_from_slice(prefix);
            if visible > self.at && !self.seek_visible()? {
                continue;
            }
            if let Some(whole) = self.assembler.read(&mut self.iterator)? {
                self.given = true;
                let length = whole.document.as_bytes().len();
                let is_delta = whole.chain.is_some();
                return Ok(Some(Found { order: whole.order, length, is_delta }));
            }
            self.iterator.next();
        }
    }

    /// Moves from the newest version of the current document to the version in force. Returns false
    /// when no version is in force.
    fn seek_visible(&mut self) -> Result<bool, HistoryError> {
        for step in 0.. {
            let Some(key) = self.iterator.key() else {
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

    /// Moves past all versions of the current document.
    fn skip_document(&mut self) {
        for _ in 0..STEPS_BEFORE_SEEK {
            match self.iterator.key() {
                Some(key) if key::prefix_of_version(key) == self.prefix => self.iterator.next(),
                _ => return,
            }
        }
        let last = key::last_of(&self.prefix);
        self.iterator.seek(&last);
        if self.iterator.key() == Some(&last[..]) {
            self.iterator.next();
        }
    }
}

impl Iterator for DocumentScan<'_> {
    type Item = Result<Vec<u8>, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let scanned = self.next_document().transpose()?;
        Some(scanned.map(|scanned| scanned.document.to_vec()))
    }
}
