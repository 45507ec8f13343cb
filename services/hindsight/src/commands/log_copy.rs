//! `log copy`: segments from one log to the end of another, unchanged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hindsight_log::{
    DirectoryLog, DirectoryOptions, Instance, KafkaLog, Leader, LogError, SegmentLog, SharedLog,
};
use hindsight_segment::{SealedSegment, SegmentInfo, Sequence, SourceIdentity};
use serde_json::{Value, json};

use super::{print_json, print_line, say};
use crate::cli::{Global, LogCopy, Output};
use crate::exit::{Exit, Failure};
use crate::extended_json::of_timestamp;
use crate::log_choice::{LogChoice, LogUrl};
use crate::open::{Access, kafka_options};

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// A leader of the target that says nothing for so long is gone.
const LEADER_PATIENCE: Duration = Duration::from_secs(4);

pub async fn run(global: &Global, copy: &LogCopy) -> Result<Exit> {
    let from = LogChoice::named(&global.log, "--from", &copy.from)?;
    let to = LogChoice::named(&global.log, "--to", &copy.to)?;
    if from.url == to.url {
        return Err(Failure::usage("--from and --to name the same log").into());
    }
    let from = open_source(&from).await.with_context(|| format!("open {}", copy.from))?;
    let Some(end) = from.end().await? else {
        return Err(Failure::new(Exit::NotRestorable, format!("{} is empty", copy.from)).into());
    };
    let target = open_target(&to, &end.header.source);
    let target = target.await.with_context(|| format!("open {}", copy.to))?;
    let copied = copy_segments(from.as_ref(), target.log.as_ref(), &end).await;
    let left = target.leave().await;
    let copied = copied?;
    left?;
    report(global, &copied, &end)?;
    Ok(Exit::Done)
}

async fn open_source(choice: &LogChoice) -> Result<Arc<dyn SegmentLog>> {
    Ok(match &choice.url {
        LogUrl::Directory(path) if !path.is_dir() => {
            return Err(Failure::new(Exit::Failed, "there is no such directory").into());
        }
        LogUrl::Directory(path) => {
            Arc::new(DirectoryLog::open_reader(path, DirectoryOptions::default()).await?)
        }
        LogUrl::Kafka { brokers, topic } => {
            let (topic, access) = (topic.as_deref(), Access::Read);
            let options = kafka_options(choice, brokers, topic, &access, Instance::UNKNOWN)?;
            Arc::new(KafkaLog::open_reader(options).await?)
        }
    })
}

/// The log that is appended to; held against others meanwhile.
struct Target {
    log: Arc<dyn SegmentLog>,
    shared: Option<Arc<KafkaLog>>,
}

impl Target {
    async fn leave(&self) -> Result<()> {
        if let Some(shared) = &self.shared {
            shared.resign().await?;
        }
        Ok(())
    }
}

async fn open_target(choice: &LogChoice, source: &SourceIdentity) -> Result<Target> {
    match &choice.url {
        LogUrl::Directory(path) => {
            let options = DirectoryOptions { expected: Some(source.clone()), known: None };
            let log = Arc::new(DirectoryLog::open_writer(path, options).await?);
            Ok(Target { log, shared: None })
        }
        LogUrl::Kafka { brokers, topic } => {
            let access = Access::Capture(source.clone());
            let instance = Instance::UNKNOWN;
            let options = kafka_options(choice, brokers, topic.as_deref(), &access, instance)?;
            let log = Arc::new(KafkaLog::open(options).await?);
            refuse_if_led(log.as_ref()).await?;
            log.lead().await?;
            Ok(Target { log: Arc::<KafkaLog>::clone(&log), shared: Some(log) })
        }
    }
}

/// A tailer that captures into the target is not to be fenced by a copy.
async fn refuse_if_led(log: &dyn SharedLog) -> Result<()> {
    let first = log.observe().await?;
    if first.epoch.0 == 0 || first.has_resigned {
        return Ok(());
    }
    say(&format!("waiting whether {} still captures into the target", first.name));
    let until = Instant::now() + LEADER_PATIENCE;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let Leader { epoch, signs, name, has_resigned, .. } = log.observe().await?;
        if (epoch, signs) != (first.epoch, first.signs) && !has_resigned {
            let place = "the target".to_owned();
            return Err(LogError::InUse { place, holder: name }.into());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Copied {
    segments: u64,
    entries: u64,
    bytes: u64,
    /// Segments that the target had already.
    found: u64,
}

/// Appends what the target lacks of the source, up to `end`.
async fn copy_segments(
    from: &dyn SegmentLog,
    to: &dyn SegmentLog,
    end: &SegmentInfo,
) -> Result<Copied> {
    let mut copied = Copied::default();
    let mut next = Sequence::FIRST;
    if let Some(held) = to.end().await? {
        check_begins_alike(from, &held).await?;
        next = held.sequence().next();
        copied.found = held.sequence().0;
    }
    let mut told = Instant::now();
    while next <= end.sequence() {
        let view = from.read(next).await?;
        let segment = SealedSegment::of(&view)?;
        append(to, segment).await?;
        copied.segments += 1;
        copied.entries += view.info().seal.entries;
        copied.bytes += view.info().segment_bytes;
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            say(&format!("segment {next} of {}: {} bytes copied", end.sequence(), copied.bytes));
        }
        next = next.next();
    }
    Ok(copied)
}

/// The target's last segment must be one of the source's, or the two are not one log.
async fn check_begins_alike(from: &dyn SegmentLog, held: &SegmentInfo) -> Result<()> {
    let infos = from.infos(held.sequence(), 1).await?;
    if infos.first().is_some_and(|info| info.digest == held.digest) {
        return Ok(());
    }
    let text = format!(
        "the target ends with segment {} (through {}), which is not in the source: copy into an empty log",
        held.sequence(),
        held.last()
    );
    Err(Failure::new(Exit::Failed, text).into())
}

/// A store out of reach is tried for a while: a copy takes long, and goes on where it stopped all the same.
async fn append(to: &dyn SegmentLog, segment: SealedSegment) -> Result<()> {
    let mut backoff =
        hindsight_runtime::Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match to.append(segment.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_retryable() && backoff.failures() < 10 => {
                say(&format!("{error}; trying again"));
                tokio::time::sleep(backoff.next_delay()).await;
            }
            Err(error) => return Err(error).context("a next `log copy` goes on from here"),
        }
    }
}

fn report(global: &Global, copied: &Copied, end: &SegmentInfo) -> Result<()> {
    let Copied { segments, entries, bytes, found } = copied;
    match global.output {
        Output::Json => print_json(&json_of(copied, end)),
        Output::Text => print_line(&format!(
            "copied {segments} segments, {entries} entries, {bytes} bytes; {found} were there; both end at {}",
            end.last()
        )),
    }
}

fn json_of(copied: &Copied, end: &SegmentInfo) -> Value {
    json!({
        "segments": copied.segments,
        "entries": copied.entries,
        "bytes": copied.bytes,
        "found": copied.found,
        "through": of_timestamp(end.last().ts),
    })
}
