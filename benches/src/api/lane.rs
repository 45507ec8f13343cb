//! Writers, each for a collection or for a part of one.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, Timestamp, doc};
use mongodb::{Client, Database};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::writes::{DATABASE, collection_name, id_of};

/// The field `n` of a document is a random number below this.
pub const N_BELOW: i32 = 1000;

/// The most writes of one command.
pub(super) const BATCH: u32 = 500;
/// One document in this many is updated more often.
const HOT: u32 = 100;
/// One document in this many is deleted at any time.
const DEAD: u32 = 100;

/// The time by which the writes of a command became visible.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The number of the collection.
    pub collection: u32,
    /// The operation time of the command.
    pub time: Timestamp,
    /// How many writes the command made.
    pub writes: u32,
}

/// One writer for a collection, or for a part of one.
#[derive(Debug)]
pub(super) struct Lane {
    database: Database,
    pub(super) collection: u32,
    /// The number of the lane's first document within the collection.
    first: u32,
    pub(super) inserted: u32,
    /// For each document, whether it exists now.
    pub(super) alive: Vec<bool>,
    /// The documents that were deleted, in the order of their deletion.
    dead: VecDeque<u32>,
    random: SmallRng,
    pub(super) marks: Vec<Mark>,
}

impl Lane {
    pub(super) fn new(client: &Client, collection: u32, first: u32, size: u32) -> Self {
        Self {
            database: client.database(DATABASE),
            collection,
            first,
            inserted: 0,
            alive: vec![false; size as usize],
            dead: VecDeque::new(),
            random: SmallRng::seed_from_u64((u64::from(collection) << 32) | u64::from(first)),
            marks: Vec::new(),
        }
    }

    pub(super) fn size(&self) -> u32 {
        u32::try_from(self.alive.len()).expect("it was made of one")
    }

    fn id(&self, nth: u32) -> ObjectId {
        id_of(self.collection, u64::from(self.first + nth))
    }

    /// Inserts the next documents that have never existed.
    pub(super) async fn insert_new(&mut self) -> Result<()> {
        let end = self.size().min(self.inserted + BATCH);
        let documents = (self.inserted..end).map(|nth| self.insert_of(nth)).collect();
        self.inserted = end;
        self.run("insert", "documents", documents).await
    }

    /// Makes 18 updates, a delete and up to one insert for each of `twentieths`. Returns how many
    /// writes were made.
    pub(super) async fn change(&mut self, twentieths: u32) -> Result<u32> {
        let updates: Vec<Bson> = (0..18 * twentieths).map(|_| self.update_any()).collect();
        let deletes: Vec<Bson> = (0..twentieths).map(|_| self.delete_any()).collect();
        let mut inserts = Vec::new();
        while inserts.len() < twentieths as usize
            && self.dead.len() > self.alive.len() / DEAD as usize
        {
            let Some(nth) = self.dead.pop_front() else { break };
            inserts.push(self.insert_of(nth));
        }
        let made = updates.len() + deletes.len() + inserts.len();
        self.run("update", "updates", updates).await?;
        self.run("delete", "deletes", deletes).await?;
        self.run("insert", "documents", inserts).await?;
        Ok(u32::try_from(made)?)
    }

    /// Updates each of `count` documents once.
    pub(super) async fn touch(&mut self, count: usize) -> Result<()> {
        let there: Vec<u32> = (0..self.size()).filter(|nth| self.alive[*nth as usize]).collect();
        ensure!(count > 0 && there.len() >= count, "{} documents of {count}", there.len());
        let chosen: Vec<u32> =
            there.iter().step_by(there.len() / count).take(count).copied().collect();
        for some in chosen.chunks(BATCH as usize) {
            let updates = some.iter().map(|nth| self.update_of(*nth)).collect();
            self.run("update", "updates", updates).await?;
        }
        Ok(())
    }

    async fn run(&mut self, command: &str, field: &str, writes: Vec<Bson>) -> Result<()> {
        let count = u32::try_from(writes.len())?;
        if count == 0 {
            return Ok(());
        }
        let name = collection_name(self.collection);
        let command = doc! {command: name, field: writes, "ordered": true};
        let reply = self.database.run_command(command).await?;
        let done = reply.get_i32("n")?;
        ensure!(u32::try_from(done)? == count, "{done} of {count} writes were made: {reply}");
        let time = reply.get_timestamp("operationTime")?;
        self.marks.push(Mark { collection: self.collection, time, writes: count });
        Ok(())
    }

    fn any_alive(&mut self) -> u32 {
        let size = self.size();
        loop {
            let nth = match self.random.random_range(0..10) {
                0 => self.random.random_range(0..size.div_ceil(HOT)) * HOT,
                _ => self.random.random_range(0..size),
            };
            if self.alive[nth as usize] {
                return nth;
            }
        }
    }

    fn update_any(&mut self) -> Bson {
        let nth = self.any_alive();
        self.update_of(nth)
    }

    /// Returns an update that never sets the values that are already there, because that would
    /// write nothing.
    fn update_of(&mut self, nth: u32) -> Bson {
        let set = doc! {"total": self.random.random::<i64>(), "state": "shipped"};
        doc! {"q": {"_id": self.id(nth)}, "u": {"$set": set}}.into()
    }

    fn delete_any(&mut self) -> Bson {
        let nth = self.any_alive();
        self.alive[nth as usize] = false;
        self.dead.push_back(nth);
        doc! {"q": {"_id": self.id(nth)}, "limit": 1}.into()
    }

    fn insert_of(&mut self, nth: u32) -> Bson {
        self.alive[nth as usize] = true;
        order(self.id(nth), &mut self.random).into()
    }
}

fn order(id: ObjectId, random: &mut SmallRng) -> Document {
    let mut item = || {
        let sku = format!("sku-{:06}", random.random_range(0..1_000_000));
        doc! {"sku": sku, "count": random.random_range(1..10)}
    };
    let items = [item(), item()].map(Bson::from).to_vec();
    doc! {
        "_id": id,
        "customer": format!("customer-{}", random.random_range(0..100_000)),
        "n": random.random_range(0..N_BELOW),
        "total": random.random::<i64>(),
        "state": "open",
        "placed": DateTime::from_millis(random.random_range(0..1_700_000_000_000)),
        "items": items,
        "note": format!("as agreed {:032x}", random.random::<u128>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_of_a_realistic_size() {
        let mut random = SmallRng::seed_from_u64(1);
        for _ in 0..100 {
            let bytes = order(ObjectId::new(), &mut random).to_vec().expect("BSON").len();
            assert!((150..=300).contains(&bytes), "{bytes} bytes");
        }
    }
}
