//! Loading a base.

use std::collections::HashMap;
use std::sync::Arc;

use hindsight_oplog::id_key;
use hindsight_oplog::raw::Doc;
use rocksdb::WriteBatch;

use crate::generation::{self, BaseInfo, Generation, Hashes};
use crate::history::Claim;
use crate::settings::write_options;
use crate::value::{self, Order};
use crate::{CollectionState, History, HistoryError, key, state};

/// Documents are written in batches of about this many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// A base on its way into the history. Nothing of it shows before [`Load::finish`]; dropped before,
/// it is discarded when the next one begins or the store is opened again.
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
    /// How many documents came before, which is the place in natural order.
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
        let generation =
            Generation { id, base, progress: None, loaded: false, hashes: Hashes::Unseen };
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

    /// Adds a collection and gives the number by which [`Load::put`] knows it.
    pub fn collection(&mut self, collection: CollectionState) -> Result<u32, HistoryError> {
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
        self.targets.insert(number, Target { capped: collection.is_capped(), documents: 0 });
        catalog.set(id, number, since, Some(Arc::new(collection)));
        Ok(number)
    }

    /// Adds a document's bytes. The documents of a capped collection come in natural order.
    pub fn put(&mut self, number: u32, document: &[u8]) -> Result<(), HistoryError> {
        let id = Doc::new(document)
            .and_then(|document| document.get(b"_id"))
            .map_err(|malformed| self.bad(malformed.to_string()))?
            .ok_or_else(|| self.bad("a document has no _id".to_owned()))?;
        let start = self.generation.base.start;
        let Some(target) = self.targets.get_mut(&number) else {
            return Err(self.bad(format!("it has no collection {number}")));
        };
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

    /// How many documents were put.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Makes the base durable and shows it: the next writer goes on from here.
    pub fn finish(mut self) -> Result<Generation, HistoryError> {
        self.write()?;
        // What the record promises must be on disk before the record may be.
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
