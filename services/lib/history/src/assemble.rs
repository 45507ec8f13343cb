//! Puts together the documents that are stored as deltas.

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;
use hindsight_oplog::update::Update;
use rocksdb::DBRawIterator;

use crate::value::{Chain, Order, Stored};
use crate::{HistoryError, key, value};

/// Reads versions. Keeps its memory from one document to the next.
#[derive(Default)]
pub(crate) struct Assembler {
    /// The updates of one document, newest first, one after the other.
    updates: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    document: Vec<u8>,
    /// Where to look for the newest version.
    seek: Vec<u8>,
}

/// The newest version of a document. Without `document` it is a deletion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest<'a> {
    pub(crate) visible: Timestamp,
    pub(crate) document: Option<Whole<'a>>,
}

/// A document as one version has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    pub(crate) document: Doc<'a>,
    pub(crate) order: Option<Order>,
    /// Set when the version is a delta.
    pub(crate) chain: Option<Chain>,
}

impl Assembler {
    /// Finds the newest version of the document with this prefix; `None` when there is none.
    ///
    /// # Errors
    /// As for [`Assembler::read`].
    pub(crate) fn newest<'a>(
        &'a mut self,
        versions: &'a mut DBRawIterator<'_>,
        prefix: &[u8],
    ) -> Result<Option<Newest<'a>>, HistoryError> {
        self.seek.clear();
        self.seek.extend_from_slice(prefix);
        self.seek.extend_from_slice(&[0; key::TIME_LENGTH]);
        versions.seek(&self.seek);
        versions.status()?;
        let newest = versions.key().filter(|key| key::prefix_of_version(key) == prefix);
        let Some(visible) = newest.and_then(key::time_of_version) else { return Ok(None) };
        Ok(Some(Newest { visible, document: self.read(versions)? }))
    }

    /// Returns the document of the version under the iterator; `None` for a deletion. The iterator
    /// goes on to the last whole document that the version builds on.
    ///
    /// # Errors
    /// Returns [`HistoryError::Corrupt`] when the versions under a delta are not those that the
    /// delta was made for, and [`HistoryError::Store`] when they cannot be read.
    pub(crate) fn read<'a>(
        &'a mut self,
        versions: &'a mut DBRawIterator<'_>,
    ) -> Result<Option<Whole<'a>>, HistoryError> {
        let Some((key, bytes)) = versions.item() else {
            versions.status()?;
            return Err(HistoryError::corrupt("no version"));
        };
        if !value::is_delta(bytes) {
            let bytes = versions.value().unwrap_or_default();
            return Ok(match value::parse(bytes)? {
                Stored::Document { document, order } => {
                    Some(Whole { document, order, chain: None })
                }
                _ => None,
            });
        }
        let prefix = key::prefix_of_version(key).to_vec();
        let chain = self.gather(versions, &prefix)?;
        let mut ends = self.ends.iter().rev().copied().peekable();
        while let Some(end) = ends.next() {
            let start = ends.peek().copied().unwrap_or_default();
            apply(&mut self.document, &self.updates[start..end])?;
        }
        Ok(Some(Whole { document: checked(&self.document)?, order: None, chain: Some(chain) }))
    }

    /// Returns the document that was put together last.
    pub(crate) fn document(&self) -> &[u8] {
        &self.document
    }

    /// Collects the updates down to the last whole document, and copies that. Returns the chain of
    /// the newest update.
    fn gather(
        &mut self,
        versions: &mut DBRawIterator<'_>,
        prefix: &[u8],
    ) -> Result<Chain, HistoryError> {
        self.updates.clear();
        self.ends.clear();
        let mut first: Option<Chain> = None;
        let mut expected: Option<Chain> = None;
        while let Some((key, bytes)) = versions.item() {
            let is_expected = expected.is_none_or(|chain| {
                key::prefix_of_version(key) == prefix
                    && key::split_version(key).is_some_and(|(_, time)| time == chain.previous)
            });
            if !is_expected {
                return Err(broken());
            }
            match value::parse(bytes)? {
                Stored::Tombstone => return Err(broken()),
                Stored::Document { document, .. } => {
                    let complete = first.filter(|it| usize::from(it.deltas) == self.ends.len());
                    self.document.clear();
                    self.document.extend_from_slice(document.as_bytes());
                    return complete.ok_or_else(broken);
                }
                Stored::Delta { update, chain } => {
                    self.updates.extend_from_slice(update.as_bytes());
                    self.ends.push(self.updates.len());
                    first.get_or_insert(chain);
                    if expected.is_some_and(|newer| newer.deltas != chain.deltas + 1) {
                        return Err(broken());
                    }
                    expected = Some(chain);
                }
            }
            versions.next();
        }
        versions.status()?;
        Err(broken())
    }
}

/// Applies the update of a delta to the version before it.
///
/// # Errors
/// Returns [`HistoryError::Corrupt`] when the update does not fit. The writer has applied it before
/// storing it, so the store is damaged then.
pub(crate) fn apply(document: &mut Vec<u8>, update: &[u8]) -> Result<(), HistoryError> {
    let failed = |error: &dyn std::fmt::Display| {
        HistoryError::corrupt(format!("a delta does not fit its document: {error}"))
    };
    let update = Doc::new(update).map_err(|error| failed(&error))?;
    let update = Update::parse(update).map_err(|error| failed(&error))?;
    let applied = update.apply(checked(document)?).map_err(|error| failed(&error))?;
    *document = applied;
    Ok(())
}

fn checked(document: &[u8]) -> Result<Doc<'_>, HistoryError> {
    Doc::new(document).map_err(|error| HistoryError::corrupt(format!("a document: {error}")))
}

fn broken() -> HistoryError {
    HistoryError::corrupt("a delta without the version that it was made for")
}
