//! Writes batches into the store beside the writer, so that applying goes on while RocksDB sorts what was applied.
//!
//! At most one batch is in flight: memory stays bounded, and batches reach the store in order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use rocksdb::{DB, WriteBatch};

use crate::generation::Generation;
use crate::settings::write_options;
use crate::{HistoryError, history};

/// A batch, and the record that may be shown once it is in the store.
struct Job {
    batch: WriteBatch,
    generation: Generation,
}

pub(crate) struct Storing {
    jobs: Option<SyncSender<Job>>,
    results: Receiver<Result<(), rocksdb::Error>>,
    in_flight: bool,
    thread: Option<JoinHandle<()>>,
}

impl Storing {
    pub(crate) fn start(
        db: Arc<DB>,
        generations: Arc<RwLock<Vec<Generation>>>,
    ) -> Result<Self, HistoryError> {
        let (jobs, todo) = sync_channel::<Job>(1);
        let (done, results) = sync_channel(1);
        let work = move || {
            for Job { batch, generation } in todo {
                let result = db.write_opt(batch, &write_options());
                if result.is_ok() {
                    history::show(&generations, generation);
                }
                // After a batch that is missing, none may follow.
                let is_stored = result.is_ok();
                if done.send(result).is_err() || !is_stored {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("history-store".to_owned()).spawn(work);
        let thread = thread.map_err(|source| HistoryError::Thread { source })?;
        Ok(Storing { jobs: Some(jobs), results, in_flight: false, thread: Some(thread) })
    }

    /// Hands a batch over, once the one before is in the store.
    pub(crate) fn store(
        &mut self,
        batch: WriteBatch,
        generation: Generation,
    ) -> Result<(), HistoryError> {
        self.wait()?;
        let jobs = self.jobs.as_ref().expect("jobs are taken only on drop");
        jobs.send(Job { batch, generation }).map_err(|_| HistoryError::StoreThreadEnded)?;
        self.in_flight = true;
        Ok(())
    }

    /// Returns when everything handed over is in the store.
    pub(crate) fn wait(&mut self) -> Result<(), HistoryError> {
        if !self.in_flight {
            return Ok(());
        }
        self.in_flight = false;
        Ok(self.results.recv().map_err(|_| HistoryError::StoreThreadEnded)??)
    }
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
