//! Random questions about a past.

use std::sync::Arc;

use bson::Timestamp;
use bson::oid::ObjectId;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::writes::{collection_name, id_of};

/// Random documents, and random times from which on there are all collections.
#[derive(Debug, Clone)]
pub struct Draw {
    random: SmallRng,
    since: Timestamp,
    sizes: Arc<[u32]>,
    times: Arc<[Timestamp]>,
}

impl Draw {
    /// About collections of these sizes, at these times and from `since` on.
    pub(super) fn new(sizes: Vec<u32>, times: Vec<Timestamp>, since: Timestamp) -> Self {
        let random = SmallRng::seed_from_u64(7);
        Self { random, since, sizes: sizes.into(), times: times.into() }
    }

    /// The same questions in another order.
    pub fn another(&self, seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), ..self.clone() }
    }

    /// A collection, and the `_id` of a document that was once inserted there; every one is as
    /// likely.
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

    pub fn collection(&mut self) -> String {
        collection_name(self.below(self.sizes.len() as u32))
    }

    /// Any increment up to one of the writes' in its second.
    pub fn time(&mut self) -> Timestamp {
        let mut time = self.times[self.random.random_range(0..self.times.len())];
        time.increment = self.random.random_range(1..=time.increment);
        time.max(self.since)
    }

    pub fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }
}

/// As requests spell it.
pub fn spelled(time: Timestamp) -> String {
    format!("{},{}", time.time, time.increment)
}
