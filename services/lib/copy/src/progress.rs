//! How far a copy is.

use tokio::sync::watch;

/// What a copy is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CopyStage {
    #[default]
    Listing,
    Scanning,
    /// Everything is read; the majority point has yet to pass it.
    AwaitingMajority,
    /// Writing the manifest.
    Finishing,
    Done,
}

/// A copy's progress. Documents and bytes of a scan that is begun again are taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyProgress {
    pub stage: CopyStage,
    pub collections: u64,
    pub collections_done: u64,
    pub documents: u64,
    pub raw_bytes: u64,
    /// Requests and scans that were tried again.
    pub retries: u64,
    /// The latest failure that was tried again.
    pub last_failure: Option<String>,
}

/// Changes the progress; nobody needs to listen.
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
