//! Follows the log: loads bases and applies segments to the history, in log order, on one thread.

mod applier;
mod begin;
mod board;
mod error;
mod load;
#[cfg(test)]
mod shapes;
mod sightings;
mod units;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hindsight_history::History;
use hindsight_index::{Index, Run};
use hindsight_log::SegmentLog;
use hindsight_runtime::{Backoff, Board, CancellationToken};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::read_ahead::ReadAhead;
use applier::Taken;
pub use board::{Applied, Stopped};
use error::Needs;
pub use error::{FollowError, NamedEntry};

/// How long to wait for news before looking at the log without news.
const IDLE: Duration = Duration::from_millis(500);
/// The longest delay between attempts to continue after a failure.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// The longest time between two flushes of the history's memory. It bounds how much must be applied
/// again after a crash.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);

/// What to do next. Decided from values alone.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    LoadBase(String),
    Apply,
    /// Wait for a base, or for more segments.
    Wait,
}

/// Follows the log and keeps the history up to date.
pub struct Follower {
    /// The log that is followed.
    pub log: Arc<dyn SegmentLog>,
    /// The index of the log and of the bases.
    pub index: Arc<Index>,
    /// The history that is written.
    pub history: Arc<History>,
    /// The directory of bases.
    pub bases: PathBuf,
    /// Where the follower publishes how far the history is.
    pub board: Board<Applied>,
    /// The runtime on which the log is read.
    pub runtime: Handle,
}

impl Follower {
    /// Follows until shutdown, on a thread that may block. An entry that cannot be applied stops
    /// the history, not the process: what the history holds stays readable, and the reason is on
    /// the board. `news` changes when there may be new segments or bases.
    ///
    /// # Errors
    /// Returns an error when the history cannot be flushed at shutdown.
    pub fn run<T>(
        &self,
        news: &mut watch::Receiver<T>,
        shutdown: &CancellationToken,
    ) -> Result<(), FollowError> {
        // What earlier processes applied can be read even when there is nothing to add to it.
        self.publish_stored(0);
        let mut backoff = Backoff::new(IDLE, MAX_DELAY);
        let mut ended = false;
        while !shutdown.is_cancelled() {
            let applied = || self.board.read(|board| board.applied);
            let before = applied();
            let done = match ended {
                true => self.begin_again(news, shutdown),
                false => self.follow(news, shutdown),
            };
            let Err(error) = done else {
                ended = false;
                self.goes_on();
                backoff.reset();
                continue;
            };
            match error.needs() {
                Needs::Patience => self.waits_for(&error),
                Needs::Help => self.stops_for(&error),
                Needs::NewBase => {
                    ended = true;
                    self.stops_for(&error);
                }
                Needs::Nothing => {
                    self.stops_for(&error);
                    self.runtime.block_on(shutdown.cancelled());
                }
            }
            if applied() != before {
                backoff.reset();
            }
            // The loop itself checks for shutdown.
            let _ = self.runtime.block_on(backoff.pause(shutdown));
        }
        self.history.flush()?;
        Ok(())
    }

    /// Takes in everything the log holds now, and returns. When an entry ends the history, the
    /// history begins again with the next base, if there is one.
    ///
    /// # Errors
    /// Returns the failure that the history cannot get past.
    pub fn catch_up(&self) -> Result<(), FollowError> {
        self.publish_stored(0);
        let never = CancellationToken::new();
        loop {
            let next = self.next()?;
            let done = match &next {
                Next::Wait => return Ok(()),
                Next::LoadBase(name) => self.load_base(name, &never),
                Next::Apply => self.apply::<()>(None, &never),
            };
            let Err(error) = done else { continue };
            let later = match error.needs() {
                Needs::NewBase => self.later_base()?,
                _ => None,
            };
            let Some(later) = later else { return Err(error) };
            tracing::warn!(%error, base = later, "the history ends here, and begins again with a later base");
            self.load_base(&later, &never)?;
        }
    }

