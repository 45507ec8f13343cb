//! A long past: documents in twenty collections, and what happened to them since.
//!
//! Half of the documents are in the first collection, a hundredth is in the second, the others
//! share the rest. They are inserted, and then 90 % of the writes are deltas, 5 % deletes, 5 %
//! inserts of what was deleted long before. One update of ten is of one document of a hundred. Of a
//! document only whether it is there is remembered.

use anyhow::{Context, Result, ensure};
use bson::Timestamp;
use futures_util::future::try_join_all;
use mongodb::Client;

use super::draw::Draw;
use super::lane::{BATCH, Lane, Mark};

pub const COLLECTIONS: u32 = 20;
/// The collection of half of the documents.
pub const LARGE: u32 = 0;
/// The collection of a hundredth of them.
pub const SMALL: u32 = 1;
/// Fewer documents than this and some collection has too few to delete from.
pub const LEAST_DOCUMENTS: usize = 20_000;

/// Writers of the large collection, so that it is written as fast as all others together.
const LARGE_LANES: u32 = 10;
/// Writes until every collection is as far as the others.
const ROUND: usize = 100_000;

/// All that was written, and the writers of more.
#[derive(Debug)]
pub struct Past {
    lanes: Vec<Lane>,
    documents: usize,
}

impl Past {
    /// Nothing is written yet.
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

    /// Inserts every document once, after each collection has its first ones.
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

    /// Makes about `count` writes to the documents there are.
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

    /// 20 writes to each of `lanes` of the writers, from the one after the last that was asked.
    /// Returns how many, and the newest time.
    pub async fn change_some(&mut self, lanes: usize) -> Result<(u32, Timestamp)> {
        let lanes = lanes.min(self.lanes.len());
        self.lanes.rotate_left(lanes);
        let changing = self.lanes[..lanes].iter_mut().map(|lane| lane.change(1));
        let made = try_join_all(changing).await?.into_iter().sum();
        Ok((made, self.newest()?))
    }

    /// Updates `count` different documents of a collection, spread over all of it. Returns the
    /// newest time before, and the newest one after.
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

    /// The newest time that something was written at.
    pub fn newest(&self) -> Result<Timestamp> {
        let newest = self.lanes.iter().filter_map(|lane| lane.marks.last()).map(|mark| mark.time);
        newest.max().context("nothing was written")
    }

    /// All commands by time.
    pub fn marks(&self) -> Vec<Mark> {
        let marks = self.lanes.iter().flat_map(|lane| &lane.marks);
        let mut marks: Vec<Mark> = marks.copied().collect();
        marks.sort_unstable_by_key(|mark| mark.time);
        marks
    }

    /// How many documents were once inserted into a collection.
    pub fn size(&self, collection: u32) -> usize {
        let lanes = self.lanes.iter().filter(|lane| lane.collection == collection);
        lanes.map(|lane| lane.alive.len()).sum()
    }

    /// All writes.
    pub fn written(&self) -> u64 {
        self.lanes.iter().flat_map(|lane| &lane.marks).map(|mark| u64::from(mark.writes)).sum()
    }

    /// Questions about everything until now.
    pub fn draw(&self) -> Result<Draw> {
        let firsts = self.lanes.iter().filter_map(|lane| lane.marks.first());
        let since = firsts.map(|mark| mark.time).max().context("nothing was written")?;
        let times = self.marks().into_iter().map(|mark| mark.time).filter(|time| *time >= since);
        Ok(Draw::new(sizes(u32::try_from(self.documents)?), times.collect(), since))
    }
}

/// How many documents each collection holds.
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
