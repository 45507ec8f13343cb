//! `log copy`: appends the segments of one log to another, unchanged, and announces the bases that
//! belong to the log.

mod ahead;
mod bases;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hindsight_api::extended_json::of_timestamp;
use hindsight_holdings::{Access, LogChoice, LogUrl, OpenLog, kafka_options};
use hindsight_log::{
    DirectoryLog, DirectoryOptions, Instance, KafkaLog, Leader, LogError, SegmentLog, SharedLog,
};
use hindsight_oplog::OpTime;
use hindsight_runtime::Backoff;
use hindsight_segment::{SealedSegment, SegmentInfo, Sequence, SourceIdentity};
use serde_json::{Value, json};

use super::{print_json, print_line, say};
use crate::cli::{Global, LogCopy, Output};
use crate::exit::{Context, Exit, Failure, Result};
use ahead::read_ahead;

/// Interval between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// A leader of the target that shows no sign of life for this long is gone.
const LEADER_PATIENCE: Duration = Duration::from_secs(4);
/// Number of retries of one step before the copy gives up.
const MOST_FAILURES: u32 = 10;
const TO_GO_ON: &str = "the next `log copy` continues from here";

pub(super) async fn run(global: &Global, copy: &LogCopy) -> Result<Exit> {
    let from = LogChoice::named(&global.log, "--from", &copy.from)?;
    let to = LogChoice::named(&global.log, "--to", &copy.to)?;
    if from.url == to.url {
        return Err(Failure::usage("--from and --to name the same log"));
    }
    let source = open_source(&from).await.with_context(|| format!("open {}", copy.from))?;
    let Some(first) = source.log.infos(Sequence::FIRST, 1).await?.pop() else {
        return Err(Failure::NotRestorable(format!("{} is empty", copy.from)));
    };
    let set = &first.header.source;
    let through = end_of(source.log.as_ref()).await?;
    let target = open_target(&to, set).await.with_context(|| format!("open {}", copy.to))?;
    let copied = fill(&target, &source, &first, through, global.bases.as_deref()).await;
    let left = target.leave().await;
    let copied = copied?;
    left?;
    report(global, &copied)?;
    copied.outcome(copy)
}

/// Brings the target level with the source. Bases are announced first, so that the target knows
/// them even when the copy ends early.
async fn fill(
    target: &Target,
    source: &OpenLog,
    first: &SegmentInfo,
    through: Option<Sequence>,
    directory: Option<&Path>,
) -> Result<Copied> {
    let mut copied = Copied::default();
    let (from, to) = (source.log.as_ref(), target.log.as_ref());
    let next = after_what_is_there(from, first.sequence(), to, &mut copied).await?;
    if let Some(shared) = &target.shared {
        let wanted = bases::of(source, directory, &first.header.source).await?;
        copied.bases = bases::announce(wanted, shared.as_ref()).await?;
    }
    copy_segments(Arc::clone(&source.log), to, next, through, &mut copied).await?;
    Ok(copied)
}

