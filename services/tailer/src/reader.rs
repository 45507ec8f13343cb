//! Reads one member's oplog as a stream of raw batches.

use std::time::Duration;

use bson::raw::cstr;
use bson::rawdoc;
use hindsight_mongo::{Batch, Batches, Client, Wait};
use hindsight_oplog::raw::Doc;
use hindsight_oplog::{Entry, OpTime};

use crate::error::CaptureError;
use crate::pace::Pace;
use crate::resume::{FirstEntry, OplogEnds, ResumeAt, Verdict, judge};
use crate::source::within;

const OPLOG: &str = "oplog.rs";
/// How long the server holds a getMore open when there is nothing new. The time is short, so that
/// replies come often and a dead connection is noticed.
const AWAIT: Duration = Duration::from_secs(1);

/// How long any reply may take. The driver would wait forever for a server that hangs; with this
/// limit, reading continues at another member within 15 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// A cursor on one member's oplog, placed where reading continues.
pub(crate) struct OplogReader {
    /// The member being read, as `host:port`.
    pub host: String,
    cursor: Box<dyn Batches>,
    /// The first batch, when it holds entries to deliver.
    first: Option<EntryBatch>,
    /// How long an answer may take.
    patience: Duration,
}

/// The reply to one find or getMore, kept whole: the entries are slices of it.
#[derive(Debug)]
pub(crate) struct EntryBatch {
    batch: Batch,
    /// The number of entries at the front that were delivered before.
    skip: usize,
}

impl EntryBatch {
    /// Returns the entries' bytes.
    ///
    /// # Errors
    /// Returns [`CaptureError::Unavailable`] when the reply is not a batch of documents.
    pub(crate) fn entries(
        &self,
    ) -> Result<impl Iterator<Item = Result<&[u8], CaptureError>>, CaptureError> {
        let reply = self.batch.read().map_err(|error| bad_reply(&error.to_string()))?;
        let entries =
            reply.items().map(|entry| entry.map_err(|error| bad_reply(&error.to_string())));
        Ok(entries.skip(self.skip))
    }

    /// Drops everything up to and including the given entry. Returns false when the entry is not in
    /// the batch.
    pub(crate) fn go_on_after(&mut self, entry: &ResumeAt) -> bool {
        let is_it = |bytes: &[u8]| {
            let found = Entry::parse(bytes).is_ok_and(|found| found.optime == entry.optime);
            found && entry.digest.is_none_or(|digest| *blake3::hash(bytes).as_bytes() == digest)
        };
        let at = match self.entries() {
            Ok(mut entries) => entries.position(|bytes| bytes.is_ok_and(is_it)),
            Err(_) => None,
        };
        self.skip += at.map_or(0, |at| at + 1);
        at.is_some()
    }

    /// Returns whether nothing new came.
    ///
    /// # Errors
    /// The same as [`EntryBatch::entries`].
    pub(crate) fn is_empty(&self) -> Result<bool, CaptureError> {
        Ok(self.entries()?.next().is_none())
    }

    /// Returns the size of the whole reply in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.batch.as_bytes().len()
    }
}

fn bad_reply(detail: &str) -> CaptureError {
    CaptureError::Unavailable(format!("the source's reply is not a batch of entries: {detail}"))
}

/// The outcome of opening a reader.
pub(crate) enum Opened {
    /// The first entry is the expected one, and reading can continue.
    Reading(Box<OplogReader>),
    /// Reading cannot continue at this member, for the reason given.
    Not(Verdict),
}

impl OplogReader {
    /// Opens the tail at `resume`, and checks that the first entry is the expected one.
    ///
    /// # Errors
    /// Returns an error when the member does not answer in time or refuses the command.
    pub(crate) async fn open(
        client: &Client,
        host: &str,
        resume: &ResumeAt,
        pace: Pace,
    ) -> Result<Opened, CaptureError> {
        let doing = format!("open the oplog of {host}");
        within(&doing, pace.patience(), Self::open_and_judge(client, host, resume, pace)).await
    }

    async fn open_and_judge(
        client: &Client,
        host: &str,
        resume: &ResumeAt,
        pace: Pace,
    ) -> Result<Opened, CaptureError> {
        let mut reader = Self::tail(client, host, resume.optime, pace).await?;
        let batch = reader.next_batch().await?;
        let first = match &batch {
            Some(batch) => first_entry(batch)?,
            None => None,
        };
        let ends = match first {
            Some(first) if first.optime == resume.optime => None,
            _ => Some(oplog_ends(client, host).await?),
        };
        let verdict = judge(resume, first, ends);
        if verdict != Verdict::Continue {
            return Ok(Opened::Not(verdict));
        }
        let skip = usize::from(!resume.deliver);
        reader.first = batch.map(|batch| EntryBatch { skip, ..batch });
        Ok(Opened::Reading(Box::new(reader)))
    }

