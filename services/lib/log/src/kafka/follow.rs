//! Follows the topic: what was read of it, and where its segments lie.

use std::sync::Arc;

use hindsight_segment::{SegmentInfo, Sequence};

use super::chain::{Accepted, Break, Chain};
use super::gather::Place;
use super::landmarks::Landmarks;
use super::places::Places;
use super::record::{Attempt, Head};
use super::topic::{Record, Topic};
use crate::error::{Damage, LogError};

/// What is known of a topic up to and including its last segment.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) chain: Chain,
    pub(super) places: Places,
}

/// The log as far as it was read.
pub(super) struct Follower {
    pub(super) chain: Chain,
    /// The offset of the next record to read.
    pub(super) next: i64,
    pub(super) places: Places,
    /// Notes what is found. Without landmarks the next opening takes longer, and nothing else
    /// changes.
    landmarks: Option<Landmarks>,
    /// The first segment of a topic whose oldest records are gone. It is noted once the second one
    /// confirms it.
    unnoted: Option<Accepted>,
}

impl Follower {
    /// Continues a chain that was read before, or begins with an empty chain at the first record.
    pub(super) fn new(known: Option<Known>, landmarks: Option<Landmarks>) -> Self {
        let Known { chain, places } = known.unwrap_or_default();
        let next = places.last().map_or(0, |place| place.last + 1);
        Self { chain, next, places, landmarks, unnoted: None }
    }

    /// Begins anew at the first offset of a topic whose records before it are gone and were not
    /// read.
    pub(super) fn begin_at(&mut self, first: i64) {
        // Nothing is to be noted of a topic that was not read yet.
        if self.next > 0 {
            self.forget_landmarks();
        }
        self.chain = Chain::of_trimmed();
        self.next = first;
        self.places = Places::default();
        self.unnoted = None;
    }

    pub(super) fn take(&mut self, record: Record) {
        self.next = record.offset + 1;
        let before = (self.chain.epoch(), self.chain.newest_base());
        let is_claim = matches!(record.head, Ok(Head::Claim(_)));
        let accepted = self.chain.take(record.offset, record.head, record.value);
        let after = (self.chain.epoch(), self.chain.newest_base());
        if self.chain.end().is_none() && !self.places.is_empty() {
            // They are of a writer that was superseded before the topic begins.
            self.forget_landmarks();
            self.places = Places::default();
            self.unnoted = None;
        }
        if is_claim && before.0 != after.0 {
            self.note(|landmarks| landmarks.claim(record.offset));
        }
        if after.1 > before.1 {
            self.note(|landmarks| landmarks.base(record.offset));
        }
        if let Some(accepted) = accepted {
            self.hold(accepted);
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
        self.hold(accepted);
        true
    }

    fn hold(&mut self, accepted: Accepted) {
        match accepted.begins {
            true => self.places.begin(accepted.info.sequence(), accepted.place),
            false => self.places.push(accepted.place),
        }
        debug_assert_eq!(accepted.info.sequence().next(), self.places.next());
        if self.chain.is_unconfirmed() {
            self.unnoted = Some(accepted);
            return;
        }
        for Accepted { info, place, .. } in self.unnoted.take().into_iter().chain([accepted]) {
            self.note(|landmarks| landmarks.segment(&info, place));
        }
    }

    /// Stops noting, and makes sure that what was noted is not believed.
    fn forget_landmarks(&mut self) {
        self.note(Landmarks::clear);
        self.landmarks = None;
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
        let Some(Break { offset, damage }) = self.chain.broken() else {
            return match self.chain.has_lost_end() {
                true => Err(LogError::corrupt(topic.place_of(0), Damage::Vanished)),
                false => Ok(()),
            };
        };
        let place = topic.place_of(*offset);
        Err(match damage.clone() {
            Damage::Segment(error) => LogError::of_segment(place, error),
            damage => LogError::corrupt(place, damage),
        })
    }

    pub(super) fn place(&self, sequence: Sequence) -> Option<Place> {
        self.places.get(sequence)
    }

    /// Returns whether the log ends with exactly this segment.
    pub(super) fn ends_with(&self, info: &SegmentInfo) -> bool {
        self.chain.end().is_some_and(|end| end.digest == info.digest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
