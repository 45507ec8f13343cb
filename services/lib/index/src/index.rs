//! The store: how it is opened, its settings, and its digest.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, LogLevel, Options, WriteBatch,
};

use crate::error::{IndexError, PlanError};
use crate::keys::{Key, Kind};
use crate::plan::{RestorePlan, Window};
use crate::summary::Digest;
use crate::view::{ResumePoint, View};

/// Version of the keys and values. It must be raised with every change of their meaning. The index
/// is derived, so there is no upgrade, only a rebuild ([`Index::begin_anew_if_outdated`]).
pub(crate) const FORMAT: u64 = 3;
/// The oldest format whose newest segment can be read. That segment shows whether the log is still
/// the one that was indexed.
const OLDEST_READABLE: u64 = 2;

/// The derived view of one log and its bases. Only one process opens it at a time. Within that
/// process it can be shared freely: writes take turns, and reads go through a [`View`].
pub struct Index {
    pub(crate) db: DB,
    path: PathBuf,
    /// Held from reading the present state to writing what follows from it.
    writer: Mutex<()>,
    /// True when the index has an earlier format: nothing is added to it then.
    outdated: AtomicBool,
}

impl Index {
    /// Opens the index in this directory, and creates it if there is none. Commands that only read
    /// open it in the same way: they can run when no other process owns the directory.
    ///
    /// An index of an earlier format is opened too, but only for [`Index::resume_point`]. After
    /// comparing the log with the resume point, the caller must call
    /// [`Index::begin_anew_if_outdated`].
    ///
    /// # Errors
    /// Returns [`IndexError::InUse`] while another process has the index open, and
    /// [`IndexError::OtherFormat`] for an index of a later or a very early format.
    pub fn open(path: impl AsRef<Path>) -> Result<Index, IndexError> {
        let path = path.as_ref().to_owned();
        let db = DB::open(&settings(), &path).map_err(|source| {
            if is_locked(&source) {
                return IndexError::InUse { path: path.clone() };
            }
            IndexError::Storage { action: "open", source }
        })?;
        let outdated = AtomicBool::new(false);
        let index = Index { db, path, writer: Mutex::new(()), outdated };
        index.check_format()?;
        Ok(index)
    }

    /// Empties an index of an earlier format, so that log and bases can be absorbed again. Returns
    /// whether the index had an earlier format.
    ///
    /// # Errors
    /// Returns [`IndexError::Storage`] when the index cannot be written.
    pub fn begin_anew_if_outdated(&self) -> Result<bool, IndexError> {
        let _writing = self.writing();
        if !self.outdated.load(Ordering::Acquire) {
            return Ok(false);
        }
        let (start, end) = all_content();
        let mut batch = WriteBatch::default();
        batch.delete_range(start, end);
        batch.put(Key::Format.encode(), FORMAT.to_string());
        self.db.write(batch).map_err(IndexError::storage("rebuild"))?;
        self.outdated.store(false, Ordering::Release);
        Ok(true)
    }

    /// Returns an error unless the index has the current format. Only such an index absorbs
    /// anything.
    pub(crate) fn check_current(&self) -> Result<(), IndexError> {
        match self.outdated.load(Ordering::Acquire) {
            true => Err(self.other_format(self.view().value::<u64>(&Key::Format)?.unwrap_or(0))),
            false => Ok(()),
        }
    }

    /// Deletes the index in this directory. Nothing is lost: absorb the log and the bases again.
    ///
    /// # Errors
    /// Returns [`IndexError::Storage`] when the files cannot be deleted.
    pub fn delete(path: impl AsRef<Path>) -> Result<(), IndexError> {
        DB::destroy(&settings(), path).map_err(IndexError::storage("delete"))
    }

    /// Returns a view for all reads, as of now. Absorbing goes on meanwhile, and the view does not
    /// see it.
    pub fn view(&self) -> View<'_> {
        View::new(&self.db)
    }

    /// Shorthand for [`View::resume_point`].
    pub fn resume_point(&self) -> Result<Option<ResumePoint>, IndexError> {
        self.view().resume_point()
    }

    /// Shorthand for [`View::windows`].
    pub fn windows(&self) -> Result<Vec<Window>, IndexError> {
        self.view().windows()
    }

    /// Shorthand for [`View::plan`].
    pub fn plan(&self, at: hindsight_oplog::Timestamp) -> Result<RestorePlan, PlanError> {
        self.view().plan(at)
    }

    /// Returns BLAKE3 over every key and value. Two indexes of the same log and bases have the same
    /// digest, whatever crashes, repetitions and truncations they went through. This reads the
    /// whole index.
    ///
    /// # Errors
    /// Returns [`IndexError::Storage`] when the index cannot be read.
    pub fn digest(&self) -> Result<Digest, IndexError> {
        let mut hasher = blake3::Hasher::new();
        for item in self.view().scan(Vec::new(), vec![0xFF]) {
            let (key, value) = item?;
            for part in [key, value] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(&part);
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_format(&self) -> Result<(), IndexError> {
        let view = self.view();
        let found = match view.value::<u64>(&Key::Format)? {
            Some(FORMAT) => return Ok(()),
            Some(OLDEST_READABLE..FORMAT) => {
                self.outdated.store(true, Ordering::Release);
                return Ok(());
            }
            Some(found) => found,
            None if view.scan(Vec::new(), vec![0xFF]).next().is_none() => {
                let key = Key::Format.encode();
                let stored = self.db.put(key, FORMAT.to_string());
                return stored.map_err(IndexError::storage("create"));
            }
            None => 0,
        };
        Err(self.other_format(found))
    }

    fn other_format(&self, found: u64) -> IndexError {
        IndexError::OtherFormat { path: self.path.clone(), found }
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Modest settings: a few kilobytes are absorbed per segment, and reads are rare.
///
/// The write-ahead log is on, so that a killed process loses nothing that it absorbed. The
/// write-ahead log is not synced: after a power failure a consistent prefix is left, and the log
/// has the rest.
fn settings() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(8 << 20));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_write_buffer_size(8 << 20);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(16 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(128);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options
}

/// Returns whether the directory is locked. RocksDB has no error kind for this. The texts are its
/// two messages: one when this process holds the lock, and one when another process does.
fn is_locked(error: &rocksdb::Error) -> bool {
    let message: &str = error.as_ref();
    message.contains("lock hold by current process")
        || (message.contains("While lock file") && message.contains("temporarily unavailable"))
}

/// Returns the range of all keys but the format.
pub(crate) fn all_content() -> (Vec<u8>, Vec<u8>) {
    (Kind::Segment.range().0, vec![0xFF])
}
