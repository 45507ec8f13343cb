//! Draws random questions about a past.

use std::sync::Arc;

use bson::Timestamp;
use bson::oid::ObjectId;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::writes::{collection_name, id_of};

/// Draws random documents, and random times at which all collections exist.
#[derive(Debug, Clone)]
pub struct Draw {
    random: SmallRng,
    since: Timestamp,
    sizes: Arc<[u32]>,
    times: Arc<[Timestamp]>,
}

impl Draw {
    /// Draws from collections of these sizes, at these times, from `since` on.
    pub(super) fn new(sizes: Vec<u32>, times: Vec<Timestamp>, since: Timestamp) -> Self {
        let random = SmallRng::seed_from_u64(7);
        Self { random, since, sizes: sizes.into(), times: times.into() }
    }

    /// Returns a draw from the same questions in another order.
    pub fn another(&self, seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), ..self.clone() }
    }

    /// Returns a collection, and the `_id` of a document that was once inserted there. Every
    /// document is equally likely.
    pub fn document(&mut self) -> (String, ObjectId) {
        let mut nth = self.random.random_range(0..self.sizes.iter().sum());
        for (collection, size) in (0..).zip(self.sizes.iter()) {
            if nth < *size {
                return (collection_name(collection), id_of(collection, u64::from(nth)));
            }
            nth -= size;
        }
        unreachable!("it is less than the sum")
    }

    /// Returns any collection.
    pub fn collection(&mut self) -> String {
        collection_name(self.below(self.sizes.len() as u32))
    }

    /// Returns the second of a write, with any increment up to that of the write.
    pub fn time(&mut self) -> Timestamp {
        let mut time = self.times[self.random.random_range(0..self.times.len())];
        time.increment = self.random.random_range(1..=time.increment);
        time.max(self.since)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }
}

/// Writes a time as requests spell it.
pub fn spelled(time: Timestamp) -> String {
    format!("{},{}", time.time, time.increment)
}
