//! The member that the base is copied from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};
use hindsight_mongo::{Batch, Batches, Client, CursorReply, Hello, Incarnation, Wait};
use hindsight_oplog::raw::{Doc, Malformed};
use hindsight_oplog::{OpTime, Timestamp};
use hindsight_runtime::Backoff;

use super::error::{CopyError, Reaction, Result};
use super::progress::ProgressSender;
use super::reply::operation_time;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The delays between attempts of one request or scan.
pub(super) fn backoff() -> Backoff {
    Backoff::new(FIRST_DELAY, LONGEST_DELAY)
}

/// One member, with replies as raw bytes. The client is connected directly to that member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    client: Client,
    attempts: u32,
    /// The latest operation time that any reply carried.
    seen: Arc<AtomicU64>,
    progress: Option<ProgressSender>,
}

impl Member {
    pub(super) fn new(client: &Client, attempts: u32) -> Self {
        Member {
            client: client.clone(),
            attempts: attempts.max(1),
            seen: Arc::default(),
            progress: None,
        }
    }

    pub(super) fn report_to(&mut self, progress: ProgressSender) {
        self.progress = Some(progress);
    }

    /// Returns the latest operation time so far. Nothing that was read so far is later than this.
    pub(super) fn seen(&self) -> Timestamp {
        Timestamp::from_u64(self.seen.load(Ordering::Acquire))
    }

    /// Notes the operation time of a reply. Every reply passes through here.
    pub(super) fn observe(&self, reply: Doc<'_>) {
        if let Some(ts) = operation_time(reply) {
            self.seen.fetch_max(ts.as_u64(), Ordering::AcqRel);
        }
    }

    /// Runs a command that answers with one document, and returns the document's bytes. Tries again
    /// where that can help.
    pub(super) async fn command(
        &self,
        doing: &str,
        db: &str,
        command: RawDocumentBuf,
    ) -> Result<Vec<u8>> {
        let mut backoff = backoff();
        loop {
            match self.command_once(doing, db, &command).await {
                Ok(reply) => return Ok(reply),
                Err(error) => self.delay_or_give_up(error, &mut backoff).await?,
            }
        }
    }

    async fn command_once(
        &self,
        doing: &str,
        db: &str,
        command: &RawDocumentBuf,
    ) -> Result<Vec<u8>> {
        let reply = self.client.run(db, command.clone()).await.map_err(CopyError::server(doing))?;
        let reply = reply.to_vec().map_err(|error| unreadable(doing, &error))?;
        self.observe(document(doing, &reply)?);
        Ok(reply)
    }

    /// Runs a command that answers with a cursor, and collects its documents. For catalogs and
    /// look-ups.
    pub(super) async fn documents(
        &self,
        doing: &str,
        db: &str,
        command: RawDocumentBuf,
    ) -> Result<Vec<Vec<u8>>> {
        let mut backoff = backoff();
        loop {
            match self.documents_once(doing, db, &command).await {
                Ok(documents) => return Ok(documents),
                Err(error) => self.delay_or_give_up(error, &mut backoff).await?,
            }
        }
    }

    async fn documents_once(
        &self,
        doing: &str,
        db: &str,
        command: &RawDocumentBuf,
    ) -> Result<Vec<Vec<u8>>> {
        let mut documents = Vec::new();
        let keep = |batch: &Batch, reply: CursorReply<'_>| {
            self.observe(Doc::new(batch.as_bytes())?);
            for found in reply.documents() {
                documents.push(found?.as_bytes().to_vec());
            }
            Ok(())
        };
        let read = self.client.for_each_batch(db, command.clone(), keep).await;
        read.map_err(CopyError::server(doing))?;
        Ok(documents)
    }

    pub(super) async fn cursor(
        &self,
        doing: &str,
        db: &str,
        command: RawDocumentBuf,
    ) -> Result<Box<dyn Batches>> {
        self.client.open(db, command, Wait::No).await.map_err(CopyError::server(doing))
    }

    /// Reads a batch in place, and notes its operation time.
    pub(super) fn read_batch<'a>(&self, doing: &str, batch: &'a Batch) -> Result<CursorReply<'a>> {
        self.observe(document(doing, batch.as_bytes())?);
        batch.read().map_err(|malformed| unreadable(doing, &malformed))
    }

    /// Waits before the next attempt, or returns the error when there should be no other attempt.
    pub(super) async fn delay_or_give_up(
        &self,
        error: CopyError,
        backoff: &mut Backoff,
    ) -> Result<()> {
        if error.reaction() != Reaction::Retry || backoff.failures() + 1 >= self.attempts {
            return Err(error);
        }
        tracing::warn!(%error, "trying again");
        if let Some(progress) = &self.progress {
            progress.retrying(&error);
        }
        tokio::time::sleep(backoff.next_delay()).await;
        Ok(())
    }

    pub(super) async fn hello(&self) -> Result<Hello> {
        let doing = "ask the member who it is";
        let reply = self.command(doing, "admin", rawdoc! { "hello": 1 }).await?;
        Hello::read(document(doing, &reply)?).map_err(|malformed| unreadable(doing, &malformed))
    }

    /// Waits until the majority point has reached `target`, and returns the member's state at that
    /// time. None when the member is no longer the expected `incarnation`.
    pub(super) async fn majority_at(
        &self,
        target: Timestamp,
        incarnation: Option<&Incarnation>,
        timeout: Duration,
    ) -> Result<Option<Hello>> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let hello = self.hello().await?;
            if incarnation.is_some_and(|expected| *expected != hello.incarnation) {
                return Ok(None);
            }
            if hello.majority != OpTime::NONE && hello.majority.ts >= target {
                return Ok(Some(hello));
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(CopyError::Unsettled(format!(
                    "the majority point of {} stays at {}, before {target}, for {} s: \
                     is a majority of the set's members up?",
                    hello.member(),
                    hello.majority,
                    timeout.as_secs()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

pub(super) fn document<'a>(doing: &str, bytes: &'a [u8]) -> Result<Doc<'a>> {
    Doc::new(bytes).map_err(|malformed| unreadable(doing, &malformed))
}

pub(super) fn unreadable(doing: &str, reason: &dyn std::fmt::Display) -> CopyError {
    CopyError::Refused(format!("cannot {doing}: the server's answer is not readable: {reason}"))
}

impl From<Malformed> for CopyError {
    fn from(malformed: Malformed) -> Self {
        CopyError::Refused(format!("the server's answer is not readable: {malformed}"))
    }
}
