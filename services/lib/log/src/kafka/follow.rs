//! Following the topic: what was read of it, and where its segments lie.

use hindsight_segment::{SegmentInfo, Sequence};

use super::chain::{Break, Chain};
use super::gather::Place;
use super::topic::{Record, Topic};
use crate::error::{Damage, LogError};

/// The log as far as it was read.
pub(super) struct Follower {
    pub(super) chain: Chain,
    /// The offset to go on from.
    pub(super) next: i64,
    /// Without holes: the segment with sequence n is at n - 1.
    pub(super) places: Vec<Place>,
}

impl Follower {
    /// Nothing was read yet of a topic that begins at that offset.
    pub(super) fn new(first: i64) -> Self {
        Self { chain: Chain::default(), next: first, places: Vec::new() }
    }

    pub(super) fn take(&mut self, record: Record) {
        self.next = record.offset + 1;
        let accepted = self.chain.take(record.offset, record.head, record.value);
        if let Some(accepted) = accepted {
            debug_assert_eq!(accepted.info.sequence().0 as usize, self.places.len() + 1);
            self.places.push(accepted.place);
        }
    }

    /// An error when the log cannot go on from where it ends.
    pub(super) fn check(&self, topic: &Topic) -> Result<(), LogError> {
        let Some(Break { offset, damage }) = self.chain.broken() else { return Ok(()) };
        let place = topic.place_of(*offset);
        Err(match damage.clone() {
            Damage::Segment(error) => LogError::of_segment(place, error),
            damage => LogError::corrupt(place, damage),
        })
    }

    pub(super) fn place(&self, sequence: Sequence) -> Option<Place> {
        self.places.get(index_of(sequence)).copied()
    }

    /// Whether the log ends with this very segment.
    pub(super) fn ends_with(&self, info: &SegmentInfo) -> bool {
        self.chain.end().is_some_and(|end| end.digest == info.digest)
    }
}

/// Where a sequence stands in the list; nowhere, for one that cannot be.
pub(super) fn index_of(sequence: Sequence) -> usize {
    usize::try_from(sequence.0.wrapping_sub(1)).unwrap_or(usize::MAX)
}
