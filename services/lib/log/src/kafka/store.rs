//! The topic behind a [`super::KafkaLog`]. All functions here block.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hindsight_segment::{SegmentInfo, Sequence};

use super::follow::Follower;
use super::gather::Place;
use super::landmarks::{self, Landmarks};
use super::record::Attempt;
use super::topic::{Record, Topic};
use crate::error::{Damage, LogError};
use crate::shared::Ignored;

/// The pause between two looks at where the topic ends.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

pub(super) struct Store {
    pub(super) topic: Arc<Topic>,
    follower: Mutex<Follower>,
    /// Held while the topic is read further, so that one caller does so at a time. It is separate
    /// from `follower`, so that what is known can be read meanwhile.
    catching_up: Mutex<()>,
}

/// Returns a follower that begins with what the landmarks say.
fn follower(topic: &Arc<Topic>) -> Result<Follower, LogError> {
    let Some(path) = &topic.options.landmarks else { return Ok(Follower::new(None, None)) };
    let name = &topic.options.topic;
    let found = landmarks::read(path, name);
    let end = found.as_ref().map(|found| found.end);
    let known = match found {
        Some(found) => topic.recall(found)?,
        None => None,
    };
    let landmarks = Landmarks::open(path, name, end.filter(|_| known.is_some()));
    let landmarks = landmarks.inspect_err(|error| {
        tracing::warn!(%error, path = %path.display(), "landmarks of the topic cannot be noted");
    });
    Ok(Follower::new(known, landmarks.ok()))
}

impl Store {
    /// Reads the topic from where its landmarks lead, if they still hold, or from its beginning. A
    /// damaged log is opened nevertheless, for what comes before the damage. Calls that reach the
    /// damage return errors.
    pub(super) fn open(topic: Arc<Topic>) -> Result<Self, LogError> {
        let follower = follower(&topic)?;
        let store = Self { topic, follower: Mutex::new(follower), catching_up: Mutex::default() };
        store.refresh_past_damage()?;
        if store.follower().chain.has_lost_end() {
            // Nothing is left that could be read, and nothing could be appended.
            store.follower().check(&store.topic)?;
        }
        if let Some(gone) = store.gone_records()? {
            tracing::warn!("{gone}");
        }
        let end = store.follower().chain.end().cloned();
        if let (Some(expected), Some(end)) = (&store.topic.options.expected, end)
            && end.header.source != *expected
        {
            return Err(LogError::Foreign {
                place: store.topic.place(),
                expected: expected.clone().into(),
                found: end.header.source.clone().into(),
            });
        }
        Ok(store)
    }

    pub(super) fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what any writer has appended since. Returns an error when the log is damaged.
    pub(super) fn refresh(&self) -> Result<(), LogError> {
        self.refresh_to(0)?;
        self.follower().check(&self.topic)
    }

    /// The same as [`Store::refresh`], as far as the topic can be read. A damaged log is no error.
    pub(super) fn refresh_past_damage(&self) -> Result<(), LogError> {
        match self.refresh_to(0) {
            Err(LogError::Corrupt { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    /// The same as [`Store::refresh`], but at least up to `target`, an offset that is known to be
    /// there. A damaged log is not an error yet.
    pub(super) fn refresh_to(&self, target: i64) -> Result<(), LogError> {
        let _one_at_a_time = self.catching_up();
        let deadline = Instant::now() + self.topic.options.timeout;
        loop {
            let (first, end) = self.topic.watermarks()?;
            let next = self.follower().next;
            if end < next {
                return Err(LogError::corrupt(self.topic.place_of(next), Damage::Vanished));
            }
            if first > next {
                self.begin_at(first);
            }
            self.follower().places.forget_before(first);
            let next = self.follower().next;
            let read = self.topic.session()?.read(next, end, &mut |record| {
                self.follower().take(record);
                ControlFlow::Continue(())
            });
            match read {
                // Records were removed meanwhile, and more than were read.
                Err(error) if !self.is_behind(&error)? => return Err(error),
                Err(_) => continue,
                Ok(_) => {}
            }
            if self.follower().next >= target {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let late = io::ErrorKind::TimedOut.into();
                return Err(LogError::unavailable(self.topic.place(), "read it to its end", late));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// Begins anew where the topic begins now: what comes next was removed before it was read.
    fn begin_at(&self, first: i64) {
        let mut follower = self.follower();
        if follower.next > 0 {
            let (topic, next) = (&self.topic.options.topic, follower.next);
            tracing::warn!(topic, next, first, "records are gone before they were read");
        }
        follower.begin_at(first);
    }

    /// Returns whether reading failed because the topic begins after what was read.
    fn is_behind(&self, error: &LogError) -> Result<bool, LogError> {
        let LogError::Corrupt { damage: Damage::Vanished, .. } = error else { return Ok(false) };
        let (first, _) = self.topic.watermarks()?;
        Ok(first > self.follower().next)
    }

    /// Takes in a segment that this writer appended and whose place it knows, without reading it
    /// back. Returns false when its records are not all that was appended since the topic was last
    /// read: then something lies between them that must be read.
    pub(super) fn take_own_segment(
        &self,
        attempt: Attempt,
        info: &Arc<SegmentInfo>,
        place: Place,
    ) -> bool {
        let _one_at_a_time = self.catching_up();
        self.follower().take_own(attempt, info, place)
    }

    /// The same as [`Store::take_own_segment`], for a note.
    pub(super) fn take_own_note(&self, record: Record) -> bool {
        let _one_at_a_time = self.catching_up();
        let mut follower = self.follower();
        let is_next = record.offset == follower.next;
        if is_next {
            follower.take(record);
        }
        is_next
    }

    fn catching_up(&self) -> MutexGuard<'_, ()> {
        self.catching_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.refresh()?;
        Ok(self.follower().chain.end().cloned())
    }

    pub(super) fn find(&self, sequence: Sequence) -> Result<Place, LogError> {
        if let Some(place) = self.place_of_held(sequence)? {
            return Ok(place);
        }
        self.refresh()?;
        let place = self.place_of_held(sequence)?;
        place.ok_or_else(|| LogError::no_segment(self.topic.place(), sequence))
    }

    /// Returns where a segment lies. None when the log did not reach it when it was last read.
    fn place_of_held(&self, sequence: Sequence) -> Result<Option<Place>, LogError> {
        let follower = self.follower();
        if follower.places.is_before(sequence) {
            let begins = follower.places.first();
            return Err(LogError::removed(self.topic.place(), sequence, begins));
        }
        Ok(follower.place(sequence))
    }

    pub(super) fn ignored(&self) -> Ignored {
        self.follower().chain.ignored()
    }
}
