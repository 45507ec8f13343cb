//! The writes of the benches: 60 % inserts, 30 % `$set` and 10 % deletes, over four collections. An
//! oplog entry takes about 440 bytes.

use anyhow::{Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, Document, Timestamp, doc};
use futures_util::future::try_join_all;
use mongodb::{Client, Database};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The database that is written to.
pub const DATABASE: &str = "bench";
/// The number of collections.
pub const COLLECTIONS: u32 = 4;

/// Tens of writes in one group, which has 300 inserts, 150 updates and 50 deletes.
const TENS: usize = 50;

/// Returns one writer for each collection.
pub fn writers(client: &Client) -> Vec<Writer> {
    (0..COLLECTIONS).map(|number| Writer::new(client, number)).collect()
}

/// Makes at least `count` writes as fast as the server takes them. Returns how many were made.
pub async fn write_all(writers: &mut [Writer], count: usize) -> Result<usize> {
    let share = count.div_ceil(writers.len());
    let writing = writers.iter_mut().map(|writer| async move {
        let mut made = 0;
        while made < share {
            made += writer.write(TENS).await?;
        }
        Ok::<usize, anyhow::Error>(made)
    });
    Ok(try_join_all(writing).await?.into_iter().sum())
}

/// Returns the name of a writer's collection.
pub fn collection_name(number: u32) -> String {
    format!("documents{number}")
}

/// Returns the `_id` of the `nth` document that a writer inserts.
pub fn id_of(number: u32, nth: u64) -> ObjectId {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id[4..].copy_from_slice(&nth.to_be_bytes());
    ObjectId::from_bytes(id)
}

/// Writes to one collection. The writes are the same in every run.
#[derive(Debug)]
pub struct Writer {
    database: Database,
    collection: String,
    number: u32,
    random: SmallRng,
    live: Vec<ObjectId>,
    inserted: u64,
    times: Vec<Timestamp>,
}

impl Writer {
    /// Makes the writer of a collection.
    pub fn new(client: &Client, number: u32) -> Self {
        Self {
            database: client.database(DATABASE),
            collection: collection_name(number),
            number,
            random: SmallRng::seed_from_u64(u64::from(number)),
            live: Vec::new(),
            inserted: 0,
            times: Vec::new(),
        }
    }

    /// Returns how many documents were inserted, including those that were deleted later.
    pub fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Returns the operation time of each command.
    pub fn times(&self) -> &[Timestamp] {
        &self.times
    }

    /// Inserts `count` documents.
    pub async fn insert(&mut self, count: usize) -> Result<()> {
        let documents: Vec<Bson> = (0..count).map(|_| self.document().into()).collect();
        self.run("insert", "documents", documents).await
    }

    /// Makes `tens` × 10 writes in three commands: 6 inserts, 3 updates and a delete for each ten.
    /// Returns how many were made.
    pub async fn write(&mut self, tens: usize) -> Result<usize> {
        self.insert(6 * tens).await?;
        let updates = (0..3 * tens).map(|_| self.update().into()).collect();
        self.run("update", "updates", updates).await?;
        let deletes = (0..tens).map(|_| self.delete().into()).collect();
        self.run("delete", "deletes", deletes).await?;
        Ok(10 * tens)
    }

    async fn run(&mut self, command: &str, field: &str, writes: Vec<Bson>) -> Result<()> {
        let count = writes.len();
        let command = doc! {command: &self.collection, field: writes, "ordered": true};
        let reply = self.database.run_command(command).await?;
        let done = reply.get_i32("n")?;
        ensure!(usize::try_from(done)? == count, "{done} of {count} writes were made: {reply}");
        self.times.push(reply.get_timestamp("operationTime")?);
        Ok(())
    }

    fn document(&mut self) -> Document {
        let id = id_of(self.number, self.inserted);
        self.inserted += 1;
        self.live.push(id);
        let random = &mut self.random;
        // Half of the document is hard to compress.
        let noise: String = (0..12).map(|_| format!("{:016x}", random.random::<u64>())).collect();
        doc! {
            "_id": id,
            "customer": format!("customer-{}", random.random_range(0..100_000)),
            "n": random.random_range(0..1000_i32),
            "total": random.random::<i64>(),
            "state": "open",
            "paid": false,
            "items": [random.random::<i64>(), random.random::<i64>(), random.random::<i64>()],
            "noise": noise,
            "note": "as agreed ".repeat(13),
        }
    }

    fn update(&mut self) -> Document {
        let id = self.live[self.random.random_range(0..self.live.len())];
        // Never set the values that are already there, because that would write nothing.
        let set = doc! {"total": self.random.random::<i64>(), "state": "shipped"};
        doc! {"q": {"_id": id}, "u": {"$set": set}}
    }

    fn delete(&mut self) -> Document {
        let at = self.random.random_range(0..self.live.len());
        let id = self.live.swap_remove(at);
        doc! {"q": {"_id": id}, "limit": 1}
    }
}
