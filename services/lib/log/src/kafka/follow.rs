//! Follows the topic: what was read of it, and where its segments lie.

use std::sync::Arc;

use hindsight_segment::{SegmentInfo, Sequence};

use super::chain::{Accepted, Break, Chain};
use super::gather::Place;
use super::landmarks::Landmarks;
use super::record::Attempt;
use super::topic::{Record, Topic};
use crate::error::{Damage, LogError};

/// What is known of a topic up to and including its last segment.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) chain: Chain,
    pub(super) places: Vec<Place>,
}

/// The log as far as it was read.
pub(super) struct Follower {
    pub(super) chain: Chain,
    /// The offset of the next record to read.
    pub(super) next: i64,
    /// Without holes: the segment with sequence n is at n - 1.
    pub(super) places: Vec<Place>,
    /// Notes what is found. Without landmarks the next opening takes longer, and nothing else
    /// changes.
    landmarks: Option<Landmarks>,
}

impl Follower {
    /// Continues a chain that was read before, or begins with an empty chain at the first record.
    pub(super) fn new(known: Option<Known>, landmarks: Option<Landmarks>) -> Self {
        let Known { chain, places } = known.unwrap_or_default();
        let next = places.last().map_or(0, |place| place.last + 1);
        Self { chain, next, places, landmarks }
    }

    pub(super) fn take(&mut self, record: Record) {
        self.next = record.offset + 1;
        let before = (self.chain.epoch(), self.chain.bases().len());
        let accepted = self.chain.take(record.offset, record.head, record.value);
        let after = (self.chain.epoch(), self.chain.bases().len());
        if before.0 != after.0 {
            self.note(|landmarks| landmarks.claim(record.offset));
        }
        if before.1 != after.1 {
            self.note(|landmarks| landmarks.base(record.offset));
        }
        if let Some(accepted) = accepted {
            self.hold(&accepted);
        }
    }

    /// The same as [`Follower::take`], for all records of a segment that this process appended.
    /// Returns false when the records have to be read.
    pub(super) fn take_own(
        &mut self,
        attempt: Attempt,
        info: &Arc<SegmentInfo>,
        place: Place,
    ) -> bool {
        if place.first != self.next {
            return false;
        }
        let Some(accepted) = self.chain.take_own(attempt, info, place) else { return false };
        self.next = place.last + 1;
        self.hold(&accepted);
        true
    }

    fn hold(&mut self, accepted: &Accepted) {
        debug_assert_eq!(accepted.info.sequence().0 as usize, self.places.len() + 1);
        self.places.push(accepted.place);
        self.note(|landmarks| landmarks.segment(&accepted.info, accepted.place));
    }

    fn note(&mut self, note: impl FnOnce(&mut Landmarks) -> std::io::Result<()>) {
        if let Some(landmarks) = &mut self.landmarks
            && let Err(error) = note(landmarks)
        {
            tracing::warn!(%error, "landmarks of the topic cannot be noted: its next opening reads all of it");
            self.landmarks = None;
        }
    }

    /// Returns an error when the log is damaged and cannot go on from where it ends.
    pub(super) fn check(&self, topic: &Topic) -> Result<(), LogError> {
        let Some(Break { offset, damage }) = self.chain.broken() else { return Ok(()) };
        let place = topic.place_of(*offset);
        Err(match damage.clone() {
            Damage::Segment(error) => LogError::of_segment(place, error),
            damage => LogError::corrupt(place, damage),
        })
    }

    pub(super) fn place(&self, sequence: Sequence) -> Option<Place> {
        self.places.get(sequence.index()).copied()
    }

    /// Returns whether the log ends with exactly this segment.
    pub(super) fn ends_with(&self, info: &SegmentInfo) -> bool {
        self.chain.end().is_some_and(|end| end.digest == info.digest)
    }
}
