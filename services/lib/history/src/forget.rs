//! Forgets what is older than a horizon.

use std::sync::Arc;

use hindsight_oplog::Timestamp;
use rocksdb::WriteBatch;

use crate::horizon::Pin;
use crate::settings::write_options;
use crate::value::TOMBSTONE_VALUE;
use crate::{Generation, History, HistoryError, key};

/// Deletions are forgotten in batches of about this many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Keeps the horizon from passing a time ([`History::hold`]).
#[derive(Clone, Debug)]
pub struct Hold {
    _pin: Arc<Pin>,
}

impl History {
    /// Returns the oldest time that the history still answers for; zero while nothing was ever
    /// forgotten.
    pub fn horizon(&self) -> Timestamp {
        self.horizon.oldest()
    }

    /// Keeps the horizon from passing a time until the returned value is dropped. `None` when the
    /// horizon has passed the time.
    pub fn hold(&self, at: Timestamp) -> Option<Hold> {
        self.horizon.pin(at).map(|pin| Hold { _pin: pin })
    }

    /// Moves the horizon forward to `wanted`, and forgets what no time from there on can show. The
    /// space comes back as RocksDB compacts its files. Returns the horizon: it never moves back,
    /// passes neither the last time that can be read nor the time of a view in use, and stays where
    /// it is while the newest base has no window.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store cannot be read or written. The horizon may have
    /// moved then; calling again goes on.
    pub fn forget_before(&self, wanted: Timestamp) -> Result<Timestamp, HistoryError> {
        let generations = self.generations();
        let Some((_, through)) = generations.last().and_then(Generation::window) else {
            return Ok(self.horizon());
        };
        let wanted = after_holes(&generations, wanted.min(through));
        let horizon = self.horizon.move_to(wanted);
        // Not: further than readers were told before, because that may not have reached the disk.
        if horizon > self.horizon.kept_from() {
            let mut batch = WriteBatch::default();
            batch.put(key::HORIZON, horizon.as_u64().to_be_bytes());
            self.db.write_opt(batch, &write_options())?;
            // After a crash, no time may come back whose versions are gone.
            self.db.flush()?;
        }
        self.horizon.keep_from(horizon);
        self.discard(|generation| generation.loaded && generation.through() < horizon)?;
        self.forget_dropped(horizon)?;
        self.forget_deleted(horizon)?;
        Ok(horizon)
    }

    /// Forgets collections that were dropped at or before the horizon.
    fn forget_dropped(&self, horizon: Timestamp) -> Result<(), HistoryError> {
        let dropped: Vec<u32> = {
            let catalog = self.read_catalog();
            let ended = catalog.all().filter(|(_, collection)| {
                let last = collection.states.last();
                last.is_some_and(|(since, state)| state.is_none() && *since <= horizon)
            });
            ended.map(|(number, _)| number).collect()
        };
        for number in dropped {
            let mut batch = WriteBatch::default();
            self.discard_number(number, &mut batch)?;
            self.db.write_opt(batch, &write_options())?;
        }
        Ok(())
    }

    /// Forgets documents that were deleted at or before the horizon, with all their versions up to
    /// the deletion.
    fn forget_deleted(&self, horizon: Timestamp) -> Result<(), HistoryError> {
        let mut batch = WriteBatch::default();
        let mut deletions = self.records_under(key::DELETED);
        let mut versions = self.version_finder();
        while let Some(record) = deletions.key() {
            let Some((deleted, prefix)) = key::split_deleted(record) else { break };
            if deleted > horizon {
                break;
            }
            batch.delete(record);
            let mut seek = prefix.to_vec();
            key::push_time(&mut seek, deleted);
            versions.seek(&seek);
            // A later write of the same unit may have brought the document back.
            let is_deleted = versions.item() == Some((&seek[..], TOMBSTONE_VALUE));
            while is_deleted && versions.key().map(key::prefix_of_version) == Some(prefix) {
                batch.delete(versions.key().unwrap_or_default());
                versions.next();
            }
            versions.status()?;
            if batch.size_in_bytes() >= BATCH_BYTES {
                self.db.write_opt(std::mem::take(&mut batch), &write_options())?;
            }
            deletions.next();
        }
        deletions.status()?;
        Ok(self.db.write_opt(batch, &write_options())?)
    }
}

/// Returns the first time from `at` on that can be read. A horizon inside a hole between two
/// generations would leave times behind it that nothing answers for.
fn after_holes(generations: &[Generation], at: Timestamp) -> Timestamp {
    if generations.iter().any(|generation| generation.holds(at)) {
        return at;
    }
    let windows = generations.iter().filter_map(Generation::window);
    windows.map(|(from, _)| from).filter(|from| *from > at).min().unwrap_or(at)
}
