//! The progress of a copy.

use tokio::sync::watch;

/// The stage that a copy is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CopyStage {
    /// Listing the collections and indexes.
    #[default]
    Listing,
    /// Reading the documents.
    Scanning,
    /// Waiting for the majority point to pass everything that was read.
    AwaitingMajority,
    /// Writing the manifest.
    Finishing,
    /// The base is complete.
    Done,
}

/// The progress of a copy. When a scan begins again, its documents and bytes are subtracted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// What the copy is doing.
    pub stage: CopyStage,
    /// The number of collections to copy.
    pub collections: u64,
    /// The number of collections whose scan has ended, including those that vanished.
    pub collections_done: u64,
    /// The number of documents read.
    pub documents: u64,
    /// The bytes of these documents, uncompressed.
    pub raw_bytes: u64,
    /// The number of requests and scans that were tried again.
    pub retries: u64,
    /// The latest failure after which a request or scan was tried again.
    pub last_failure: Option<String>,
}

/// Updates the progress. It does not need a listener.
#[derive(Debug, Clone)]
pub(super) struct ProgressSender(watch::Sender<CopyProgress>);

impl ProgressSender {
    pub(super) fn new(sender: watch::Sender<CopyProgress>) -> Self {
        ProgressSender(sender)
    }

    pub(super) fn stage(&self, stage: CopyStage) {
        self.0.send_modify(|progress| progress.stage = stage);
    }

    pub(super) fn collections_found(&self, count: usize) {
        self.0.send_modify(|progress| progress.collections = count as u64);
    }

    pub(super) fn collection_done(&self) {
        self.0.send_modify(|progress| progress.collections_done += 1);
    }

    pub(super) fn collection_reopened(&self) {
        self.0.send_modify(|progress| progress.collections_done -= 1);
    }

    pub(super) fn read(&self, documents: u64, raw_bytes: u64) {
        self.0.send_modify(|progress| {
            progress.documents += documents;
            progress.raw_bytes += raw_bytes;
        });
    }

    pub(super) fn taken_back(&self, documents: u64, raw_bytes: u64) {
        self.0.send_modify(|progress| {
            progress.documents -= documents;
            progress.raw_bytes -= raw_bytes;
        });
    }

    pub(super) fn retrying(&self, failure: &dyn std::fmt::Display) {
        self.0.send_modify(|progress| {
            progress.retries += 1;
            progress.last_failure = Some(failure.to_string());
        });
    }
}
