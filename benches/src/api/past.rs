//! A long past: documents in twenty collections, and what has happened to them.
//!
//! Half of the documents are in the first collection, a hundredth is in the second, and the other
//! collections share the rest. After the documents are inserted, 90 % of the writes are deltas, 5 %
//! are deletes, and 5 % are inserts of documents that were deleted long before. One update in ten
//! goes to one document in a hundred. For each document, only its existence is remembered.

use anyhow::{Context, Result, ensure};
use bson::Timestamp;
use futures_util::future::try_join_all;
use mongodb::Client;

use super::draw::Draw;
use super::lane::{BATCH, Lane, Mark};

/// The number of collections.
pub const COLLECTIONS: u32 = 20;
/// The number of the collection with half of the documents.
pub const LARGE: u32 = 0;
/// The number of the collection with a hundredth of the documents.
pub const SMALL: u32 = 1;
/// With fewer documents than this, some collection has too few to delete from.
pub const LEAST_DOCUMENTS: usize = 20_000;

/// The number of writers of the large collection, which is then written as fast as all others
/// together.
const LARGE_LANES: u32 = 10;
/// After this many writes, every collection has its share of them.
const ROUND: usize = 100_000;

/// Everything that was written, and the writers that write more.
#[derive(Debug)]
pub struct Past {
    lanes: Vec<Lane>,
    documents: usize,
}

impl Past {
    /// Prepares the writers. Nothing is written yet.
    pub fn new(client: &Client, documents: usize) -> Result<Self> {
        ensure!(documents >= LEAST_DOCUMENTS, "at least {LEAST_DOCUMENTS} documents");
        let mut lanes = Vec::new();
        for (collection, size) in (0..).zip(sizes(u32::try_from(documents)?)) {
            let parts = if collection == LARGE { LARGE_LANES } else { 1 };
            for part in 0..parts {
                let (first, end) = (size / parts * part, size / parts * (part + 1));
                let end = if part + 1 == parts { size } else { end };
                lanes.push(Lane::new(client, collection, first, end - first));
            }
        }
        Ok(Self { lanes, documents })
    }

    /// Inserts every document once. Each collection gets its first documents before the others
    /// follow.
    pub async fn insert_all(&mut self) -> Result<()> {
        try_join_all(self.lanes.iter_mut().map(Lane::insert_new)).await?;
        let inserting = self.lanes.iter_mut().map(|lane| async move {
            while lane.inserted < lane.size() {
                lane.insert_new().await?;
            }
            Ok::<(), anyhow::Error>(())
        });
        try_join_all(inserting).await?;
        Ok(())
    }

    /// Makes about `count` writes to the existing documents.
    pub async fn change_all(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let round = left.min(ROUND);
            let documents = self.documents;
            let changing = self.lanes.iter_mut().map(|lane| async move {
                let mut share = u32::try_from(round * lane.alive.len() / documents)?;
                while share > 0 {
                    let made = lane.change(share.min(BATCH).div_ceil(20)).await?;
                    share = share.saturating_sub(made);
                }
                Ok::<(), anyhow::Error>(())
            });
            try_join_all(changing).await?;
            left -= round;
        }
        Ok(())
    }

    /// Makes 20 writes with each of the next `lanes` writers, which take turns. Returns how many
    /// writes were made, and the newest time.
    pub async fn change_some(&mut self, lanes: usize) -> Result<(u32, Timestamp)> {
        let lanes = lanes.min(self.lanes.len());
        self.lanes.rotate_left(lanes);
        let changing = self.lanes[..lanes].iter_mut().map(|lane| lane.change(1));
        let made = try_join_all(changing).await?.into_iter().sum();
        Ok((made, self.newest()?))
    }

    /// Updates `count` different documents, spread over the whole collection. Returns the newest
    /// times before and after the updates.
    pub async fn touch(&mut self, collection: u32, count: usize) -> Result<(Timestamp, Timestamp)> {
        let before = self.newest()?;
        let lanes = self.lanes.iter_mut().filter(|lane| lane.collection == collection);
        let lanes: Vec<&mut Lane> = lanes.collect();
        let share = count / lanes.len();
        for lane in lanes {
            lane.touch(share).await?;
        }
        Ok((before, self.newest()?))
    }

    /// Returns the newest time at which something was written.
    pub fn newest(&self) -> Result<Timestamp> {
        let newest = self.lanes.iter().filter_map(|lane| lane.marks.last()).map(|mark| mark.time);
        newest.max().context("nothing was written")
    }

    /// Returns all commands by time.
    pub fn marks(&self) -> Vec<Mark> {
        let marks = self.lanes.iter().flat_map(|lane| &lane.marks);
        let mut marks: Vec<Mark> = marks.copied().collect();
        marks.sort_unstable_by_key(|mark| mark.time);
        marks
    }

    /// Returns how many documents were once inserted into a collection.
    pub fn size(&self, collection: u32) -> usize {
        let lanes = self.lanes.iter().filter(|lane| lane.collection == collection);
        lanes.map(|lane| lane.alive.len()).sum()
    }

    /// Returns the number of all writes.
    pub fn written(&self) -> u64 {
        self.lanes.iter().flat_map(|lane| &lane.marks).map(|mark| u64::from(mark.writes)).sum()
    }

    /// Returns questions about everything that was written so far.
    pub fn draw(&self) -> Result<Draw> {
        let firsts = self.lanes.iter().filter_map(|lane| lane.marks.first());
        let since = firsts.map(|mark| mark.time).max().context("nothing was written")?;
        let times = self.marks().into_iter().map(|mark| mark.time).filter(|time| *time >= since);
        Ok(Draw::new(sizes(u32::try_from(self.documents)?), times.collect(), since))
    }
}

/// Returns how many documents each collection holds.
fn sizes(documents: u32) -> Vec<u32> {
    let (large, small) = (documents / 2, documents / 100);
    let rest = documents - large - small;
    let others = COLLECTIONS - 2;
    let mut sizes = vec![rest / others; COLLECTIONS as usize];
    sizes[LARGE as usize] = large + rest % others;
    sizes[SMALL as usize] = small;
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_has_its_collection() {
        for documents in [20_000, 1_000_000, 1_234_567] {
            let sizes = sizes(documents);
            assert_eq!(sizes.iter().sum::<u32>(), documents);
            assert_eq!(sizes.len(), COLLECTIONS as usize);
            assert!(sizes[LARGE as usize] >= documents / 2);
            assert!(sizes[SMALL as usize] > 100);
        }
    }
}
