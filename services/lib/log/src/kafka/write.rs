//! Appends claims, segments and notes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use hindsight_segment::{SealedSegment, SegmentInfo, WriterEpoch};
use rdkafka::error::KafkaError;

use super::blocking::blocking;
use super::fetch::read_info;
use super::gather::Place;
use super::layout::{Outgoing, lay_out};
use super::producer::{Sender, Sent};
use super::record::{Attempt, Claim, Head, Note, Piece, Says, WriterId};
use super::settings::value_limit;
use super::store::Store;
use super::topic::Record;
use crate::error::LogError;

/// A writer. It may append as long as its claim is the newest one that holds.
pub(super) struct Writer {
    id: WriterId,
    epoch: WriterEpoch,
    max_message_bytes: usize,
    pub(super) state: tokio::sync::Mutex<State>,
}

pub(super) struct State {
    sender: Option<Sender>,
    attempts: u64,
    /// True while it is not known what became of the last append: the topic must be read.
    pub(super) uncertain: bool,
}

impl Writer {
    /// Takes the log over from the present writer.
    pub(super) async fn claim(
        store: &Arc<Store>,
        max_message_bytes: usize,
    ) -> Result<Self, LogError> {
        let options = &store.topic.options;
        let sender = Sender::new(&store.topic, max_message_bytes)?;
        let claim = next_claim(store);
        let sent: [Sent<'_>; 1] = [(Head::Claim(claim).headers(), options.name.as_bytes())];
        let offsets = sender.send(&sent).await.map_err(|error| not_appended(store, error))?;
        let target = after(&offsets);
        blocking(store, move |store| store.refresh_to(target)).await?;
        let writer = Self {
            id: claim.writer,
            epoch: claim.epoch,
            max_message_bytes,
            state: tokio::sync::Mutex::new(State {
                sender: Some(sender),
                attempts: 0,
                uncertain: false,
            }),
        };
        writer.check_held(store)?;
        tracing::info!(epoch = %claim.epoch, topic = options.topic, "took the log over");
        Ok(writer)
    }

    pub(super) fn epoch(&self) -> WriterEpoch {
        self.epoch
    }

    /// Writes that the writer lives. Returns false when a segment is being appended, because that
    /// is enough of a sign of life.
    pub(super) async fn beat(&self, store: &Arc<Store>) -> Result<bool, LogError> {
        match self.state.try_lock() {
            Ok(mut state) => self.say_next(&mut state, store, Says::Beat, "").await.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Writes a note, after what is being appended.
    pub(super) async fn say(
        &self,
        store: &Arc<Store>,
        says: Says,
        value: &str,
    ) -> Result<(), LogError> {
        let mut state = self.state.lock().await;
        self.say_next(&mut state, store, says, value).await
    }

    pub(super) async fn say_next(
        &self,
        state: &mut State,
        store: &Arc<Store>,
        says: Says,
        value: &str,
    ) -> Result<(), LogError> {
        self.check_held(store)?;
        let head = Head::Note(Note { writer: self.id, epoch: self.epoch, says });
        let sent: [Sent<'_>; 1] = [(head.headers(), value.as_bytes())];
        let sender = self.sender(state, store)?;
        let offsets = match sender.send(&sent).await {
            Ok(offsets) => offsets,
            Err(error) => return Err(give_up(store, sender, error).await),
        };
        state.sender = Some(sender);
        let value = Bytes::copy_from_slice(value.as_bytes());
        let record = Record { offset: offsets[0], head: Ok(head), value };
        blocking(store, move |store| match store.take_own_note(record) {
            true => Ok(()),
            false => store.refresh_to(after(&offsets)),
        })
        .await?;
        self.check_held(store)
    }

    fn sender(&self, state: &mut State, store: &Store) -> Result<Sender, LogError> {
        match state.sender.take() {
            Some(sender) => Ok(sender),
            None => Sender::new(&store.topic, self.max_message_bytes),
        }
    }

    pub(super) async fn append(
        &self,
        store: &Arc<Store>,
        segment: SealedSegment,
    ) -> Result<(), LogError> {
        let mut state = self.state.lock().await;
        if state.uncertain {
            blocking(store, |store| store.refresh()).await?;
            state.uncertain = false;
        }
        if self.admit(store, segment.info())? {
            return Ok(());
        }
        let sender = self.sender(&mut state, store)?;
        state.attempts += 1;
        let attempt = Attempt { writer: self.id, epoch: self.epoch, number: state.attempts };
        let records = lay_out(&segment, attempt, value_limit(self.max_message_bytes));
        let sent: Vec<Sent<'_>> =
            records.iter().map(|it| (it.headers().collect(), &it.value[..])).collect();
        // Set before the records are sent, so that it is true even when nobody waits for the answer
        // any more.
        state.uncertain = true;
        let offsets = match sender.send(&sent).await {
            Ok(offsets) => offsets,
            Err(error) => return Err(give_up(store, sender, error).await),
        };
        state.sender = Some(sender);
        let info = Arc::clone(segment.info());
        let place = place_of(&records, &offsets);
        let appended = Arc::clone(&info);
        blocking(store, move |store| match place {
            Some(place) if store.take_own_segment(attempt, &appended, place) => Ok(()),
            _ => store.refresh_to(after(&offsets)),
        })
        .await?;
        self.confirm(store, &info).await?;
        state.uncertain = false;
        Ok(())
    }

    /// Returns true when there is nothing to do, because the log ends with this segment. Returns an
    /// error when the segment may not be appended.
    fn admit(&self, store: &Store, info: &SegmentInfo) -> Result<bool, LogError> {
        let follower = store.follower();
        follower.check(&store.topic)?;
        if follower.ends_with(info) {
            return Ok(true);
        }
        let follows = follower.chain.check_next(info);
        drop(follower);
        // This check comes first: after another writer took over, no segment of this writer
        // follows.
        self.check_held(store)?;
        follows.map_err(|reason| LogError::not_next(store.topic.place(), info, reason))?;
        Ok(false)
    }

    /// The brokers have taken the segment. What counts is whether it is part of the log, because
    /// another writer may have come in between.
    async fn confirm(&self, store: &Arc<Store>, info: &Arc<SegmentInfo>) -> Result<(), LogError> {
        if store.follower().ends_with(info) {
            return Ok(());
        }
        let wanted = Arc::clone(info);
        let is_there = blocking(store, move |store| {
            let Some(place) = store.follower().place(wanted.sequence()) else { return Ok(false) };
            let found = read_info(&store.topic, &mut store.topic.session()?, place)?;
            Ok(found.digest == wanted.digest)
        });
        if is_there.await? {
            return Ok(());
        }
        store.follower().check(&store.topic)?;
        self.check_held(store)?;
        let error = std::io::Error::other("it was acknowledged, and is not there");
        Err(LogError::unavailable(store.topic.place(), "find what was appended", error))
    }

    pub(super) fn check_held(&self, store: &Store) -> Result<(), LogError> {
        let follower = store.follower();
        let chain = &follower.chain;
        if chain.is_held_by(self.epoch, self.id) {
            return Ok(());
        }
        let (place, newest) = (store.topic.place(), chain.epoch());
        Err(LogError::Fenced { place, epoch: self.epoch, newest })
    }
}

fn next_claim(store: &Store) -> Claim {
    let follower = store.follower();
    let chain = &follower.chain;
    let supersedes = chain.epoch();
    // Segments name epochs too, and the epochs of successive segments never fall.
    let sealed = chain.end().map_or(WriterEpoch(0), |end| end.header.epoch);
    let epoch = WriterEpoch(supersedes.max(sealed).0 + 1);
    let random = || RandomState::new().hash_one(std::process::id());
    let writer = WriterId(random() ^ random().rotate_left(32));
    Claim { writer, epoch, supersedes, instance: store.topic.options.instance }
}

/// Discards the producer, so that none of its records arrive after those of the next producer.
/// Returns why the append failed.
async fn give_up(store: &Arc<Store>, sender: Sender, error: KafkaError) -> LogError {
    let discarded = blocking(store, move |_| {
        sender.discard();
        Ok(())
    });
    match discarded.await {
        Ok(()) => not_appended(store, error),
        Err(error) => error,
    }
}

fn not_appended(store: &Store, error: KafkaError) -> LogError {
    store.topic.unavailable("append to it", error)
}

/// Returns the place of a segment whose records got these offsets. None when other records lie
/// between them.
fn place_of(records: &[Outgoing], offsets: &[i64]) -> Option<Place> {
    let (&first, &last) = (offsets.first()?, offsets.last()?);
    let in_a_row = offsets.iter().zip(first..).all(|(&offset, expected)| offset == expected);
    let is_seal = |record: &Outgoing| matches!(record.head.piece, Piece::Seal { .. });
    let seal = offsets[records.iter().position(is_seal)?];
    in_a_row.then_some(Place { first, seal, last })
}

/// Returns the offset after the last of these.
fn after(offsets: &[i64]) -> i64 {
    offsets.last().map_or(0, |last| last + 1)
}
