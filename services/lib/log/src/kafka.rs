//! The log as a Kafka topic: one partition, one record per frame, and one record that seals the
//! segment.
//!
//! Kafka is asked for order and for durability (`acks=all`), and for nothing else. Transactions are
//! not used: published analyses saw them lose and tear writes. Instead, every reader decides from
//! the records alone, in [`chain`], which of them make up the log. The chain of digests says which
//! segment follows which, and claims say who may write.
//!
//! `docs/KAFKA.md` draws the records.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use hindsight_segment::{Frame, SealedSegment, SegmentInfo, SegmentView, Sequence, WriterEpoch};

use crate::SegmentLog;
use crate::beginning::Beginning;
use crate::error::LogError;
use crate::shared::{BaseNotice, Ignored, Leader, Risks, SharedLog};

mod admin;
mod bases;
mod blocking;
mod chain;
mod complaints;
mod fetch;
mod follow;
mod gather;
mod landmarks;
mod layout;
mod options;
mod places;
mod producer;
mod recall;
mod record;
mod remove;
mod settings;
mod store;
mod topic;
mod watch;
mod write;

pub use options::KafkaOptions;

use blocking::blocking;
use record::Says;
use store::Store;
use topic::Topic;
use write::Writer;

/// A log in a Kafka topic. Clones are handles of the same log, and lead it together.
#[derive(Clone)]
pub struct KafkaLog {
    store: Arc<Store>,
    /// None for a handle that can never append.
    seat: Option<Arc<Seat>>,
}

/// The place of this handle's writer. It is empty until the handle leads, and stays taken after
/// another process took the log over.
struct Seat {
    max_message_bytes: usize,
    writer: RwLock<Option<Arc<Writer>>>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.store.topic.place()).finish()
    }
}

impl KafkaLog {
    /// Opens the log for following and for [leading](SharedLog::lead). Creates the topic if it does
    /// not exist. Reads and verifies the topic from its beginning, or from where
    /// [`KafkaOptions::landmarks`] lead. Where the oldest records are gone, the log begins with the
    /// first segment that is whole.
    ///
    /// # Errors
    /// Returns [`LogError::Misconfigured`] for a topic that could lose what is appended. Returns
    /// [`LogError::Corrupt`] when the log is damaged. Returns [`LogError::Foreign`] for the log of
    /// another replica set.
    pub async fn open(options: KafkaOptions) -> Result<Self, LogError> {
        let topic = Arc::new(Topic::new(options));
        let max_message_bytes = topic.prepare().await?;
        let store = Self::read_all(topic).await?;
        // Nothing is ever appended to a damaged log.
        blocking(&store, |store| store.refresh()).await?;
        let seat = Seat { max_message_bytes, writer: RwLock::default() };
        Ok(Self { store, seat: Some(Arc::new(seat)) })
    }

    /// Opens the log, and takes it over from the process that has written it until now.
    ///
    /// # Errors
    /// The same as [`KafkaLog::open`], in which case nothing was claimed, and the same as
    /// [`SharedLog::lead`].
    pub async fn open_writer(options: KafkaOptions) -> Result<Self, LogError> {
        let log = Self::open(options).await?;
        log.lead().await?;
        Ok(log)
    }

    /// Opens the log for reading. A writer may go on appending to it. In a damaged log, what comes
    /// before the damage is read as usual, and calls that reach the damage return errors: reading a
    /// later segment, reading headers and seals from there on, and asking for the end.
    ///
    /// # Errors
    /// Returns [`LogError::NotFound`] when the topic does not exist, and [`LogError::Corrupt`] when
    /// its records are gone and no whole segment is left. The topic's settings are not checked,
    /// because that is the writer's task.
    pub async fn open_reader(options: KafkaOptions) -> Result<Self, LogError> {
        let topic = Arc::new(Topic::new(options));
        topic.check_present().await?;
        Ok(Self { store: Self::read_all(topic).await?, seat: None })
    }

    async fn read_all(topic: Arc<Topic>) -> Result<Arc<Store>, LogError> {
        let store = blocking(&topic, |topic| Store::open(Arc::clone(topic))).await?;
        Ok(Arc::new(store))
    }

    /// Returns the epoch that this handle writes with: segments must be sealed with it. None when
    /// this handle never led the log.
    pub fn epoch(&self) -> Option<WriterEpoch> {
        self.writer().ok().map(|writer| writer.epoch())
    }

    fn writer(&self) -> Result<Arc<Writer>, LogError> {
        let seat = self.seat.as_ref();
        let writer =
            seat.and_then(|it| it.writer.read().unwrap_or_else(PoisonError::into_inner).clone());
        writer.ok_or_else(|| LogError::ReadOnly { place: self.store.topic.place() })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Store>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        blocking(&self.store, work).await
    }
}

#[async_trait]
impl SegmentLog for KafkaLog {
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError> {
        self.writer()?.append(&self.store, segment).await
    }

    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.run(move |store| store.read(sequence)).await
    }

    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError> {
        let info = Arc::clone(info);
        self.run(move |store| store.read_frame(&info, ordinal)).await
    }

    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        self.run(move |store| store.infos(from, limit)).await
    }

    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.run(|store| store.end()).await
    }

    async fn begin(&self) -> Result<Option<Beginning>, LogError> {
        self.run(|store| store.begin()).await
    }

    async fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.writer()?.remove_before(&self.store, sequence).await
    }

    fn complaint(&self) -> Option<String> {
        self.store.topic.complaints.recent()
    }
}

#[async_trait]
impl SharedLog for KafkaLog {
    async fn observe(&self) -> Result<Leader, LogError> {
        self.run(|store| {
            store.refresh()?;
            Ok(store.follower().chain.leader())
        })
        .await
    }

    async fn lead(&self) -> Result<WriterEpoch, LogError> {
        let Some(seat) = &self.seat else {
            return Err(LogError::ReadOnly { place: self.store.topic.place() });
        };
        let writer = Writer::claim(&self.store, seat.max_message_bytes).await?;
        let epoch = writer.epoch();
        *seat.writer.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(writer));
        Ok(epoch)
    }

    async fn beat(&self) -> Result<bool, LogError> {
        self.writer()?.beat(&self.store).await
    }

    async fn resign(&self) -> Result<(), LogError> {
        self.writer()?.say(&self.store, Says::Resign, "").await
    }

    async fn announce(&self, base: BaseNotice) -> Result<(), LogError> {
        self.writer()?.say(&self.store, Says::Base(base.digest), &base.name).await
    }

    async fn announced(&self) -> Result<Vec<BaseNotice>, LogError> {
        self.run(|store| {
            store.refresh_past_damage()?;
            let follower = store.follower();
            Ok(follower.chain.bases().iter().map(|base| base.notice.clone()).collect())
        })
        .await
    }

    fn ignored(&self) -> Ignored {
        self.store.ignored()
    }

    async fn risks(&self) -> Risks {
        let topic = &self.store.topic;
        let (shape, settings, records) = tokio::join!(
            topic.describe_partitions(),
            topic.settings(),
            self.run(|store| store.lost_records()),
        );
        watch::weigh(&topic.wanted(), shape, settings, records)
    }
}
