//! The store: opening it, its settings, its digest.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, LogLevel, Options};

use crate::error::{IndexError, PlanError};
use crate::keys::{Key, Kind};
use crate::plan::{RestorePlan, Window};
use crate::summary::Digest;
use crate::view::{ResumePoint, View};

/// Version of the keys and values. Raise it with every change of their meaning: the index is derived,
/// so there is no upgrade, only a rebuild.
pub(crate) const FORMAT: u64 = 2;

/// The derived view of one log and its bases. One process opens it at a time; in it, share it freely:
/// writes take turns, reads go through a [`View`].
pub struct Index {
    pub(crate) db: DB,
    path: PathBuf,
    /// Held from reading what is there to writing what follows from it.
    writer: Mutex<()>,
}

impl Index {
    /// Opens the index in this directory, creating it if there is none. The same for commands that
    /// only read: they run when no other process owns the directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Index, IndexError> {
        let path = path.as_ref().to_owned();
        let db = DB::open(&settings(), &path).map_err(|source| {
            if is_locked(&source) {
                return IndexError::InUse { path: path.clone() };
            }
            IndexError::Storage { action: "open", source }
        })?;
        let index = Index { db, path, writer: Mutex::new(()) };
        index.check_format()?;
        Ok(index)
    }

    /// Deletes the index in this directory. Nothing is lost: absorb the log and the bases again.
    pub fn delete(path: impl AsRef<Path>) -> Result<(), IndexError> {
        DB::destroy(&settings(), path).map_err(IndexError::storage("delete"))
    }

    /// All reads, as of now: absorbing goes on beside them and is not seen.
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

    /// BLAKE3 over every key and value. Two indexes of the same log and bases have the same digest,
    /// whatever crashes, repeats and truncations lie behind them. Reads everything.
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
            Some(found) => found,
            None if view.scan(Vec::new(), vec![0xFF]).next().is_none() => {
                let key = Key::Format.encode();
                let stored = self.db.put(key, FORMAT.to_string());
                return stored.map_err(IndexError::storage("create"));
            }
            None => 0,
        };
        Err(IndexError::OtherFormat { path: self.path.clone(), found })
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Modest: a few kilobytes come in per segment, and reads are rare.
///
/// The write-ahead log is on, so that a killed process loses nothing it absorbed, and not synced:
/// after a power failure a consistent prefix is left, and the log has the rest.
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

/// RocksDB has no kind for this; these are its two wordings, for this process and for another one.
fn is_locked(error: &rocksdb::Error) -> bool {
    let message: &str = error.as_ref();
    message.contains("lock hold by current process")
        || (message.contains("While lock file") && message.contains("temporarily unavailable"))
}

/// Everything but the format.
pub(crate) fn all_content() -> (Vec<u8>, Vec<u8>) {
    (Kind::Segment.range().0, vec![0xFF])
}
