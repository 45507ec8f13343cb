//! The store: how it is opened, and what readers and the writer share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hindsight_oplog::{NamespacePattern, Timestamp};
use rocksdb::{DB, DBRawIterator, Options, ReadOptions, WriteBatch};

use crate::catalog::Catalog;
use crate::claim::Claim;
use crate::generation::{self, Generation};
use crate::horizon::Horizon;
use crate::recent::Recent;
use crate::settings::{Settings, write_options};
use crate::skips::Skips;
use crate::{HistoryError, Observed, exclude, key, observed, state};

/// The layout of keys and values.
const FORMAT_VERSION: &[u8] = b"2";
/// Layouts of earlier versions. The store is derived, so such a store is emptied and rebuilt. A
/// store of any other layout is refused.
const FORMER_VERSIONS: [&[u8]; 1] = [b"1"];

/// Every version of every document, by visible time. Callers share a history in an `Arc`. Reads go
/// on while the writer writes.
pub struct History {
    pub(crate) db: Arc<DB>,
    pub(crate) settings: Settings,
    catalog: RwLock<Catalog>,
    pub(crate) generations: Arc<RwLock<Vec<Generation>>>,
    claimed: AtomicBool,
    pub(crate) skips: Skips,
    pub(crate) horizon: Horizon,
    /// The later bases that generations rest on, by the ids of the generations.
    pub(crate) rests_on: RwLock<BTreeMap<u32, String>>,
    /// What the store leaves out.
    pub(crate) excluded: Vec<NamespacePattern>,
    /// How many commits the store holds, counted since the store was opened. A new writer counts,
    /// too.
    pub(crate) commits: Arc<AtomicU64>,
    /// What the writer remembers. There once a writer was started.
    pub(crate) recent: OnceLock<Arc<Recent>>,
}

