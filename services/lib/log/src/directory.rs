//! The log as a directory: one file per segment.
//!
//! A segment is written under a temporary name, synced, renamed, and the directory synced; only
//! then is it durable. So a file with a segment's name is whole, or the disk broke its word, and
//! then its checksums tell.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hindsight_segment::{
    ChainEnd, Frame, SealedSegment, SegmentDigest, SegmentInfo, SegmentView, Sequence,
    SourceIdentity,
};

use crate::SegmentLog;
use crate::blocking::blocking;
use crate::error::LogError;

mod append;
mod files;
mod listing;
mod lock;
mod names;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use store::Store;

/// What is known about a directory before it is opened.
#[derive(Clone, Debug, Default)]
pub struct DirectoryOptions {
    /// The replica set whose log it must be.
    pub expected: Option<SourceIdentity>,
    /// Up to here the log was read and found good. The chain is verified from there on, which makes
    /// opening a long log fast, and a log that ends earlier has lost segments.
    pub known: Option<KnownEnd>,
}

/// A segment that was read and found good, and all those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownEnd {
    pub sequence: Sequence,
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
    /// Opens the log for appending, and creates the directory if it is not there. Verifies the
    /// chain of all segments by their headers and seals.
    ///
    /// # Errors
    /// [`LogError::InUse`] while another process, or another handle that is no clone, has it open
    /// for appending. [`LogError::Corrupt`] naming the file that is missing, double, damaged or
    /// does not belong; [`LogError::Foreign`] for the log of another replica set.
    pub async fn open_writer(path: &Path, options: DirectoryOptions) -> Result<Self, LogError> {
        let directory = path.to_owned();
        Self::open(path, move || Store::open_writer(directory, &options, Box::new(|_| Ok(()))))
            .await
    }

    /// Opens the log for reading; a writer may go on appending to it.
    ///
    /// # Errors
    /// As [`DirectoryLog::open_writer`], and [`LogError::NotFound`] when there is no such
    /// directory.
    pub async fn open_reader(path: &Path, options: DirectoryOptions) -> Result<Self, LogError> {
        let directory = path.to_owned();
        Self::open(path, move || Store::open_reader(directory, &options)).await
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
}
