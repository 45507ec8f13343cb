//! Everything that an installation holds, and the questions it answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hindsight_history::{Generation, History, ReadError, View};
use hindsight_index::{GapNotice, Index, PlanError};
use hindsight_log::SegmentLog;
use hindsight_oplog::{TimeSpec, Timestamp};
use hindsight_remedy::Finding;
use hindsight_runtime::Budget;
use tokio::sync::watch;

use crate::error::{QueryError, Why};
use crate::follow::Applied;

mod windows;

pub use windows::Window;

/// How long a question about a restorable time waits for the history to reach that time.
const APPLY_PATIENCE: Duration = Duration::from_secs(30);

/// What is held, and what is known about it. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    /// The log.
    pub log: Arc<dyn SegmentLog>,
    /// The index of the log and of the bases.
    pub index: Arc<Index>,
    /// The history. None in a process that only captures.
    pub history: Option<Arc<History>>,
    /// The directory of bases.
    pub bases: PathBuf,
    /// How far the history is.
    pub applied: watch::Receiver<Applied>,
    /// The memory for what searches and differences hold beyond the minimum that each of them
    /// needs.
    pub memory: Budget,
}

/// The size of [`Engine::memory`] in bytes.
pub const QUERY_MEMORY_BYTES: usize = 128 << 20;

impl Engine {
    /// Returns the restore windows, oldest first. Where the history had to stop before an entry
    /// that it cannot apply, the window ends. Where the history began again with a later base, the
    /// next window begins.
    ///
    /// # Errors
    /// Returns [`QueryError::Corrupt`] when the index cannot be read.
    pub fn windows(&self) -> Result<Vec<Window>, QueryError> {
        let view = self.index.view();
        let windows = view.windows().map_err(QueryError::corrupt)?;
        let windows =
            windows.into_iter().map(|it| Window { from: it.from.ts, through: it.through });
        let applied = self.applied.borrow().clone();
        let end = match applied.stopped {
            Some(_) => applied.through.unwrap_or(Timestamp::ZERO),
            None => Timestamp::MAX,
        };
        let windows = windows::of(windows.collect(), &self.holes(), self.horizon(), end);
        Ok(windows::joined(windows, self.beyond_the_log(&view)?))
    }

    /// Returns the times that the history still has, and that nothing but the history could show:
    /// the log that led there, or the base with which it began, was removed.
    fn beyond_the_log(&self, view: &hindsight_index::View<'_>) -> Result<Vec<Window>, QueryError> {
        let Some(history) = &self.history else { return Ok(Vec::new()) };
        let bases = view.bases().map_err(QueryError::corrupt)?;
        let begins = view.begins().map_err(QueryError::corrupt)?;
        let generations = history.generations();
        let newest = generations.last().map(|generation| generation.id);
        let only_here = |generation: Generation| {
            let (from, through) = generation.window()?;
            let rests_on = bases.iter().find(|base| base.name == generation.rests_on());
            let end = match rests_on {
                Some(base) => base.exact_from.ts,
                None => {
                    let begins = begins.filter(|begins| from < *begins)?;
                    // An earlier generation needs nothing of the log any more.
                    if Some(generation.id) == newest { begins } else { through }
                }
            };
            (from < end).then(|| Window { from, through: through.min(end) })
        };
        Ok(generations.into_iter().filter_map(only_here).collect())
    }

    /// Returns the first entry that the log holds, when segments before it were removed.
    ///
    /// # Errors
    /// Returns [`QueryError::Corrupt`] when the index cannot be read.
    pub fn log_begins(&self) -> Result<Option<Timestamp>, QueryError> {
        self.index.view().begins().map_err(QueryError::corrupt)
    }

    /// Returns the oldest time that the history keeps; zero while nothing was ever forgotten.
    pub fn horizon(&self) -> Timestamp {
        self.history.as_ref().map_or(Timestamp::ZERO, |history| history.horizon())
    }

    fn holes(&self) -> Vec<windows::Hole> {
        let generations = self.history.as_ref().map(|history| history.generations());
        windows::holes(&generations.unwrap_or_default())
    }

    /// Returns the gaps of the log.
    ///
    /// # Errors
    /// Returns [`QueryError::Corrupt`] when the index cannot be read.
    pub fn gaps(&self) -> Result<Vec<GapNotice>, QueryError> {
        self.index.view().gaps().map_err(QueryError::corrupt)
    }

    /// Returns the newest restorable time. None when nothing is restorable.
    ///
    /// # Errors
    /// Returns [`QueryError::Corrupt`] when the index cannot be read.
    pub fn latest(&self) -> Result<Option<Timestamp>, QueryError> {
        Ok(self.windows()?.last().map(|window| window.through))
    }

    /// Resolves what a person wrote to the last timestamp included, and checks that this timestamp
    /// is restorable. With `exclusive`, the text names the first time that is not included.
    ///
    /// # Errors
    /// Returns [`QueryError::InvalidTime`] when the text is not a time, and
    /// [`QueryError::NotRestorable`] when the time cannot be restored.
    pub fn resolve(&self, text: &str, exclusive: bool) -> Result<Timestamp, QueryError> {
        let spec: TimeSpec = text.parse()?;
        let windows = self.windows()?;
        let latest = windows.last().map(|window| window.through).ok_or_else(|| {
            let text =
                "nothing is restorable yet: no base is complete. The status shows its progress";
            QueryError::NotRestorable { why: Why::NoBase, finding: text.into() }
        })?;
        let at =
            if exclusive { spec.before_exclusive(latest) } else { spec.until_inclusive(latest) };
        let can_go_on = self.applied.borrow().stopped.is_none();
        let explained = |refused| explain_second(refused, spec, at, latest, can_go_on);
        self.check_in(&windows, at).map_err(explained)?;
        Ok(at)
    }