impl History {
    /// Opens or creates the store in a directory of its own. A base that was not loaded to its end
    /// is discarded. A store that an earlier version wrote is emptied, to be rebuilt from the base
    /// and the log. So is a store that left out other collections than the settings say.
    ///
    /// # Errors
    /// Returns [`HistoryError::Corrupt`] when the directory holds something that this version did
    /// not write, and [`HistoryError::Store`] when RocksDB fails. Returns
    /// [`HistoryError::CannotExclude`] when the settings leave out other collections than before,
    /// and the store holds times that could not be rebuilt.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, HistoryError> {
        let horizon = Horizon::default();
        let mut db = DB::open(&settings.options(&horizon), path)?;
        if db.get(key::FORMAT)?.is_some_and(|format| FORMER_VERSIONS.contains(&&format[..])) {
            tracing::warn!(
                path = %path.display(),
                "an earlier version wrote this history: it is rebuilt from the base and the log"
            );
            drop(db);
            DB::destroy(&Options::default(), path)?;
            db = DB::open(&settings.options(&horizon), path)?;
        }
        match db.get(key::FORMAT)? {
            Some(format) => check_format(&format)?,
            None => {
                let mut batch = WriteBatch::default();
                batch.put(key::FORMAT, FORMAT_VERSION);
                db.write_opt(batch, &write_options())?;
                db.flush()?;
            }
        }
        let mut history = Self::read_in(db, settings, horizon)?;
        history.discard_unfinished()?;
        history.exclude_as_set()?;
        Ok(history)
    }

    /// Opens the store as it was at the last flush of the process that has the store open, without
    /// disturbing that process.
    ///
    /// # Errors
    /// Returns [`HistoryError::Corrupt`] when the directory holds something that this version did
    /// not write, and [`HistoryError::Store`] when RocksDB fails.
    pub fn open_read_only(path: &Path, settings: Settings) -> Result<Self, HistoryError> {
        let horizon = Horizon::default();
        let mut options = settings.options(&horizon);
        options.create_if_missing(false);
        let db = DB::open_for_read_only(&options, path, false)?;
        check_format(&db.get(key::FORMAT)?.unwrap_or_default())?;
        Self::read_in(db, settings, horizon)
    }

    fn read_in(db: DB, settings: Settings, horizon: Horizon) -> Result<Self, HistoryError> {
        if let Some(bytes) = db.get(key::HORIZON)? {
            let bytes = bytes.try_into().map_err(|_| HistoryError::corrupt("a horizon"))?;
            horizon.begin_at(Timestamp::from_u64(u64::from_be_bytes(bytes)));
        }
        let mut generations = Vec::new();
        for_each_under(&db, key::GENERATIONS, |id, record| {
            generations.push(generation::decode(generation_id(id)?, record)?);
            Ok(())
        })?;
        let mut rests_on = BTreeMap::new();
        for_each_under(&db, key::RESTS_ON, |id, name| {
            let name =
                std::str::from_utf8(name).map_err(|_| HistoryError::corrupt("a base's name"))?;
            rests_on.insert(generation_id(id)?, name.to_owned());
            Ok(())
        })?;
        Ok(History {
            rests_on: RwLock::new(rests_on),
            excluded: exclude::stored(&db)?,
            catalog: RwLock::new(stored_catalog(&db)?),
            db: Arc::new(db),
            skips: Skips::new(&settings.skipped),
            settings,
            generations: Arc::new(RwLock::new(generations)),
            claimed: AtomicBool::new(false),
            commits: Arc::default(),
            recent: OnceLock::new(),
            horizon,
        })
    }

    /// Returns the generations whose base is loaded, oldest first, each with its progress.
    pub fn generations(&self) -> Vec<Generation> {
        let horizon = self.horizon.oldest();
        let loaded = |generation: &&Generation| generation.loaded;
        let rests_on = self.rests_on.read().expect("no one panics while changing a name");
        let known = |it: &Generation| Generation {
            kept_from: horizon,
            rests_on: rests_on.get(&it.id).cloned(),
            ..it.clone()
        };
        self.read_generations().iter().filter(loaded).map(known).collect()
    }

    /// Returns, for each name in [`Settings::skipped`], how many operations or commands of that
    /// name were skipped since the store was opened.
    pub fn skipped(&self) -> BTreeMap<String, u64> {
        self.skips.counts()
    }

    /// Returns all observations, in the order of the collections and then of time.
    pub fn observed(&self) -> Vec<Observed> {
        self.read_catalog().observed().cloned().collect()
    }

    /// Returns how many bytes the store's files take.
    pub fn stored_bytes(&self) -> u64 {
        let property = self.db.property_int_value("rocksdb.total-sst-files-size");
        property.ok().flatten().unwrap_or_default()
    }

    /// Makes everything that is committed durable.
    ///
    /// # Errors
    /// Returns [`HistoryError::Store`] when RocksDB fails.
    pub fn flush(&self) -> Result<(), HistoryError> {
        Ok(self.db.flush()?)
    }

    pub(crate) fn claim(&self) -> Result<Claim<'_>, HistoryError> {
        if self.claimed.swap(true, Ordering::AcqRel) {
            return Err(HistoryError::Busy);
        }
        Ok(Claim::new(&self.claimed))
    }

    pub(crate) fn read_catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().expect("no one panics while changing the catalog")
    }

    pub(crate) fn write_catalog(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().expect("no one panics while changing the catalog")
    }

    pub(crate) fn read_generations(&self) -> RwLockReadGuard<'_, Vec<Generation>> {
        self.generations.read().expect("no one panics while changing the generations")
    }

    /// Publishes the record of a generation: from now on readers see it.
    pub(crate) fn publish(&self, record: Generation) {
        show(&self.generations, record);
    }

    /// Removes every trace of bases that were not loaded to their end.
    pub(crate) fn discard_unfinished(&self) -> Result<(), HistoryError> {
        self.discard(|generation| !generation.loaded)
    }

    /// Removes every trace of some generations.
    pub(crate) fn discard(&self, which: impl Fn(&Generation) -> bool) -> Result<(), HistoryError> {
        let ids: Vec<u32> = {
            let generations = self.read_generations();
            generations.iter().filter(|it| which(it)).map(|it| it.id).collect()
        };
        for id in ids {
            tracing::info!(generation = id, "discard a base, and what was applied on top of it");
            self.note_unfinished(id)?;
            // Readers must not find the generation while its versions vanish.
            self.generations
                .write()
                .expect("no one panics while changing the generations")
                .retain(|generation| generation.id != id);
            let mut batch = WriteBatch::default();
            let numbers: Vec<u32> =
                self.read_catalog().of_generation(id).map(|(number, _)| number).collect();
            for number in numbers {
                self.discard_number(number, &mut batch)?;
            }
            batch.delete(key::generation(id));
            batch.delete(key::rests_on(id));
            self.rests_on.write().expect("no one panics while changing a name").remove(&id);
            self.db.write_opt(batch, &write_options())?;
        }
        Ok(())
    }

    /// Makes durable that a generation is not whole: files with its versions are removed at once,
    /// and after a crash it must not look as if it still had them.
    pub(crate) fn note_unfinished(&self, id: u32) -> Result<(), HistoryError> {
        let found = self.read_generations().iter().find(|it| it.id == id && it.loaded).cloned();
        let Some(generation) = found else { return Ok(()) };
        let unfinished = Generation { loaded: false, ..generation };
        let mut batch = WriteBatch::default();
        batch.put(key::generation(id), generation::encode(&unfinished));
        self.db.write_opt(batch, &write_options())?;
        Ok(self.db.flush()?)
    }

    /// Removes the versions, the states and the observations of a number.
    pub(crate) fn discard_number(
        &self,
        number: u32,
        batch: &mut WriteBatch,
    ) -> Result<(), HistoryError> {
        let (from, to) = key::range(number);
        self.db.delete_file_in_range(&from, &to)?;
        batch.delete_range(from, to);
        let records = |of: fn(u32, Timestamp) -> Vec<u8>| {
            (of(number, Timestamp::ZERO), of(number, Timestamp::MAX))
        };
        for (first, last) in [records(key::collection), records(key::observed)] {
            batch.delete_range(first, last);
        }
        self.write_catalog().forget(number);
        Ok(())
    }

    /// Returns an iterator over the records of one kind.
    pub(crate) fn records_under(&self, kind: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        let mut iterator = self.db.raw_iterator_opt(options);
        iterator.seek(kind);
        iterator
    }

    /// Returns an iterator that finds the versions of single documents by their prefix.
    pub(crate) fn version_finder(&self) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        self.db.raw_iterator_opt(options)
    }

    /// Returns the greatest prefix of a number in the store; empty when there is none.
    pub(crate) fn greatest_prefix(&self, number: u32) -> Result<Vec<u8>, HistoryError> {
        let mut versions = self.versions_of(number);
        versions.seek_to_last();
        versions.status()?;
        Ok(versions.key().map(key::prefix_of_version).unwrap_or_default().to_vec())
    }

    /// Returns an iterator over all versions of a number, in the order of ids. The blocks that it
    /// reads are not cached.
    pub(crate) fn versions_of(&self, number: u32) -> DBRawIterator<'_> {
        let (from, to) = key::range(number);
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.set_iterate_lower_bound(from.clone());
        options.set_iterate_upper_bound(to);
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        let mut iterator = self.db.raw_iterator_opt(options);
        iterator.seek(from);
        iterator
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

