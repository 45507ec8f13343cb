//! The log that is copied.

use std::sync::Arc;

use hindsight_holdings::{Access, LogChoice, LogUrl, OpenLog, kafka_options};
use hindsight_log::{DirectoryLog, DirectoryOptions, Instance, KafkaLog, LogError, SegmentLog};
use hindsight_segment::{SegmentInfo, Sequence, SourceIdentity};

use crate::error::ArchiveError;

/// A log to copy, from its first segment up to where it ended when it was opened.
pub struct Source {
    pub(crate) log: OpenLog,
    pub(crate) first: Arc<SegmentInfo>,
    /// The last segment to copy. None when the log is damaged: the copy then reads up to the
    /// damage.
    pub(crate) last: Option<Sequence>,
}

impl Source {
    /// Opens a log for reading.
    ///
    /// # Errors
    /// Returns [`ArchiveError::Empty`] when there is nothing to copy, and another error when the
    /// log cannot be opened.
    pub async fn open(choice: &LogChoice) -> Result<Self, ArchiveError> {
        Self::of(open(choice).await?).await
    }

    pub(crate) async fn of(log: OpenLog) -> Result<Self, ArchiveError> {
        let first = log.log.infos(Sequence::FIRST, 1).await?.pop().ok_or(ArchiveError::Empty)?;
        let last = last_of(log.log.as_ref()).await?;
        Ok(Self { log, first, last })
    }

    /// Returns the replica set whose oplog the log holds.
    pub fn set(&self) -> &SourceIdentity {
        &self.first.header.source
    }
}

async fn open(choice: &LogChoice) -> Result<OpenLog, ArchiveError> {
    match &choice.url {
        LogUrl::Directory(path) if !path.is_dir() => Err(ArchiveError::NoDirectory),
        LogUrl::Directory(path) => {
            let log = DirectoryLog::open_reader(path, DirectoryOptions::default()).await?;
            Ok(OpenLog { log: Arc::new(log), shared: None })
        }
        LogUrl::Kafka { brokers, topic } => {
            let (topic, access) = (topic.as_deref(), Access::Read);
            let options = kafka_options(choice, brokers, topic, &access, Instance::UNKNOWN)?;
            let log = Arc::new(KafkaLog::open_reader(options).await?);
            Ok(OpenLog { log: Arc::<KafkaLog>::clone(&log), shared: Some(log) })
        }
    }
}

async fn last_of(log: &dyn SegmentLog) -> Result<Option<Sequence>, LogError> {
    match log.end().await {
        Ok(end) => Ok(end.map(|end| end.sequence())),
        Err(LogError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
