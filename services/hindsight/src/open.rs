//! Opening what a data directory holds, and bringing the derived parts level with the log (I5).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hindsight_history::{History, Settings};
use hindsight_index::{BaseSummary, Index, ResumePoint};
use hindsight_log::{Damage, DirectoryLog, DirectoryOptions, KnownEnd, LogError, SegmentLog};
use hindsight_replayer::{Applied, Engine, Follower};
use hindsight_segment::{SegmentDigest, Sequence, SourceIdentity};
use hindsight_tailer::summary_of;
use tokio::sync::watch;

use crate::api::Service;
use crate::data_dir::{DataDir, Owner};
use crate::exit::{Exit, Failure};

/// The parts of a data directory.
pub struct Opened {
    pub log: Arc<dyn SegmentLog>,
    pub index: Arc<Index>,
    pub history: Arc<History>,
    pub bases: PathBuf,
}

/// The directory that `--log file:///path` names, or the default.
pub fn log_directory(data: &DataDir, url: Option<&str>) -> Result<PathBuf, Failure> {
    let Some(url) = url else { return Ok(data.log()) };
    if let Some(path) = url.strip_prefix("file://")
        && path.starts_with('/')
    {
        return Ok(PathBuf::from(path));
    }
    Err(Failure::usage(format!("--log {url:?} is not supported: write file:///absolute/path")))
}

/// Opens everything. With `capture_of`, for capturing that replica set.
pub async fn open(
    data: &DataDir,
    log: &Path,
    capture_of: Option<SourceIdentity>,
    cache_bytes: usize,
) -> Result<Opened> {
    let writer = capture_of.is_some();
    let expected = capture_of;
    let directory = log.to_owned();
    let index = Index::open(data.index()).context("open the index")?;
    let resume = index.resume_point()?;
    let known = resume.map(|resume| KnownEnd {
        sequence: Sequence(resume.sequence),
        digest: SegmentDigest(resume.digest),
    });
    let options = DirectoryOptions { expected, known };
    let opened = if writer {
        DirectoryLog::open_writer(&directory, options).await
    } else {
        DirectoryLog::open_reader(&directory, options).await
    };
    let log = opened.map_err(|error| match resume {
        Some(resume) => explain(error, &resume, &data.index()),
        None => error.into(),
    })?;
    let log: Arc<dyn SegmentLog> = Arc::new(log);
    level_index(log.as_ref(), &index, resume).await?;
    register_bases(&index, &data.bases())?;
    let settings = Settings { cache_bytes, ..Settings::default() };
    let path = data.history();
    let history = tokio::task::spawn_blocking(move || History::open(&path, settings));
    let history = history.await?.context("open the history")?;
    Ok(Opened { log, index: Arc::new(index), history: Arc::new(history), bases: data.bases() })
}

/// How many headers and seals are read at a time.
const STEP: usize = 256;

/// The index is never ahead of the log: one that is proves that the log has lost segments, or is another log.
fn explain(error: LogError, resume: &ResumePoint, index: &Path) -> anyhow::Error {
    let LogError::Corrupt { damage, .. } = &error else { return error.into() };
    let what = match damage {
        Damage::MissingAfter(_) => "is missing from the log",
        Damage::NotAsKnown => "has changed",
        _ => return error.into(),
    };
    let text = format!(
        "segment {} (through {}) {what}. Put the log's files back. If they are lost for good, delete {} and the \
         history beside it to go on with what is left",
        resume.sequence,
        resume.last,
        index.display()
    );
    Failure::new(Exit::Failed, text).into()
}

/// Absorbs what the index lacks, after its last segment.
async fn level_index(
    log: &dyn SegmentLog,
    index: &Index,
    resume: Option<ResumePoint>,
) -> Result<()> {
    let mut next = resume.map_or(Sequence::FIRST, |resume| Sequence(resume.sequence + 1));
    let Some(end) = log.end().await? else { return Ok(()) };
    while next <= end.sequence() {
        for info in log.infos(next, STEP).await? {
            index.absorb(&summary_of(&info))?;
            next = info.sequence().next();
        }
    }
    Ok(())
}

/// Tells the index of every finished base, and takes those back that are gone.
pub fn register_bases(index: &Index, directory: &Path) -> Result<()> {
    let listing = hindsight_base::list(directory).context("list the bases")?;
    for (path, error) in &listing.damaged {
        tracing::error!(base = %path.display(), %error, "a base is damaged and not used");
    }
    for known in index.view().bases()? {
        if !listing.bases.iter().any(|base| base.name == known.name) {
            index.forget_base(&known.name)?;
        }
    }
    for base in &listing.bases {
        index.absorb_base(&BaseSummary {
            name: base.name.clone(),
            start: base.origin.start.ts,
            capture_from: base.origin.capture_from(),
            exact_from: base.origin.exact_from,
            created_wall_ms: base.origin.created_ms,
            documents: base.documents,
            bytes: base.stored_bytes,
        })?;
    }
    Ok(())
}

/// What commands work on when no process runs: everything in the log is brought into the history first.
pub async fn open_offline(data: &DataDir, owner: Owner) -> Result<Service> {
    let opened = open(data, &data.log(), None, 64 << 20).await?;
    let board = Arc::new(watch::Sender::new(Applied::default()));
    let follower = Follower {
        log: Arc::clone(&opened.log),
        index: Arc::clone(&opened.index),
        history: Arc::clone(&opened.history),
        bases: opened.bases.clone(),
        board: Arc::clone(&board),
        runtime: tokio::runtime::Handle::current(),
    };
    let applied = board.subscribe();
    tokio::task::spawn_blocking(move || follower.catch_up_or_stop()).await?;
    Ok(Service {
        engine: Engine {
            log: opened.log,
            index: opened.index,
            history: opened.history,
            bases: opened.bases,
            applied,
        },
        live: None,
        _owner: Some(owner),
    })
}