    /// Like [`Follower::catch_up`], but puts a failure on the board instead of returning it.
    pub fn catch_up_or_stop(&self) {
        if let Err(error) = self.catch_up() {
            self.stops_for(&error);
        }
    }

    fn follow<T>(
        &self,
        news: &mut watch::Receiver<T>,
        shutdown: &CancellationToken,
    ) -> Result<(), FollowError> {
        match self.next()? {
            Next::Wait => self.wait(news, shutdown),
            Next::LoadBase(name) => self.load_base(&name, shutdown)?,
            Next::Apply => self.apply(Some(news), shutdown)?,
        }
        Ok(())
    }

    fn wait<T>(&self, news: &mut watch::Receiver<T>, shutdown: &CancellationToken) {
        self.runtime.block_on(async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = tokio::time::timeout(IDLE, news.changed()) => {}
            }
        });
    }

    fn next(&self) -> Result<Next, FollowError> {
        let view = self.index.view();
        let (runs, bases) = (view.runs()?, view.bases()?);
        let current = self.history.generations().pop();
        let Some(current) = current else {
            let base = runs.iter().find_map(|run| oldest_base(run, &bases));
            return Ok(base.map_or(Next::Wait, Next::LoadBase));
        };
        let Some(known) = bases.iter().find(|base| base.name == current.rests_on()) else {
            return Err(FollowError::base_is_gone(current.rests_on()));
        };
        let from = known.capture_from;
        let Some(at) = runs.iter().position(|run| run.first <= from && from <= run.last) else {
            return Ok(Next::Wait);
        };
        if current.applied().is_none_or(|applied| applied < runs[at].last) {
            return Ok(Next::Apply);
        }
        let later = runs[at + 1..].iter().find_map(|run| oldest_base(run, &bases));
        Ok(later.map_or(Next::Wait, Next::LoadBase))
    }

    /// Applies segments of the current run until there are no more.
    fn apply<T>(
        &self,
        mut news: Option<&mut watch::Receiver<T>>,
        shutdown: &CancellationToken,
    ) -> Result<(), FollowError> {
        let mut writer = self.history.writer()?;
        let mut applier = self.applier(&writer)?;
        let mut sequence = self.first_segment(&applier)?;
        let mut flushed = Instant::now();
        let finder = looks_ahead().then_some(&self.history);
        let mut ahead = ReadAhead::new(&self.log, finder, &self.runtime);
        while !shutdown.is_cancelled() {
            let summary = self.index.view().segment(sequence.0)?;
            let Some(summary) = summary else {
                match news.as_deref_mut() {
                    Some(news) => self.wait(news, shutdown),
                    None => break,
                }
                continue;
            };
            if summary.gap_before.is_some() && summary.first > applier.units.base().capture_from {
                break;
            }
            let mut segment =
                ahead.take(sequence, self.index.view().segment(sequence.0 + 1)?.is_some())?;
            writer.use_ahead(segment.documents.take());
            let outcome = applier.apply_segment(&segment, &mut writer);
            // Also after a failure: what came before the failed entry is in the history.
            self.publish_stored(applier.entries);
            if let Taken::NeedsEarlier(entry) = outcome? {
                self.go_back(entry, &mut applier)?;
                sequence = self.first_segment(&applier)?;
                continue;
            }
            self.goes_on();
            if flushed.elapsed() > FLUSH_INTERVAL {
                writer.flush()?;
                flushed = Instant::now();
            }
            sequence = sequence.next();
        }
        writer.flush()?;
        Ok(())
    }
}

/// Whether documents are found ahead of their entries. On one or two cores that costs more than it
/// spares (docs/decisions/0027). Tests do so on any machine.
fn looks_ahead() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cfg!(test) || cores > 2
}

/// Returns the oldest base whose entries the run holds.
fn oldest_base(run: &Run, bases: &[hindsight_index::BaseSummary]) -> Option<String> {
    let inside =
        bases.iter().filter(|base| run.first <= base.capture_from && base.capture_from <= run.last);
    inside.min_by_key(|base| base.exact_from).map(|base| base.name.clone())
}

#[cfg(test)]
mod tests;