async fn open_source(choice: &LogChoice) -> Result<OpenLog> {
    Ok(match &choice.url {
        LogUrl::Directory(path) if !path.is_dir() => {
            return Err(Failure::other("there is no such directory"));
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

/// Returns the last segment to copy. Returns None when the log is damaged: the copy then reads up
/// to the damage.
async fn end_of(log: &dyn SegmentLog) -> Result<Option<Sequence>, LogError> {
    match log.end().await {
        Ok(end) => Ok(end.map(|end| end.sequence())),
        Err(LogError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The log to append to. Other writers are kept out of it during the copy.
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

/// Refuses the copy when a tailer captures into the target: a copy must not fence a tailer.
async fn refuse_if_led(log: &dyn SharedLog) -> Result<()> {
    let first = log.observe().await?;
    if first.epoch.0 == 0 || first.has_resigned {
        return Ok(());
    }
    say(&format!("waiting to see whether {} still captures into the target", first.name));
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
    /// Segments that the target already had.
    found: u64,
    /// Bases that the target did not know.
    bases: u64,
    /// The sequence of the target's last segment; 0 when it has none.
    last: u64,
    /// Where the target ends.
    through: Option<OpTime>,
    /// The damage in the source, at which the copy ends.
    damage: Option<LogError>,
}

impl Copied {
    fn add(&mut self, info: &SegmentInfo) {
        self.segments += 1;
        self.entries += info.seal.entries;
        self.bytes += info.segment_bytes;
        self.last = info.sequence().0;
        self.through = Some(info.last());
    }

    /// Returns how the command ends. An incomplete copy is a failure, however useful the part may
    /// be.
    fn outcome(&self, copy: &LogCopy) -> Result<Exit> {
        let Some(damage) = &self.damage else { return Ok(Exit::Done) };
        let text = format!(
            "{} is damaged after segment {}: {damage}. What comes before the damage is in {}: continue there",
            copy.from, self.last, copy.to
        );
        Err(Failure::other(text))
    }
}

/// Returns the first segment that the target lacks. `begins` is the first segment that the source
/// has.
async fn after_what_is_there(
    from: &dyn SegmentLog,
    begins: Sequence,
    to: &dyn SegmentLog,
    copied: &mut Copied,
) -> Result<Sequence> {
    let Some(held) = to.end().await? else {
        return match begins {
            Sequence::FIRST => Ok(begins),
            _ => Err(begins_too_late(begins, "is empty".to_owned())),
        };
    };
    check_follows(from, begins, &held).await?;
    let first = to.begin().await?.map_or(Sequence::FIRST, |beginning| beginning.sequence);
    copied.found = (held.sequence().0 + 1).saturating_sub(first.0);
    copied.last = held.sequence().0;
    copied.through = Some(held.last());
    Ok(held.sequence().next())
}

/// Checks that the target's last segment is also in the source, or is the last one that was removed
/// from it: otherwise the two are not the same log.
async fn check_follows(from: &dyn SegmentLog, begins: Sequence, held: &SegmentInfo) -> Result<()> {
    if held.sequence().next() < begins {
        let ends = format!("ends with segment {}", held.sequence());
        return Err(begins_too_late(begins, ends));
    }
    let infos = from.infos(held.sequence(), 1).await?;
    let is_the_log = infos.first().is_some_and(|info| match info.sequence() == held.sequence() {
        true => info.digest == held.digest,
        false => info.header.predecessor == held.digest,
    });
    if is_the_log {
        return Ok(());
    }
    let text = format!(
        "the target ends with segment {} (through {}), which is not in the source: copy into an empty log",
        held.sequence(),
        held.last()
    );
    Err(Failure::other(text))
}

/// Segments were removed from the source that the target lacks. What comes after them cannot be
/// appended, because a log has no holes.
fn begins_too_late(begins: Sequence, target: String) -> Failure {
    let text = format!(
        "the log to copy begins with segment {begins}, because those before were removed, and the target {target}. \
         Copy into a copy of this log that goes at least to segment {}, or keep a copy of the files of a log in a \
         directory",
        begins.0 - 1
    );
    Failure::other(text)
}

/// Appends the segments from `next` on, up to and including `through`, or up to the damage.
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
    let is_whole = through.is_some_and(|through| copied.last >= through.0);
    match is_whole || copied.damage.is_some() {
        true => Ok(()),
        false => Err(Failure::other("reading the source ended too early")),
    }
}

/// Retries `work` for a while when a log cannot be reached, because a copy takes long. A copy that
/// gives up can be continued from where it stopped.
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
    let Copied { segments, entries, bytes, found, bases, through, last: _, damage } = copied;
    let ends = match (through, damage) {
        (Some(through), None) => format!("both end at {through}"),
        (Some(through), Some(_)) => format!("the copy ends at {through}"),
        (None, _) => "the copy is empty".to_owned(),
    };
    format!(
        "copied {segments} segments, {entries} entries, {bytes} bytes; {found} were already there; {bases} bases \
         announced; {ends}"
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
