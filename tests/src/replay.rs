//! Has a mongod apply oplog entries, as an independent judge of what a restore should hold.
//!
//! The entries after a time T0 are put into the oplog of a copy of a member's files, taken at T0.
//! Started with `recoverFromOplogAsStandalone`, the server applies everything that its oplog holds
//! past the stable checkpoint, with the code by which members apply each other's entries. No code
//! of ours interprets an entry.

use anyhow::{Context, Result, ensure};
use bson::{RawDocumentBuf, Timestamp, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Collection};

use crate::mongod::{Mongod, MongodOptions};
use crate::replica_set::last_timestamp;

/// The bytes of the length with which a document begins.
const LENGTH_BYTES: usize = 4;
/// The bytes of type, name and value of an `_id` that is an ObjectId.
const ID_BYTES: usize = 1 + "_id\0".len() + 12;

/// A growing list of entries, and the files on which they are replayed.
#[derive(Debug)]
pub struct Replay {
    /// A server that runs only while entries are put in. It never applies an entry, so each replay
    /// begins at T0.
    stage: Mongod,
    start: Timestamp,
    entries: Vec<RawDocumentBuf>,
}

impl Replay {
    /// Copies the files of a member, which must have been stopped cleanly. T0 is the end of the
    /// member's oplog.
    pub async fn from_files_of(stopped: &Mongod) -> Result<Self> {
        let mut stage = Mongod::on_copy_of(stopped, &options()).await?;
        let start = last_timestamp(&stage.client().await?).await?;
        stage.stop().await?;
        Ok(Self { stage, start, entries: Vec::new() })
    }

    /// Returns T0.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Returns how many entries were added.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if no entry was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the next entries, exactly as they came from the source.
    pub async fn add(&mut self, entries: &[RawDocumentBuf]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.stage.restart().await?;
        oplog(&self.stage.client().await?).insert_many(entries).await?;
        self.stage.stop().await?;
        self.entries.extend_from_slice(entries);
        Ok(())
    }

    /// Starts a server that has applied all entries added so far. The server is read-only.
    pub async fn server(&self) -> Result<Mongod> {
        let options = options().parameter("recoverFromOplogAsStandalone", "true");
        let server = Mongod::on_copy_of(&self.stage, &options).await?;
        self.check_oplog(&server.client().await?).await.context("the replaying server's oplog")?;
        Ok(server)
    }

    /// Checks that the server replayed the source's entries and no others, unchanged except for the
    /// `_id` that every inserted document gets at its front.
    async fn check_oplog(&self, client: &Client) -> Result<()> {
        let mut stored = oplog(client).find(doc! {"ts": {"$gt": self.start}}).await?;
        for entry in &self.entries {
            let stored = stored.try_next().await?.context("it ends early")?;
            ensure!(
                stored.as_bytes().get(LENGTH_BYTES + ID_BYTES..)
                    == entry.as_bytes().get(LENGTH_BYTES..),
                "it holds {stored:?} for {entry:?}"
            );
        }
        ensure!(stored.try_next().await?.is_none(), "it goes on past the last entry");
        Ok(())
    }
}

/// Returns the source's entries later than `after`, up to and including `through`, in order.
pub async fn entries(
    source: &Client,
    after: Timestamp,
    through: Timestamp,
) -> Result<Vec<RawDocumentBuf>> {
    let range = doc! {"ts": {"$gt": after, "$lte": through}};
    let cursor = oplog(source).find(range).sort(doc! {"$natural": 1}).await?;
    Ok(cursor.try_collect().await?)
}

fn oplog(client: &Client) -> Collection<RawDocumentBuf> {
    client.database("local").collection("oplog.rs")
}

/// The options of a server that writes nothing by itself.
fn options() -> MongodOptions {
    MongodOptions::default()
        .parameter("ttlMonitorEnabled", "false")
        .parameter("disableLogicalSessionCacheRefresh", "true")
}
