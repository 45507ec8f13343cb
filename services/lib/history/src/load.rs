//! Loads a base.

use std::collections::HashMap;
use std::sync::Arc;

use hindsight_oplog::raw::Doc;
use hindsight_oplog::{Timestamp, id_key};
use rocksdb::WriteBatch;

use crate::claim::Claim;
use crate::generation::{self, BaseInfo, Generation, Hashes};
use crate::settings::write_options;
use crate::value::{self, Order};
use crate::{CollectionState, History, HistoryError, key, state};

/// Documents are written in batches of about this many bytes.
const BATCH_BYTES: usize = 1 << 20;

impl History {
    /// Begins to load a base. [`History::writer`] continues the generation of this base once
    /// [`Load::finish`] has been called.
    ///
    /// # Errors
    /// Returns [`HistoryError::Busy`] while a writer or another load exists, and
    /// [`HistoryError::BadBase`] when the base ends before its start.
    pub fn begin_generation(&self, base: BaseInfo) -> Result<Load<'_>, HistoryError> {
        let claim = self.claim()?;
        self.discard_unfinished()?;
        Load::begin(self, claim, base)
    }
}

/// A base on its way into the history. Nothing of the base is visible before [`Load::finish`]. A
/// load that is dropped before that is discarded when the next load begins or the store is opened
/// again.
pub struct Load<'h> {
    history: &'h History,
    generation: Generation,
    targets: HashMap<u32, Target>,
    batch: WriteBatch,
    documents: u64,
    key: Vec<u8>,
    value: Vec<u8>,
    _claim: Claim<'h>,
}

struct Target {
    capped: bool,
    /// Whether its documents are left out of the history.
    excluded: bool,
    /// How many documents were put before, which is the next place in natural order.
    documents: u64,
}

impl<'h> Load<'h> {
    pub(crate) fn begin(
        history: &'h History,
        claim: Claim<'h>,
        base: BaseInfo,
    ) -> Result<Self, HistoryError> {
        if base.exact_from < base.start {
            let reason = format!("it ends at {} before its start {}", base.exact_from, base.start);
            return Err(HistoryError::BadBase { name: base.name, reason });
        }
        let id = history.read_generations().last().map_or(1, |generation| generation.id + 1);
        let generation = Generation {
            id,
            base,
            progress: None,
            loaded: false,
            hashes: Hashes::Unseen,
            kept_from: Timestamp::ZERO,
            rests_on: None,
        };
        let mut batch = WriteBatch::default();
        batch.put(key::generation(id), generation::encode(&generation));
        history.publish(generation.clone());
        Ok(Load {
            history,
            generation,
            targets: HashMap::new(),
            batch,
            documents: 0,
            key: Vec::new(),
            value: Vec::new(),
            _claim: claim,
        })
    }

    /// Adds a collection, and returns the number by which [`Load::put`] knows it.
    ///
    /// # Errors
    /// Returns [`HistoryError::BadBase`] when the collection's BSON or namespace is not valid, or
    /// when the base already holds a collection with this UUID.
    pub fn collection(&mut self, mut collection: CollectionState) -> Result<u32, HistoryError> {
        collection.excluded = self.history.excludes(&collection.ns);
        collection.validate().map_err(|reason| self.bad(reason))?;
        let id = self.generation.id;
        let since = self.generation.base.start;
        let mut catalog = self.history.write_catalog();
        if catalog.live(id, &collection.uuid).is_some() {
            let reason = format!("it holds {} twice, by its UUID", collection.ns);
            return Err(self.bad(reason));
        }
        let number = catalog.take_number().ok_or_else(|| HistoryError::corrupt("2^32 numbers"))?;
        self.batch.put(key::NEXT_NUMBER, catalog.next_number().to_be_bytes());
        self.batch.put(key::collection(number, since), state::encode(id, Some(&collection)));
        let (capped, excluded) = (collection.is_capped(), collection.excluded);
        self.targets.insert(number, Target { capped, excluded, documents: 0 });
        catalog.set(id, number, since, Some(Arc::new(collection)));
        Ok(number)
    }

    /// Adds a document, given as its bytes, unless its collection is left out of the history. The
    /// documents of a capped collection must come in natural order.
    ///
    /// # Errors
    /// Returns [`HistoryError::BadBase`] when the document is malformed or has no `_id`, or when
    /// the base has no collection `number`.
    pub fn put(&mut self, number: u32, document: &[u8]) -> Result<(), HistoryError> {
        let id = Doc::new(document)
            .and_then(|document| document.get(b"_id"))
            .map_err(|malformed| self.bad(malformed.to_string()))?
            .ok_or_else(|| self.bad("a document has no _id".to_owned()))?;
        let start = self.generation.base.start;
        let Some(target) = self.targets.get_mut(&number) else {
            return Err(self.bad(format!("it has no collection {number}")));
        };
        if target.excluded {
            return Ok(());
        }
        let order = Order { inserted: start, position: target.documents };
        target.documents += 1;
        self.documents += 1;
        self.key.clear();
        self.value.clear();
        key::push_number(&mut self.key, number);
        id_key::encode(id, &mut self.key);
        key::push_time(&mut self.key, start);
        value::push_document(&mut self.value, document, target.capped.then_some(order));
        self.batch.put(&self.key, &self.value);
        if self.batch.size_in_bytes() >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    /// Returns how many documents were put.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Makes the base durable and publishes it. The next writer continues from here.
    ///
    /// # Errors
    /// Returns [`HistoryError::Store`] when RocksDB fails.
    pub fn finish(mut self) -> Result<Generation, HistoryError> {
        self.write()?;
        // The data that the record promises must be on disk before the record itself.
        self.history.flush()?;
        self.generation.loaded = true;
        self.batch.put(key::generation(self.generation.id), generation::encode(&self.generation));
        self.write()?;
        self.history.flush()?;
        self.history.publish(self.generation.clone());
        Ok(self.generation)
    }

    fn write(&mut self) -> Result<(), HistoryError> {
        let batch = std::mem::take(&mut self.batch);
        Ok(self.history.db.write_opt(batch, &write_options())?)
    }

    fn bad(&self, reason: String) -> HistoryError {
        HistoryError::BadBase { name: self.generation.base.name.clone(), reason }
    }
}