    /// Opens the tail at the oldest entry that the member still has. Returns the optime of that
    /// entry too.
    ///
    /// # Errors
    /// Returns an error when the member's oplog is empty or cannot be read.
    pub(crate) async fn open_at_oldest(
        client: &Client,
        host: &str,
        pace: Pace,
    ) -> Result<(Self, OpTime), CaptureError> {
        let oldest = oplog_ends(client, host).await?.oldest;
        let mut reader = Self::tail(client, host, oldest, pace).await?;
        let batch = reader.next_batch().await?;
        let first = batch.as_ref().map(first_entry).transpose()?.flatten();
        let first = first.ok_or_else(|| {
            CaptureError::Unavailable(format!("the oplog of {host} is empty: it is being resynced"))
        })?;
        reader.first = batch;
        Ok((reader, first.optime))
    }

    async fn tail(
        client: &Client,
        host: &str,
        from: OpTime,
        pace: Pace,
    ) -> Result<Self, CaptureError> {
        let ts = bson::Timestamp { time: from.ts.seconds(), increment: from.ts.increment() };
        let mut command = rawdoc! {
            "find": OPLOG,
            "filter": { "ts": { "$gte": ts } },
            "tailable": true,
            "awaitData": true,
            "readConcern": { "level": "majority" },
        };
        if let Some(limit) = pace.entries() {
            command.append(cstr!("batchSize"), i64::from(limit));
        }
        let wait = Wait::Tail { without_news: AWAIT, batch_size: pace.entries() };
        let cursor = client.open("local", command, wait).await.map_err(|failure| {
            CaptureError::from_failure(&format!("read the oplog of {host}"), &failure)
        })?;
        Ok(Self { host: host.to_owned(), cursor, first: None, patience: pace.patience() })
    }

    /// Returns the next batch, which has no entries when nothing new came. None when the server
    /// closed the cursor.
    ///
    /// # Errors
    /// Returns an error when the member does not answer in time or the command failed.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<EntryBatch>, CaptureError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let doing = format!("read on in the oplog of {}", self.host);
        within(&doing, self.patience, async {
            match self.cursor.next().await {
                None => Ok(None),
                Some(Ok(batch)) => Ok(Some(EntryBatch { batch, skip: 0 })),
                Some(Err(failure)) => Err(CaptureError::from_failure(&doing, &failure)),
            }
        })
        .await
    }
}

fn first_entry(batch: &EntryBatch) -> Result<Option<FirstEntry>, CaptureError> {
    let Some(bytes) = batch.entries()?.next() else { return Ok(None) };
    let bytes = bytes?;
    let entry = Entry::parse(bytes).map_err(|error| bad_reply(&error.to_string()))?;
    Ok(Some(FirstEntry { optime: entry.optime, digest: *blake3::hash(bytes).as_bytes() }))
}

/// Returns the oldest and the newest entry of a member's oplog. The newest entry comes from a
/// reverse read and may have unfinished predecessors: it is a bound, and never a place to start
/// from.
///
/// # Errors
/// Returns [`CaptureError::Unavailable`] when the oplog is empty or the member does not answer, and
/// [`CaptureError::Refused`] for missing rights.
pub async fn oplog_ends(client: &Client, host: &str) -> Result<OplogEnds, CaptureError> {
    let doing = format!("read the ends of the oplog of {host}");
    let doing = doing.as_str();
    let end = |direction: i32| async move {
        let command = rawdoc! {
            "find": OPLOG,
            "filter": {},
            "sort": { "$natural": direction },
            "projection": { "ts": 1, "t": 1 },
            "limit": 1,
        };
        let found = client.documents("local", command).await;
        let found = found.map_err(|failure| CaptureError::from_failure(doing, &failure))?;
        found.first().and_then(|entry| optime(entry)).ok_or_else(|| {
            CaptureError::Unavailable(format!("the oplog of {host} is empty: it is being resynced"))
        })
    };
    within(doing, ANSWER_TIMEOUT, async {
        Ok(OplogEnds { oldest: end(1).await?, newest: end(-1).await? })
    })
    .await
}

/// Reads `ts` and `t` of an entry. An entry without `t` has term -1.
fn optime(entry: &[u8]) -> Option<OpTime> {
    Doc::new(entry).and_then(OpTime::of_entry).ok()
}