/// Replaces the record of a generation, or adds it.
pub(crate) fn show(generations: &RwLock<Vec<Generation>>, record: Generation) {
    let mut generations =
        generations.write().expect("no one panics while changing the generations");
    match generations.iter_mut().find(|generation| generation.id == record.id) {
        Some(generation) => *generation = record,
        None => generations.push(record),
    }
}

fn generation_id(key: &[u8]) -> Result<u32, HistoryError> {
    let id = key.try_into().map_err(|_| HistoryError::corrupt("a generation's key"))?;
    Ok(u32::from_be_bytes(id))
}

fn check_format(format: &[u8]) -> Result<(), HistoryError> {
    if format == FORMAT_VERSION {
        return Ok(());
    }
    Err(HistoryError::corrupt(format!("format {:?}", String::from_utf8_lossy(format))))
}

pub(crate) fn stored_catalog(db: &DB) -> Result<Catalog, HistoryError> {
    let next_number = match db.get(key::NEXT_NUMBER)? {
        None => 1,
        Some(bytes) => u32::from_be_bytes(
            bytes.try_into().map_err(|_| HistoryError::corrupt("no next number"))?,
        ),
    };
    let mut catalog = Catalog::new(next_number);
    for_each_under(db, key::COLLECTIONS, |rest, record| {
        let (number, since) = key::split_collection(&[key::COLLECTIONS, rest].concat())
            .ok_or_else(|| HistoryError::corrupt("a collection's key"))?;
        let (generation, state) = state::decode(record)?;
        catalog.set(generation, number, since, state.map(Arc::new));
        Ok(())
    })?;
    for_each_under(db, key::OBSERVED, |rest, record| {
        let (number, _) = key::split_collection(&[key::COLLECTIONS, rest].concat())
            .ok_or_else(|| HistoryError::corrupt("an observation's key"))?;
        catalog.note(observed::decode(number, record)?);
        Ok(())
    })?;
    Ok(catalog)
}

fn for_each_under(
    db: &DB,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), HistoryError>,
) -> Result<(), HistoryError> {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    let mut iterator = db.raw_iterator_opt(options);
    iterator.seek(prefix);
    while let Some((key, value)) = iterator.item() {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        visit(rest, value)?;
        iterator.next();
    }
    Ok(iterator.status()?)
}
