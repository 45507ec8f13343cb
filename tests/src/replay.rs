//! What a mongod makes of oplog entries: an independent judge of what a restore should hold.
//!
//! A copy of a member's files, taken at a time T0, gets the entries after T0 into its own oplog.
//! Started with `recoverFromOplogAsStandalone`, the server applies all that its oplog holds past
//! its stable checkpoint, by the code with which members apply each other's entries. Nothing of
//! ours interprets an entry.

use anyhow::{Context, Result, ensure};
use bson::{RawDocumentBuf, Timestamp, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Collection};

use crate::mongod::{Mongod, MongodOptions};
use crate::replica_set::last_timestamp;

/// A document begins with its length, in so many bytes.
const LENGTH_BYTES: usize = 4;
/// Type, name and value of an `_id` that is an ObjectId.
const ID_BYTES: usize = 1 + "_id\0".len() + 12;

/// Entries that grow at their end, and the files from which they are replayed.
#[derive(Debug)]
pub struct Replay {
    /// Stopped but while entries are put in; it never applies any, so that each replay begins at
    /// T0.
    stage: Mongod,
    start: Timestamp,
    entries: Vec<RawDocumentBuf>,
}

impl Replay {
    /// T0 is the end of this member's oplog, which must have been stopped cleanly.
    pub async fn from_files_of(stopped: &Mongod) -> Result<Self> {
        let mut stage = Mongod::on_copy_of(stopped, &options()).await?;
        let start = last_timestamp(&stage.client().await?).await?;
        stage.stop().await?;
        Ok(Self { stage, start, entries: Vec::new() })
    }

    /// T0.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// How many entries were added.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the entries that follow, just as they came from the source.
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

    /// A server that has applied all entries added so far; it can only be read.
    pub async fn server(&self) -> Result<Mongod> {
        let options = options().parameter("recoverFromOplogAsStandalone", "true");
        let server = Mongod::on_copy_of(&self.stage, &options).await?;
        self.check_oplog(&server.client().await?).await.context("the replaying server's oplog")?;
        Ok(server)
    }

    /// That it replayed the source's entries and no others, with nothing changed but for the `_id`
    /// that every inserted document gets in front.
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

/// The entries of a source after one time through another, in order.
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

/// A server that writes nothing by itself.
fn options() -> MongodOptions {
    MongodOptions::default()
        .parameter("ttlMonitorEnabled", "false")
        .parameter("disableLogicalSessionCacheRefresh", "true")
}
