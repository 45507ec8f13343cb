//! `log copy`: segments from one log to the end of another, unchanged, and the notices of the bases
//! that belong to it.

mod ahead;
mod bases;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hindsight_log::{
    DirectoryLog, DirectoryOptions, Instance, KafkaLog, Leader, LogError, SegmentLog, SharedLog,
};
use hindsight_oplog::OpTime;
use hindsight_runtime::Backoff;
use hindsight_segment::{SealedSegment, SegmentInfo, Sequence, SourceIdentity};
use serde_json::{Value, json};

use super::{print_json, print_line, say};
use crate::cli::{Global, LogCopy, Output};
use crate::exit::{Exit, Failure};
use crate::extended_json::of_timestamp;
use crate::log_choice::{LogChoice, LogUrl};
use crate::open::{Access, OpenLog, kafka_options};
use ahead::read_ahead;

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// A leader of the target that says nothing for so long is gone.
const LEADER_PATIENCE: Duration = Duration::from_secs(4);
/// How often something is tried again before the copy is given up.
const MOST_FAILURES: u32 = 10;
const TO_GO_ON: &str = "a next `log copy` goes on from here";

pub async fn run(global: &Global, copy: &LogCopy) -> Result<Exit> {
    let from = LogChoice::named(&global.log, "--from", &copy.from)?;
    let to = LogChoice::named(&global.log, "--to", &copy.to)?;
    if from.url == to.url {
        return Err(Failure::usage("--from and --to name the same log").into());
    }
    let source = open_source(&from).await.with_context(|| format!("open {}", copy.from))?;
    let Some(first) = source.log.infos(Sequence::FIRST, 1).await?.pop() else {
        return Err(Failure::new(Exit::NotRestorable, format!("{} is empty", copy.from)).into());
    };
    let set = &first.header.source;
    let through = end_of(source.log.as_ref()).await?;
    let target = open_target(&to, set).await.with_context(|| format!("open {}", copy.to))?;
    let copied = fill(&target, &source, set, through, global.bases.as_deref()).await;
    let left = target.leave().await;
    let copied = copied?;
    left?;
    report(global, &copied)?;
    copied.outcome(copy)
}

/// Brings the target level with the source. Bases first: they are known then however soon the copy
/// ends.
async fn fill(
    target: &Target,
    source: &OpenLog,
    set: &SourceIdentity,
    through: Option<Sequence>,
    directory: Option<&Path>,
) -> Result<Copied> {
    let mut copied = Copied::default();
    let (from, to) = (source.log.as_ref(), target.log.as_ref());
    let next = after_what_is_there(from, to, &mut copied).await?;
    if let Some(shared) = &target.shared {
        let wanted = bases::of(source, directory, set).await?;
        copied.bases = bases::announce(wanted, shared.as_ref()).await?;
    }
    copy_segments(Arc::clone(&source.log), to, next, through, &mut copied).await?;
    Ok(copied)
}

async fn open_source(choice: &LogChoice) -> Result<OpenLog> {
    Ok(match &choice.url {
        LogUrl::Directory(path) if !path.is_dir() => {
            return Err(Failure::new(Exit::Failed, "there is no such directory").into());
        }
        LogUrl::Directory(path) => {
            let log = DirectoryLog::open_reader(path, DirectoryOptions::default()).await?;
            OpenLog { log: Arc::new(log), shared: None }
        }
        LogUrl::Kafka { brokers, topic } => {
            let (topic, access) = (topic.as_deref(), Access::Read);
            let options = kafka_options(choice, brokers, topic, &access, Instance::UNKNOWN)?;
            let log = Arc::new(KafkaLog::open_reader(options).await?);
            OpenLog { log: Arc::<KafkaLog>::clone(&log), shared: Some(log) }
        }
    })
}

