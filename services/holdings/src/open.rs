//! Opens the contents of a data directory and a log, and brings the derived parts up to date with
//! the log (I5).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_index::{Index, ResumePoint};
use hindsight_log::{
    Damage, DirectoryLog, DirectoryOptions, Instance, KafkaLog, KafkaOptions, KnownEnd, LogError,
    SegmentLog, SharedLog,
};
use hindsight_segment::{SegmentDigest, Sequence, SourceIdentity};
use hindsight_tailer::{CaptureError, PositionBoard, absorb_new};

use crate::bases::{forget_absent_bases, register_bases};
use crate::data_dir::DataDir;
use crate::error::HoldingsError;
use crate::log_choice::{LogChoice, LogUrl, is_topic};

/// The purpose for which a log is opened.
#[derive(Debug, Clone)]
pub enum Access {
    /// For reading.
    Read,
    /// For capturing that replica set. Opening a shared log does not take it over.
    Capture(SourceIdentity),
}

/// A log, and its shared interface if several processes may have it open.
#[derive(Clone)]
pub struct OpenLog {
    /// The log.
    pub log: Arc<dyn SegmentLog>,
    /// The same log, if it is shared.
    pub shared: Option<Arc<dyn SharedLog>>,
}

/// The parts of a data directory.
pub struct Opened {
    /// The log.
    pub log: OpenLog,
    /// The same log, if it is a directory that was opened for capturing.
    pub directory: Option<DirectoryLog>,
    /// The index.
    pub index: Arc<Index>,
    /// The directory of bases.
    pub bases: PathBuf,
    /// The identity of this installation.
    pub instance: Instance,
}

