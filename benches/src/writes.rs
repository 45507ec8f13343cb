//! The writes: 60 % inserts, 30 % `$set`, 10 % deletes, over four collections; an oplog entry takes about 440 bytes.

use anyhow::{Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use mongodb::{Client, Database};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub const DATABASE: &str = "bench";
pub const COLLECTIONS: u32 = 4;

/// Writes to one collection, the same in every run.
#[derive(Debug)]
pub struct Writer {
    database: Database,
    collection: String,
    number: u32,
    random: SmallRng,
    live: Vec<ObjectId>,
    made: u64,
}

impl Writer {
    pub fn new(client: &Client, number: u32) -> Self {
        Self {
            database: client.database(DATABASE),
            collection: format!("documents{number}"),
            number,
            random: SmallRng::seed_from_u64(u64::from(number)),
            live: Vec::new(),
            made: 0,
        }
    }

    /// Makes `tens` × 10 writes in three commands: 6 inserts, 3 updates and a delete for each ten.
    pub async fn write(&mut self, tens: usize) -> Result<usize> {
        let documents: Vec<Bson> = (0..6 * tens).map(|_| self.document().into()).collect();
        self.run("insert", "documents", documents).await?;
        let updates = (0..3 * tens).map(|_| self.update().into()).collect();
        self.run("update", "updates", updates).await?;
        let deletes = (0..tens).map(|_| self.delete().into()).collect();
        self.run("delete", "deletes", deletes).await?;
        Ok(10 * tens)
    }

    async fn run(&self, command: &str, field: &str, writes: Vec<Bson>) -> Result<()> {
        let count = writes.len();
        let command = doc! {command: &self.collection, field: writes, "ordered": true};
        let reply = self.database.run_command(command).await?;
        let done = reply.get_i32("n")?;
        ensure!(usize::try_from(done)? == count, "{done} of {count} writes were made: {reply}");
        Ok(())
    }

    fn document(&mut self) -> Document {
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.number.to_be_bytes());
        id[4..].copy_from_slice(&self.made.to_be_bytes());
        self.made += 1;
        let id = ObjectId::from_bytes(id);
        self.live.push(id);
        let random = &mut self.random;
        // Half of it is hard to compress.
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
        // Never what is there already: that would write nothing.
        let set = doc! {"total": self.random.random::<i64>(), "state": "shipped"};
        doc! {"q": {"_id": id}, "u": {"$set": set}}
    }

    fn delete(&mut self) -> Document {
        let at = self.random.random_range(0..self.live.len());
        let id = self.live.swap_remove(at);
        doc! {"q": {"_id": id}, "limit": 1}
    }
}
