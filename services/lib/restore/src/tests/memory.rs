//! A snapshot and a destination in memory, for tests.

use bson::{RawDocumentBuf, rawdoc};
use hindsight_oplog::Timestamp;

use crate::snapshot::{CollectionState, DocumentIterator, Snapshot, SourceError};

mod destination;

pub(crate) use destination::MemoryDestination;

/// Makes a collection with these options and no index but `_id_`.
pub(crate) fn collection(db: &str, name: &str, options: &RawDocumentBuf) -> CollectionState {
    CollectionState {
        db: db.to_owned(),
        name: name.to_owned(),
        uuid: [7; 16],
        options: options.as_bytes().to_vec(),
        indexes: vec![rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }.into_bytes()],
        documents_hint: None,
        bytes_hint: None,
    }
}

/// Collections with their documents.
#[derive(Debug, Default)]
pub(crate) struct MemorySnapshot {
    pub(crate) collections: Vec<(CollectionState, Vec<RawDocumentBuf>)>,
    /// Reading fails after this many documents of a collection.
    pub(crate) fails_after: Option<usize>,
}

impl Snapshot for MemorySnapshot {
    fn timestamp(&self) -> Timestamp {
        Timestamp::new(100, 1)
    }

    fn collections(&self) -> Result<Vec<CollectionState>, SourceError> {
        Ok(self.collections.iter().map(|(state, _)| state.clone()).collect())
    }

    fn documents<'a>(
        &'a self,
        collection: &'a CollectionState,
    ) -> Result<DocumentIterator<'a>, SourceError> {
        let known = self.collections.iter().find(|(state, _)| state == collection);
        let (_, documents) = known.ok_or("no such collection")?;
        let fails_after = self.fails_after.unwrap_or(usize::MAX);
        let read = documents.iter().enumerate().map(move |(number, document)| {
            if number >= fails_after {
                return Err("torn page".into());
            }
            Ok(document.as_bytes().to_vec())
        });
        Ok(Box::new(read))
    }
}
