//! `log copy`: appends the segments of one log to another, unchanged, and announces the bases that
//! belong to the log.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use hindsight_api::extended_json::of_timestamp;
use hindsight_archiver::{ArchiveError, Copied, Progress, Source, Target, Tell, copy};
use hindsight_holdings::LogChoice;
use serde_json::{Value, json};

use super::print::{print_json, print_line, say};
use crate::exit::{Context, Exit, Failure, Result};
use crate::global::{Global, Output};

/// Interval between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// Copy the segment log.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Append the segments of one log to another, unchanged; continues where an earlier copy
    /// stopped. If the target is a topic, the copy also announces bases in it: those that a source
    /// topic announces, or those in --bases when the source is a directory.
    Copy(LogCopy),
}

/// Arguments of `hindsight log copy`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight log copy --from file:///var/lib/hindsight/log \\\n      --to kafka://k1:9092/hindsight.rs0"
)]
pub(crate) struct LogCopy {
    /// Log to read: file:///path or kafka://host:port/topic.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// Log to append to; it must be empty, or hold the first segments of the log to read.
    #[arg(long, value_name = "URL")]
    pub to: String,
}

impl Log {
    pub(super) async fn run(&self, global: &Global) -> Result<Exit> {
        let Self::Copy(copy) = self;
        copy.run(global).await
    }
}

impl LogCopy {
    async fn run(&self, global: &Global) -> Result<Exit> {
        let from = LogChoice::named(&global.log, "--from", &self.from)?;
        let to = LogChoice::named(&global.log, "--to", &self.to)?;
        if from.url == to.url {
            return Err(Failure::usage("--from and --to name the same log"));
        }
        let tell = teller();
        let source = Source::open(&from).await.with_context(|| format!("open {}", self.from))?;
        let target = Target::open(&to, source.set(), &tell).await;
        let target = target.with_context(|| format!("open {}", self.to))?;
        let copied = copy(&source, target, global.bases.as_deref(), &tell).await;
        let copied = copied.map_err(failure_of)?;
        match global.output {
            Output::Json => print_json(&json_of(&copied))?,
            Output::Text => print_line(&copied.to_string())?,
        }
        self.outcome(&copied)
    }

    /// Returns how the command ends. An incomplete copy is a failure, however useful the part may
    /// be.
    fn outcome(&self, copied: &Copied) -> Result<Exit> {
        let Some(damage) = &copied.damage else { return Ok(Exit::Done) };
        let (from, to, last) = (&self.from, &self.to, copied.last.map_or(0, |last| last.0));
        Err(Failure::other(format!(
            "{from} is damaged after segment {last}: {damage}. What comes before the damage is in {to}: continue there"
        )))
    }
}

/// Names the flag that is wrong.
fn failure_of(error: ArchiveError) -> Failure {
    match error {
        ArchiveError::NoBases(directory) => {
            Failure::other(format!("--bases {}: there is no such directory", directory.display()))
        }
        error => error.into(),
    }
}

/// Prints what the copy tells. Lines about segments come every few seconds.
fn teller() -> Tell {
    let told = Mutex::new(Instant::now());
    Arc::new(move |progress| {
        if let Progress::Appended { .. } = progress {
            let Ok(mut told) = told.lock() else { return };
            if told.elapsed() < PROGRESS {
                return;
            }
            *told = Instant::now();
        }
        say(&line(&progress));
    })
}

fn line(progress: &Progress<'_>) -> String {
    match progress {
        Progress::BasesUnknown => {
            "no bases are announced in the target: name their directory with --bases".to_owned()
        }
        progress => progress.to_string(),
    }
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
