//! Writes batches into the store in a thread beside the writer, so that applying goes on while
//! RocksDB sorts what was applied.
//!
//! At most one batch is in flight, so memory stays bounded and batches reach the store in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use rocksdb::{DB, WriteBatch};

use crate::generation::Generation;
use crate::latest::{Latest, Pending};
use crate::settings::write_options;
use crate::{HistoryError, history};

/// Memory that is kept from one commit to the next, in bytes: room for the versions of a segment,
/// and more.
const SPARE_BYTES: usize = 16 << 20;

/// The key and the value of a record.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

/// What one commit puts into the store at once.
struct Job {
    versions: Pending,
    /// Records of the catalog, and of the generation.
    records: Vec<Record>,
    /// May be published once all of it is in the store.
    generation: Generation,
}

/// The result of a commit. Its memory comes back for the next commit.
type Written = Result<Pending, rocksdb::Error>;

pub(crate) struct Storing {
    jobs: Option<SyncSender<Job>>,
    results: Receiver<Written>,
    in_flight: bool,
    spare: Pending,
    thread: Option<JoinHandle<()>>,
}

impl Storing {
    pub(crate) fn start(
        db: Arc<DB>,
        generations: Arc<RwLock<Vec<Generation>>>,
        commits: Arc<AtomicU64>,
    ) -> Result<Self, HistoryError> {
        let (jobs, todo) = sync_channel::<Job>(1);
        let (done, results) = sync_channel(1);
        let work = move || {
            for Job { mut versions, records, generation } in todo {
                let result = db.write_opt(batch(&mut versions, &records), &write_options());
                if result.is_ok() {
                    commits.fetch_add(1, Ordering::AcqRel);
                    history::show(&generations, generation);
                }
                // When a batch is missing, no later batch may follow.
                let is_stored = result.is_ok();
                if done.send(result.map(|()| versions)).is_err() || !is_stored {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("history-store".to_owned()).spawn(work);
        let thread = thread.map_err(|source| HistoryError::Thread { source })?;
        Ok(Storing {
            jobs: Some(jobs),
            results,
            in_flight: false,
            spare: Pending::default(),
            thread: Some(thread),
        })
    }

    /// Hands over a commit, once the previous commit is in the store.
    pub(crate) fn store(
        &mut self,
        latest: &Latest,
        records: Vec<Record>,
        generation: Generation,
    ) -> Result<(), HistoryError> {
        self.wait()?;
        let mut versions = std::mem::take(&mut self.spare);
        latest.copy_pending(&mut versions);
        let jobs = self.jobs.as_ref().expect("jobs are taken only on drop");
        jobs.send(Job { versions, records, generation })
            .map_err(|_| HistoryError::StoreThreadEnded)?;
        self.in_flight = true;
        Ok(())
    }

    /// Returns when everything that was handed over is in the store.
    pub(crate) fn wait(&mut self) -> Result<(), HistoryError> {
        if !self.in_flight {
            return Ok(());
        }
        self.in_flight = false;
        self.spare = self.results.recv().map_err(|_| HistoryError::StoreThreadEnded)??;
        self.spare.shrink_to(SPARE_BYTES);
        Ok(())
    }
}

fn batch(versions: &mut Pending, records: &[Record]) -> WriteBatch {
    let mut batch = WriteBatch::with_capacity_bytes(versions.byte_count() + (64 << 10));
    for (key, value) in versions.in_order() {
        batch.put(key, value);
    }
    for (key, value) in records {
        batch.put(key, value);
    }
    batch
}

impl Drop for Storing {
    fn drop(&mut self) {
        if let Err(error) = self.wait() {
            tracing::error!(%error, "the last batch of the history was not stored");
        }
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that stores the history panicked");
        }
    }
}