    /// Resolves a bound of a search or of a wait. The bound need not be restorable. Returns the
    /// first timestamp included when the bound is the `lower` one, else the last timestamp
    /// included.
    ///
    /// # Errors
    /// Returns [`QueryError::InvalidTime`] when the text is not a time.
    pub fn bound(&self, text: &str, lower: bool) -> Result<Timestamp, QueryError> {
        let spec: TimeSpec = text.parse()?;
        let latest = match spec {
            TimeSpec::Latest => self.latest()?.unwrap_or(Timestamp::MAX),
            _ => Timestamp::MAX,
        };
        Ok(if lower { spec.since_inclusive(latest) } else { spec.until_inclusive(latest) })
    }

    /// Checks that this time can be restored (I8).
    ///
    /// # Errors
    /// Returns [`QueryError::NotRestorable`] with the reason when the time cannot be restored, and
    /// [`QueryError::Corrupt`] when the index cannot be read.
    pub fn check(&self, at: Timestamp) -> Result<(), QueryError> {
        self.check_in(&self.windows()?, at)
    }

    fn check_in(&self, windows: &[Window], at: Timestamp) -> Result<(), QueryError> {
        let horizon = self.horizon();
        if at < horizon {
            return Err(ReadError::Forgotten { at, oldest: horizon }.into());
        }
        if windows.iter().any(|window| window.holds(at)) {
            return Ok(());
        }
        let oldest = windows.first().map(|window| window.from);
        if let Some(oldest) = oldest.filter(|oldest| at < *oldest)
            && self.log_begins()?.is_some()
        {
            return Err(ReadError::Forgotten { at, oldest }.into());
        }
        match self.index.plan(at) {
            Ok(_) => {
                let hole = self.holes().into_iter().find(|hole| hole.contains(at));
                let stopped = self.applied.borrow().stopped.clone();
                let reason = hole.map(|it| it.to_string().into()).or(stopped.map(|it| it.reason));
                // Otherwise the log has reached this time since the windows were read.
                reason.map_or(Ok(()), |Finding { text, remedies }| {
                    let text = format!("{} cannot be restored: {text}", at.for_people());
                    let finding = Finding { text, remedies };
                    Err(QueryError::NotRestorable { why: Why::HistoryStopped, finding })
                })
            }
            Err(PlanError::NotRestorable(why)) => {
                let finding = why.to_string().into();
                Err(QueryError::NotRestorable { why: Why::from(why.as_ref()), finding })
            }
            Err(PlanError::Index(error)) => Err(QueryError::corrupt(error)),
        }
    }

    /// Waits until the history has the state at this time.
    ///
    /// # Errors
    /// Returns [`QueryError::NotRestorable`] when the history stopped before this time,
    /// [`QueryError::NotYet`] when the history is not there after 30 s, and
    /// [`QueryError::Unavailable`] when the process keeps no history or is stopping.
    pub async fn wait_applied(&self, at: Timestamp) -> Result<(), QueryError> {
        self.history()?;
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| {
            applied.through.is_some_and(|through| through >= at) || applied.stopped.is_some()
        });
        match tokio::time::timeout(APPLY_PATIENCE, reached).await {
            Ok(Ok(applied)) => match &applied.stopped {
                Some(stopped) if applied.through.is_none_or(|through| through < at) => {
                    let finding = stopped.reason.clone();
                    Err(QueryError::NotRestorable { why: Why::HistoryStopped, finding })
                }
                _ => Ok(()),
            },
            Ok(Err(_)) => Err(QueryError::unavailable("the process is stopping")),
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

    /// Returns the history, which answers questions about documents.
    ///
    /// # Errors
    /// Returns [`QueryError::Unavailable`] when this process keeps no history.
    pub fn history(&self) -> Result<&Arc<History>, QueryError> {
        self.history.as_ref().ok_or_else(|| {
            let text = "this process captures and keeps no history: ask a replayer of this log";
            QueryError::unavailable(text)
        })
    }

    /// Returns a view of the state at this time.
    ///
    /// # Errors
    /// Returns [`QueryError::NotRestorable`] when the history does not have this time, and
    /// [`QueryError::Unavailable`] when this process keeps no history.
    pub fn view(&self, at: Timestamp) -> Result<View<'_>, QueryError> {
        self.history()?.reader_at(at).map_err(QueryError::from)
    }
}

/// Explains why a whole second cannot be restored. A second is restored whole or not at all (I8).
/// When the end of the second is after everything that is restorable, the refusal says what to ask
/// for instead. `at` is the end of the second.
fn explain_second(
    refused: QueryError,
    spec: TimeSpec,
    at: Timestamp,
    latest: Timestamp,
    can_go_on: bool,
) -> QueryError {
    let QueryError::NotRestorable { why, finding } = refused else { return refused };
    if !matches!(spec, TimeSpec::Second(_)) || at <= latest {
        return QueryError::NotRestorable { why, finding };
    }
    let Finding { text, remedies } = finding;
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
    QueryError::NotRestorable { why, finding: Finding { text, remedies } }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OutOfWindow { .. } => {
                Self::NotRestorable { why: Why::OutOfWindow, finding: error.to_string().into() }
            }
            ReadError::Forgotten { .. } => {
                Self::NotRestorable { why: Why::Horizon, finding: error.to_string().into() }
            }
            ReadError::NoSuchCollection { .. } => Self::NoSuchCollection(error),
            ReadError::Excluded { .. } => Self::Excluded(error),
            ReadError::Store(error) => Self::corrupt(error),
        }
    }
}

#[cfg(test)]
mod tests;