/// Opens log and index, and brings the index, including its positions, up to date with the log.
///
/// # Errors
/// Returns an error when log, index or bases cannot be opened, or do not belong together.
pub async fn open(
    data: &DataDir,
    choice: &LogChoice,
    bases: Option<&Path>,
    access: Access,
    positions: &PositionBoard,
) -> Result<Opened, HoldingsError> {
    let index = Index::open(data.index())?;
    let resume = index.resume_point()?;
    let instance = data.instance()?;
    let reads = matches!(access, Access::Read);
    let mut directory = None;
    let opened = match &choice.url {
        LogUrl::Directory(path) => {
            let opened = open_directory(data, path, access, resume.as_ref()).await;
            opened.map(|log| {
                directory = (!reads).then(|| log.clone());
                OpenLog { log: Arc::new(log), shared: None }
            })
        }
        LogUrl::Kafka { brokers, topic } => {
            let mut options = kafka_options(choice, brokers, topic.as_deref(), &access, instance)?;
            options.landmarks = Some(data.landmarks());
            open_kafka(options, &access, resume.as_ref()).await
        }
    };
    let log = opened.map_err(|error| match (resume, error) {
        (Some(resume), HoldingsError::Log(error)) => explain(error, &resume, &data.index()),
        (_, error) => error,
    })?;
    // This must not happen earlier: the end of an outdated index was also proof that the log has
    // lost nothing.
    if index.begin_anew_if_outdated()? {
        tracing::info!(
            "the index is of an earlier version of this program: it is rebuilt from log and bases"
        );
    }
    // A crash may have come after segments were removed from the log, and before the index forgot
    // them.
    match log.log.begin().await {
        Ok(None) => {}
        Ok(Some(beginning)) => drop(index.forget_before(beginning.sequence.0)?),
        // Whether what is left can be used is decided below.
        Err(LogError::Corrupt { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match absorb_new(log.log.as_ref(), &index, positions).await {
        // This process does not append, and everything before the damage can still be restored.
        Err(CaptureError::Log(error @ LogError::Corrupt { .. }))
            if reads && log.shared.is_some() =>
        {
            tracing::error!(%error, "the log is damaged: only what comes before is there");
        }
        absorbed => absorbed?,
    }
    let bases = bases.map_or_else(|| data.bases(), Path::to_owned);
    forget_absent_bases(&index, &bases)?;
    let announced = match &log.shared {
        Some(shared) => Some(shared.announced().await?),
        None => None,
    };
    register_bases(&index, &bases, announced.as_deref())?.say_damaged();
    Ok(Opened { log, directory, index: Arc::new(index), bases, instance })
}

async fn open_directory(
    data: &DataDir,
    path: &Path,
    access: Access,
    resume: Option<&ResumePoint>,
) -> Result<DirectoryLog, HoldingsError> {
    let known = resume.map(|resume| KnownEnd {
        sequence: Sequence(resume.sequence),
        digest: SegmentDigest(resume.digest),
    });
    let log = match access {
        Access::Capture(expected) => {
            let options = DirectoryOptions { expected: Some(expected), known };
            DirectoryLog::open_writer(path, options).await?
        }
        Access::Read if !path.is_dir() => {
            let text = format!(
                "there is no log in {}. If the log of {} is elsewhere, name it with --log (HINDSIGHT_LOG)",
                path.display(),
                data.root().display()
            );
            return Err(HoldingsError::unusable(text));
        }
        Access::Read => {
            DirectoryLog::open_reader(path, DirectoryOptions { expected: None, known }).await?
        }
    };
    Ok(log)
}

/// Returns the default topic of a replica set, for a log URL that names none.
fn default_topic(access: &Access) -> Result<String, HoldingsError> {
    let Access::Capture(source) = access else {
        return Err(HoldingsError::usage(
            "--log names no topic: write kafka://host:port/hindsight.SETNAME",
        ));
    };
    let topic = format!("hindsight.{}", source.set_name);
    if is_topic(&topic) {
        return Ok(topic);
    }
    let text = format!(
        "replica set {:?} has no name for a topic: write kafka://host:port/topic",
        source.set_name
    );
    Err(HoldingsError::usage(text))
}

/// Returns how to open a topic.
///
/// # Errors
/// Returns a usage error when no topic is named, and none can be named after the replica set.
pub fn kafka_options(
    choice: &LogChoice,
    brokers: &str,
    topic: Option<&str>,
    access: &Access,
    instance: Instance,
) -> Result<KafkaOptions, HoldingsError> {
    let topic = topic.map_or_else(|| default_topic(access), |topic| Ok(topic.to_owned()))?;
    let mut options = KafkaOptions::new(brokers, topic);
    options.replicas = choice.replicas;
    options.client = choice.client.clone();
    options.instance = instance;
    options.name = process_name();
    if let Access::Capture(source) = access {
        options.expected = Some(source.clone());
    }
    Ok(options)
}

/// Names this process for people who want to find the leader.
fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown host" } else { host.trim() };
    format!("process {} on {host}", std::process::id())
}

async fn open_kafka(
    options: KafkaOptions,
    access: &Access,
    resume: Option<&ResumePoint>,
) -> Result<OpenLog, HoldingsError> {
    let log = match access {
        Access::Capture(_) => KafkaLog::open(options).await?,
        Access::Read => KafkaLog::open_reader(options).await.map_err(|error| match error {
            LogError::NotFound { place, what } => {
                let what = format!("{what}: a tailer creates it when it starts");
                LogError::NotFound { place, what }
            }
            error => error,
        })?,
    };
    if let Some(resume) = resume {
        check_known_end(&log, resume).await?;
    }
    let log = Arc::new(log);
    Ok(OpenLog { log: Arc::<KafkaLog>::clone(&log), shared: Some(log) })
}

/// Checks that the log still holds the last segment that the index knows.
async fn check_known_end(log: &dyn SegmentLog, resume: &ResumePoint) -> Result<(), LogError> {
    let sequence = Sequence(resume.sequence);
    let found = log.infos(sequence, 1).await?;
    let damage = match found.first() {
        None => Damage::MissingAfter(sequence),
        // The known segment was removed since. Only the segment after it could contradict it.
        Some(first) if first.sequence() > sequence => {
            let is_after = first.sequence() == sequence.next();
            if !is_after || first.header.predecessor == SegmentDigest(resume.digest) {
                return Ok(());
            }
            Damage::NotAsKnown
        }
        Some(found) if found.digest != SegmentDigest(resume.digest) => Damage::NotAsKnown,
        Some(_) => return Ok(()),
    };
    Err(LogError::Corrupt { place: format!("segment {sequence}"), damage })
}

/// Explains damage at the end that the index knows. The index is never ahead of the log. An index
/// that is ahead proves that the log has lost segments, or is another log.
fn explain(error: LogError, resume: &ResumePoint, index: &Path) -> HoldingsError {
    let LogError::Corrupt { damage, .. } = &error else { return error.into() };
    let what = match damage {
        Damage::MissingAfter(_) => "is missing from the log",
        Damage::NotAsKnown => "has changed",
        _ => return error.into(),
    };
    let text = format!(
        "segment {} (through {}) {what}. Put the log's segments back, or name the right log. If they are lost for \
         good, delete {} and the history beside it to go on with what is left",
        resume.sequence,
        resume.last,
        index.display()
    );
    HoldingsError::unusable(text)
}
