//! Sightings of the source's catalog on their way into the log.

use std::sync::{Arc, Mutex, PoisonError};

use hindsight_oplog::Timestamp;
use hindsight_segment::{CatalogSighting, Sightings};

/// The sightings that are not in a segment yet. Clones are handles of the same queue.
#[derive(Debug, Clone, Default)]
pub struct SightingQueue(Arc<Mutex<Vec<CatalogSighting>>>);

impl SightingQueue {
    /// Adds a sighting. A waiting sighting of the same collection is out of date, and is dropped.
    pub(crate) fn push(&self, sighting: CatalogSighting) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|other| other.uuid != sighting.uuid);
        waiting.push(sighting);
    }

    /// Takes the sightings that go into the segment that ends at `last`. A listing may include the
    /// effects of entries up to its end, so the log must hold these entries too. What does not fit
    /// waits for the next segment.
    pub(crate) fn take_for(&self, last: Timestamp) -> Option<Sightings> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ready, later): (Vec<_>, Vec<_>) =
            waiting.drain(..).partition(|sighting| sighting.seen_to <= last);
        let mut ready = ready.into_iter();
        let taken = loop {
            if ready.as_slice().is_empty() {
                break None;
            }
            if let Some((sightings, count)) = Sightings::of(ready.as_slice()) {
                ready.by_ref().take(count).for_each(drop);
                break Some(sightings);
            }
            if let Some(too_large) = ready.next() {
                tracing::warn!(
                    ns = too_large.ns,
                    "its options and indexes are too large to be compared"
                );
            }
        };
        waiting.extend(ready.chain(later));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(number: u8, seen_to: u32, bytes: usize) -> CatalogSighting {
        CatalogSighting {
            uuid: [number; 16],
            ns: "shop.orders".to_owned(),
            seen_from: Timestamp::new(1, 1),
            seen_to: Timestamp::new(seen_to, 1),
            members: vec!["x".repeat(bytes)],
            options: vec![5, 0, 0, 0, 0],
            indexes: Vec::new(),
        }
    }

    fn taken(queue: &SightingQueue, last: u32) -> Vec<u8> {
        let sightings = queue.take_for(Timestamp::new(last, 1));
        let sightings = sightings.map(|it| it.decode().expect("it was just written"));
        sightings.unwrap_or_default().iter().map(|it| it.uuid[0]).collect()
    }

    #[test]
    fn a_sighting_waits_for_the_entries_that_it_may_hold() {
        let queue = SightingQueue::default();
        queue.push(sighting(1, 5, 1));
        queue.push(sighting(2, 9, 1));
        queue.push(sighting(3, 6, 1));
        assert!(taken(&queue, 4).is_empty());
        assert_eq!(taken(&queue, 6), [1, 3]);
        queue.push(sighting(2, 12, 1));
        assert!(taken(&queue, 9).is_empty(), "the older one is out of date");
        assert_eq!(taken(&queue, 12), [2]);
        assert!(taken(&queue, 99).is_empty());
    }

    #[test]
    fn what_is_too_large_is_left_out_and_the_rest_goes_on() {
        let queue = SightingQueue::default();
        queue.push(sighting(1, 5, 40 << 20));
        queue.push(sighting(2, 5, 20 << 20));
        queue.push(sighting(3, 5, 20 << 20));
        assert_eq!(taken(&queue, 5), [2]);
        assert_eq!(taken(&queue, 5), [3]);
        assert!(taken(&queue, 5).is_empty());
    }
}
