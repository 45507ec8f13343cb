//! Scans one collection into the base.

use hindsight_base::{BaseWriter, CollectionInfo, CollectionWriter};
use hindsight_mongo::{Batch, Batches};
use hindsight_oplog::Timestamp;

use super::catalog::scan_command;
use super::error::{CopyError, Reaction, Result};
use super::member::{Member, backoff, unreadable};
use super::progress::ProgressSender;
use super::throttle::Throttle;

/// What all scans of a copy share.
pub(super) struct Scans<'a> {
    pub(super) member: Member,
    pub(super) after: Timestamp,
    pub(super) base: &'a BaseWriter,
    pub(super) throttle: Throttle,
    pub(super) progress: ProgressSender,
}

/// How a scan ended.
#[derive(Debug)]
pub(super) enum Scanned {
    Copied,
    /// The collection no longer exists, as far as this member knows.
    Vanished(CollectionInfo),
}

impl Scans<'_> {
    /// Copies one collection. When the cursor is lost, the scan starts again from the beginning.
    pub(super) async fn scan(&self, info: CollectionInfo) -> Result<Scanned> {
        let mut backoff = backoff();
        loop {
            let scan = Scan::new(self, &info);
            let error = match Box::pin(scan.run()).await {
                Ok(()) => {
                    self.progress.collection_done();
                    return Ok(Scanned::Copied);
                }
                Err(error) => error,
            };
            if error.reaction() == Reaction::Vanished {
                self.progress.collection_done();
                return Ok(Scanned::Vanished(info));
            }
            self.member.delay_or_give_up(error, &mut backoff).await?;
        }
    }
}

/// One attempt to scan a collection.
struct Scan<'a> {
    scans: &'a Scans<'a>,
    info: &'a CollectionInfo,
    doing: String,
    documents: u64,
    raw_bytes: u64,
    succeeded: bool,
}

impl<'a> Scan<'a> {
    fn new(scans: &'a Scans<'a>, info: &'a CollectionInfo) -> Self {
        let doing = format!("copy {}.{}", info.db, info.name);
        Scan { scans, info, doing, documents: 0, raw_bytes: 0, succeeded: false }
    }

    async fn run(mut self) -> Result<()> {
        let cursor = self.open().await?;
        let writer = self.read_into(cursor, self.scans.base.collection(self.info.clone())).await?;
        let finished = tokio::task::spawn_blocking(move || writer.finish());
        let entry = finished.await.map_err(|panic| self.panicked(&panic))??;
        tracing::debug!(
            collection = %format_args!("{}.{}", self.info.db, self.info.name),
            documents = entry.documents,
            stored_bytes = entry.stored_bytes,
            "copied"
        );
        self.succeeded = true;
        Ok(())
    }

    async fn open(&self) -> Result<Box<dyn Batches>> {
        let command = scan_command(self.info, self.scans.after);
        self.scans.member.cursor(&self.doing, &self.info.db, command).await
    }

    /// Reads the next batch while the previous one is compressed and written.
    async fn read_into(
        &mut self,
        mut cursor: Box<dyn Batches>,
        writer: CollectionWriter,
    ) -> Result<CollectionWriter> {
        let mut writing = tokio::task::spawn_blocking(move || Ok(writer));
        while let Some(batch) = cursor.next().await {
            let looked_at = batch
                .map_err(CopyError::server(self.doing.as_str()))
                .and_then(|batch| Ok((self.look_at(&batch)?, batch)));
            // Waited for even when reading failed: the next attempt must not overlap with this
            // writer.
            let writer = writing.await.map_err(|panic| self.panicked(&panic))??;
            let ((raw_bytes, is_last), batch) = looked_at?;
            let doing = self.doing.clone();
            writing = tokio::task::spawn_blocking(move || write(&doing, writer, &batch));
            if is_last {
                return writing.await.map_err(|panic| self.panicked(&panic))?;
            }
            self.scans.throttle.pay(raw_bytes).await;
        }
        writing.await.map_err(|panic| self.panicked(&panic))??;
        // The driver also ends a stream whose connection broke.
        Err(CopyError::Unsettled(format!("cannot {}: the cursor was cut short", self.doing)))
    }

    /// Counts a batch. Returns the bytes of its documents, and whether it is the last batch.
    fn look_at(&mut self, batch: &Batch) -> Result<(u64, bool)> {
        let reply = self.scans.member.read_batch(&self.doing, batch)?;
        let (mut documents, mut raw_bytes) = (0, 0);
        for found in reply.documents() {
            let found = found.map_err(|malformed| unreadable(&self.doing, &malformed))?;
            documents += 1;
            raw_bytes += found.as_bytes().len() as u64;
        }
        self.documents += documents;
        self.raw_bytes += raw_bytes;
        self.scans.progress.read(documents, raw_bytes);
        Ok((raw_bytes, reply.is_last))
    }

    fn panicked(&self, panic: &tokio::task::JoinError) -> CopyError {
        CopyError::Refused(format!("cannot {}: writing failed: {panic}", self.doing))
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            self.scans.progress.taken_back(self.documents, self.raw_bytes);
        }
    }
}

fn write(doing: &str, mut writer: CollectionWriter, batch: &Batch) -> Result<CollectionWriter> {
    let reply = batch.read().map_err(|malformed| unreadable(doing, &malformed))?;
    for found in reply.documents() {
        let found = found.map_err(|malformed| unreadable(doing, &malformed))?;
        writer.write(found.as_bytes())?;
    }
    Ok(writer)
}
