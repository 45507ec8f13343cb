//! Everything that is held, and the questions it answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hindsight_history::{History, ReadError, View};
use hindsight_index::{GapNotice, Index, PlanError};
use hindsight_log::SegmentLog;
use hindsight_oplog::{TimeSpec, Timestamp};
use hindsight_runtime::Budget;
use tokio::sync::watch;

use crate::error::{QueryError, Why};
use crate::follow::Applied;

mod windows;

pub use windows::Window;

/// How long a question about a restorable time waits for the history to get there.
const APPLY_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Engine {
    pub log: Arc<dyn SegmentLog>,
    pub index: Arc<Index>,
    /// None in a process that captures only.
    pub history: Option<Arc<History>>,
    pub bases: PathBuf,
    pub applied: watch::Receiver<Applied>,
    /// What searches and differences hold beyond the least that each of them needs.
    pub memory: Budget,
}

/// For [`Engine::memory`].
pub const QUERY_MEMORY_BYTES: usize = 128 << 20;

impl Engine {
    /// Restore windows, oldest first. Where the history had to stop before an entry it cannot
    /// apply, the window ends there; where it began again with a later base, the next one begins.
    pub fn windows(&self) -> Result<Vec<Window>, QueryError> {
        let windows = self.index.windows().map_err(QueryError::corrupt)?;
        let windows =
            windows.into_iter().map(|it| Window { from: it.from.ts, through: it.through });
        let applied = self.applied.borrow().clone();
        let end = match applied.stopped {
            Some(_) => applied.through.unwrap_or(Timestamp::ZERO),
            None => Timestamp::MAX,
        };
        Ok(windows::of(windows.collect(), &self.holes(), end))
    }

    fn holes(&self) -> Vec<windows::Hole> {
        let generations = self.history.as_ref().map(|history| history.generations());
        windows::holes(&generations.unwrap_or_default())
    }

    pub fn gaps(&self) -> Result<Vec<GapNotice>, QueryError> {
        self.index.view().gaps().map_err(QueryError::corrupt)
    }

    /// The newest restorable time.
    pub fn latest(&self) -> Result<Option<Timestamp>, QueryError> {
        Ok(self.windows()?.last().map(|window| window.through))
    }

    /// Resolves what a person wrote to the last timestamp included, and checks that it is
    /// restorable.
    pub fn resolve(&self, text: &str, exclusive: bool) -> Result<Timestamp, QueryError> {
        let spec: TimeSpec =
            text.parse().map_err(|error| QueryError::InvalidTime(format!("{error}")))?;
        let latest = self.latest()?.ok_or_else(|| {
            let text = "nothing is restorable yet: no base is complete. `hindsight status` shows its progress";
            QueryError::NotRestorable { why: Why::NoBase, text: text.into() }
        })?;
        let at =
            if exclusive { spec.before_exclusive(latest) } else { spec.until_inclusive(latest) };
        let can_go_on = self.applied.borrow().stopped.is_none();
        let explained = |refused| explain_second(refused, spec, at, latest, can_go_on);
        self.check(at).map_err(explained)?;
        Ok(at)
    }

    /// Resolves a bound of a search or of a wait, which need not be restorable: the first timestamp
    /// included if it is the lower one, else the last.
    pub fn bound(&self, text: &str, lower: bool) -> Result<Timestamp, QueryError> {
        let spec: TimeSpec =
            text.parse().map_err(|error| QueryError::InvalidTime(format!("{error}")))?;
        let latest = match spec {
            TimeSpec::Latest => self.latest()?.unwrap_or(Timestamp::MAX),
            _ => Timestamp::MAX,
        };
        Ok(if lower { spec.since_inclusive(latest) } else { spec.until_inclusive(latest) })
    }

    /// May this time be restored (I8)?
    pub fn check(&self, at: Timestamp) -> Result<(), QueryError> {
        if self.windows()?.iter().any(|window| window.from <= at && at <= window.through) {
            return Ok(());
        }
        match self.index.plan(at) {
            Ok(_) => {
                let hole = self.holes().into_iter().find(|hole| hole.contains(at));
                let stopped = self.applied.borrow().stopped.clone();
                let reason = hole.map(|it| it.to_string()).or(stopped.map(|it| it.reason));
                // Else the log has reached it since the windows were looked at.
                reason.map_or(Ok(()), |reason| {
                    let text = format!("{} cannot be restored: {reason}", at.for_people());
                    Err(QueryError::NotRestorable { why: Why::HistoryStopped, text })
                })
            }
            Err(PlanError::NotRestorable(why)) => {
                let text = why.to_string();
                Err(QueryError::NotRestorable { why: Why::from(why.as_ref()), text })
            }
            Err(PlanError::Index(error)) => Err(QueryError::corrupt(error)),
        }
    }

    /// Waits until the history has the state at this time.
    pub async fn wait_applied(&self, at: Timestamp) -> Result<(), QueryError> {
        self.history()?;
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| {
            applied.through.is_some_and(|through| through >= at) || applied.stopped.is_some()
        });
        match tokio::time::timeout(APPLY_PATIENCE, reached).await {
            Ok(Ok(applied)) => match &applied.stopped {
                Some(stopped) if applied.through.is_none_or(|through| through < at) => {
                    let text = stopped.reason.clone();
                    Err(QueryError::NotRestorable { why: Why::HistoryStopped, text })
                }
                _ => Ok(()),
            },
            Ok(Err(_)) => Err(QueryError::Unavailable("the process is stopping".into())),
            Err(_) => {
                let through = self.applied.borrow().through;
                let reason = through.map_or_else(
                    || "the base is still being loaded".to_owned(),
                    |through| format!("the history has reached {through}"),
                );
                Err(QueryError::NotYet { at, reason })
            }
        }
    }

    /// What answers about documents.
    pub fn history(&self) -> Result<&Arc<History>, QueryError> {
        self.history.as_ref().ok_or_else(|| {
            let text = "this process captures and keeps no history: ask a replayer of this log";
            QueryError::Unavailable(text.into())
        })
    }

    pub fn view(&self, at: Timestamp) -> Result<View<'_>, QueryError> {
        self.history()?.reader_at(at).map_err(QueryError::from)
    }
}

/// A whole second is had whole or not at all (I8). Where its end is after everything that is
/// restorable, the refusal says what can be asked for instead. `at` is the end of that second.
fn explain_second(
    refused: QueryError,
    spec: TimeSpec,
    at: Timestamp,
    latest: Timestamp,
    can_go_on: bool,
) -> QueryError {
    let QueryError::NotRestorable { why, text } = refused else { return refused };
    if !matches!(spec, TimeSpec::Second(_)) || at <= latest {
        return QueryError::NotRestorable { why, text };
    }
    let newest = latest.for_people();
    let instead =
        format!("the newest restorable position is {newest}: ask for `latest` or {latest}");
    let text = if why == Why::OutOfWindow && can_go_on {
        let second = TimeSpec::Second(at.seconds());
        format!(
            "the second {second} is not held to its end yet, and {instead}, or wait (an idle source writes a \
             no-op every 10 s)"
        )
    } else {
        format!("{text}; {instead}")
    };
    QueryError::NotRestorable { why, text }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OutOfWindow { .. } => {
                Self::NotRestorable { why: Why::OutOfWindow, text: error.to_string() }
            }
            ReadError::NoSuchCollection { .. } => Self::NoSuchCollection(error.to_string()),
            ReadError::Store(error) => Self::Corrupt(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
