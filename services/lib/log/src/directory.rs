//! The log as a directory: a file for each of the newest segments, packs that hold runs of older
//! segments, and a file that says where the log begins once its oldest segments were removed.
//!
//! A segment is written under a temporary name, synced, and renamed, and then the directory is
//! synced. Only then is the segment durable. So a file with a segment's name is complete. If it is
//! not, the disk broke its promise, and the checksums in the file show it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hindsight_runtime::CancellationToken;
use hindsight_segment::{
    ChainEnd, Frame, SealedSegment, SegmentDigest, SegmentInfo, SegmentView, Sequence,
    SourceIdentity,
};

use crate::SegmentLog;
use crate::beginning::Beginning;
use crate::blocking::blocking;
use crate::error::LogError;

mod append;
mod beginning;
mod chain;
mod fields;
mod files;
mod listing;
mod lock;
mod names;
mod open;
mod pack;
mod packing;
mod policy;
mod read;
mod remove;
mod store;
mod stored;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use packing::Packed;
pub use policy::PackLimits;
use store::Store;

/// What is known about a directory before it is opened.
#[derive(Clone, Debug, Default)]
pub struct DirectoryOptions {
    /// The replica set whose log the directory must hold. None accepts any.
    pub expected: Option<SourceIdentity>,
    /// The segment up to which the log was already read and found good. The chain is verified only
    /// from there on, which makes opening a long log fast. A log that ends before it has lost
    /// segments. When the log begins after it, all of the chain is verified.
    pub known: Option<KnownEnd>,
}

/// A segment that was read and found good, together with all segments before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownEnd {
    /// The segment's place in the log.
    pub sequence: Sequence,
    /// The segment's digest.
    pub digest: SegmentDigest,
}

impl From<&ChainEnd> for KnownEnd {
    fn from(end: &ChainEnd) -> Self {
        Self { sequence: end.sequence, digest: end.digest }
    }
}

/// A log in a directory. Clones are handles of the same log.
#[derive(Clone)]
pub struct DirectoryLog {
    store: Arc<Store>,
}

impl fmt::Debug for DirectoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirectoryLog").field(&self.store.directory()).finish()
    }
}

impl DirectoryLog {
    /// Opens the log for appending, and creates the directory if it does not exist. Verifies by
    /// headers and seals the chain of all files, or of those after `options.known`; of a pack, the
    /// first and the last segment.
    ///
    /// # Errors
    /// Returns [`LogError::InUse`] while another process, or another handle that is not a clone,
    /// has the log open for appending. Returns [`LogError::Corrupt`], which names the file, when a
    /// file is missing, duplicate or damaged or does not belong to the log. Returns
    /// [`LogError::Foreign`] for the log of another replica set.
    pub async fn open_writer(path: &Path, options: DirectoryOptions) -> Result<Self, LogError> {
        let directory = path.to_owned();
        Self::open(path, move || Store::open_writer(directory, &options, Box::new(|_| Ok(()))))
            .await
    }

    /// Opens the log for reading. A writer may go on appending to it.
    ///
    /// # Errors
    /// The same as [`DirectoryLog::open_writer`] except [`LogError::InUse`], and
    /// [`LogError::NotFound`] when the directory does not exist.
    pub async fn open_reader(path: &Path, options: DirectoryOptions) -> Result<Self, LogError> {
        let directory = path.to_owned();
        Self::open(path, move || Store::open_reader(directory, &options)).await
    }

    /// Packs the oldest segments that are to be packed: one pack is written, and then the files are
    /// removed whose segments it holds. Returns None when there is nothing to pack yet, or when
    /// `stop` was cancelled meanwhile. Appending, reading and removing go on, also in other
    /// processes. Every byte is compared with its digest before it is copied.
    ///
    /// # Errors
    /// Returns [`LogError::Corrupt`], which names file and segment, for a segment that is damaged
    /// or does not follow its predecessor: all files stay as they are. Returns
    /// [`LogError::ReadOnly`] for a log that was opened for reading. After
    /// [`LogError::Unavailable`], the call can be repeated.
    pub async fn pack(
        &self,
        limits: PackLimits,
        stop: CancellationToken,
    ) -> Result<Option<Packed>, LogError> {
        self.run(move |store| store.pack(&limits, &stop)).await
    }

    async fn open(
        path: &Path,
        open: impl FnOnce() -> Result<Store, LogError> + Send + 'static,
    ) -> Result<Self, LogError> {
        let store = blocking(path.display(), open).await?;
        Ok(Self { store: Arc::new(store) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let store = Arc::clone(&self.store);
        blocking(self.store.directory().display(), move || work(&store)).await
    }
}

#[async_trait]
impl SegmentLog for DirectoryLog {
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError> {
        self.run(move |store| store.append(&segment)).await
    }

    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.run(move |store| store.read(sequence)).await
    }

    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError> {
        let info = Arc::clone(info);
        self.run(move |store| store.read_frame(&info, ordinal)).await
    }

    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        self.run(move |store| store.infos(from, limit)).await
    }

    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.run(Store::end).await
    }

    async fn begin(&self) -> Result<Option<Beginning>, LogError> {
        self.run(Store::begin).await
    }

    async fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.run(move |store| store.remove_before(sequence)).await
    }
}