/// The last segment to copy; nothing when the log is damaged: then it is found by reading up to the
/// damage.
async fn end_of(log: &dyn SegmentLog) -> Result<Option<Sequence>, LogError> {
    match log.end().await {
        Ok(end) => Ok(end.map(|end| end.sequence())),
        Err(LogError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
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
    /// Bases that the target did not know of.
    bases: u64,
    /// Where the target ends.
    through: Option<OpTime>,
    /// What of the source cannot be copied, and nothing after it.
    damage: Option<LogError>,
}

impl Copied {
    fn add(&mut self, info: &SegmentInfo) {
        self.segments += 1;
        self.entries += info.seal.entries;
        self.bytes += info.segment_bytes;
        self.through = Some(info.last());
    }

    /// How many segments the target has.
    fn held(&self) -> u64 {
        self.found + self.segments
    }

    /// A copy of a part is no success, whatever the part is good for.
    fn outcome(&self, copy: &LogCopy) -> Result<Exit> {
        let Some(damage) = &self.damage else { return Ok(Exit::Done) };
        let text = format!(
            "{} is damaged after segment {}: {damage}. What comes before is in {}: go on there",
            copy.from,
            self.held(),
            copy.to
        );
        Err(Failure::new(Exit::Failed, text).into())
    }
}

/// The first segment that the target lacks.
async fn after_what_is_there(
    from: &dyn SegmentLog,
    to: &dyn SegmentLog,
    copied: &mut Copied,
) -> Result<Sequence> {
    let Some(held) = to.end().await? else { return Ok(Sequence::FIRST) };
    check_begins_alike(from, &held).await?;
    copied.found = held.sequence().0;
    copied.through = Some(held.last());
    Ok(held.sequence().next())
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

/// Appends the segments from `next` on, through the one that is named, or up to the damage.
async fn copy_segments(
    from: Arc<dyn SegmentLog>,
    to: &dyn SegmentLog,
    next: Sequence,
    through: Option<Sequence>,
    copied: &mut Copied,
) -> Result<()> {
    let of = through.map_or_else(String::new, |through| format!(" of {through}"));
    let mut ahead = read_ahead(from, next, through);
    let mut told = Instant::now();
    while let Some(read) = ahead.recv().await {
        let view = match read.item {
            Ok(view) => view,
            Err(damage @ LogError::Corrupt { .. }) => {
                copied.damage = Some(damage);
                break;
            }
            Err(error) => return Err(error).context(TO_GO_ON),
        };
        let segment = SealedSegment::of(&view)?;
        patiently(|| to.append(segment.clone())).await.context(TO_GO_ON)?;
        copied.add(view.info());
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let sequence = view.info().sequence();
            say(&format!("segment {sequence}{of}: {} bytes copied", copied.bytes));
        }
    }
    let is_whole = through.is_some_and(|through| copied.held() >= through.0);
    anyhow::ensure!(is_whole || copied.damage.is_some(), "reading the source ended too soon");
    Ok(())
}

/// A store out of reach is tried for a while: a copy takes long, and goes on where it stopped all
/// the same.
async fn patiently<T, F>(mut work: impl FnMut() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, LogError>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match work().await {
            Err(error) if error.is_retryable() && backoff.failures() < MOST_FAILURES => {
                say(&format!("{error}; trying again"));
                tokio::time::sleep(backoff.next_delay()).await;
            }
            outcome => return outcome,
        }
    }
}

fn report(global: &Global, copied: &Copied) -> Result<()> {
    match global.output {
        Output::Json => print_json(&json_of(copied)),
        Output::Text => print_line(&text_of(copied)),
    }
}

fn text_of(copied: &Copied) -> String {
    let Copied { segments, entries, bytes, found, bases, through, damage } = copied;
    let ends = match (through, damage) {
        (Some(through), None) => format!("both end at {through}"),
        (Some(through), Some(_)) => format!("the copy ends at {through}"),
        (None, _) => "the copy is empty".to_owned(),
    };
    format!(
        "copied {segments} segments, {entries} entries, {bytes} bytes; {found} were there; {bases} bases announced; \
         {ends}"
    )
}

fn json_of(copied: &Copied) -> Value {
    json!({
        "segments": copied.segments,
        "entries": copied.entries,
        "bytes": copied.bytes,
        "found": copied.found,
        "bases": copied.bases,
        "through": copied.through.map(|through| of_timestamp(through.ts)),
        "damage": copied.damage.as_ref().map(ToString::to_string),
    })
}
