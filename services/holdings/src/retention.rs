//! Shortens the log, and removes the bases that nothing needs any more.
//!
//! The log is kept for a time before the newest restorable one. What is restorable within that time
//! stays restorable from bases and log alone: the latest base that is exact at its beginning stays,
//! and the log from where that base needs it. Everything before goes, in an order in which no
//! crash leaves a window that rests on something missing: first the history lets go of older bases,
//! then the index forgets these bases, then their files go, then the log's segments, and last
//! what the index knows of these segments.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hindsight_base::Base;
use hindsight_index::{BaseSummary, Index, IndexError, PlanError, View};
use hindsight_log::{LogError, SegmentLog};
use hindsight_runtime::CancellationToken;
use hindsight_segment::Sequence;
use tokio::task::block_in_place;
use tracing::{info, warn};

use crate::open::Opened;

/// The shortest and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Asks the history of this process to need no base older than this one, and no log before the
/// one that this base needs. Returns false while the history is not that far.
pub type RestsOn = Arc<dyn Fn(&BaseSummary) -> bool + Send + Sync>;

/// Why the log could not be shortened. The next look tries again.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Base(#[from] hindsight_base::Error),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Keeps the log for a time before the newest restorable one, until shutdown. The process must be
/// the log's writer.
pub fn keep_log(
    opened: &Opened,
    keep: Duration,
    rests_on: RestsOn,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let retention = Retention {
        log: Arc::clone(&opened.log.log),
        index: Arc::clone(&opened.index),
        bases: opened.bases.clone(),
        keep,
        rests_on,
    };
    let pause = (keep / 100).clamp(PAUSES.0, PAUSES.1);
    async move {
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if let Err(error) = retention.look().await {
                warn!(%error, "the log cannot be shortened; trying again");
            }
        }
    }
}

struct Retention {
    log: Arc<dyn SegmentLog>,
    index: Arc<Index>,
    bases: PathBuf,
    keep: Duration,
    rests_on: RestsOn,
}

impl Retention {
    async fn look(&self) -> Result<(), RetentionError> {
        let Some(surplus) = surplus(&self.index.view(), self.keep)? else { return Ok(()) };
        if !block_in_place(|| (self.rests_on)(&surplus.rest_on)) {
            return Ok(());
        }
        block_in_place(|| self.check_base(&surplus.rest_on.name))?;
        block_in_place(|| surplus.bases.iter().try_for_each(|name| self.remove_base(name)))?;
        self.log.remove_before(surplus.before).await?;
        let forgotten = block_in_place(|| self.index.forget_before(surplus.before.0))?;
        info!(
            begins = %surplus.before,
            segments = forgotten,
            bases = surplus.bases.len(),
            "removed what is older than the log is kept"
        );
        Ok(())
    }

    /// Reads every byte of the base that stays: nothing may go that a damaged base would be
    /// needed for.
    fn check_base(&self, name: &str) -> Result<(), RetentionError> {
        let checked = Base::open(&self.bases.join(name))?.verify(true);
        match checked.faults.into_iter().next() {
            None => Ok(()),
            Some(fault) => Err(fault.into()),
        }
    }

    fn remove_base(&self, name: &str) -> Result<(), RetentionError> {
        self.index.forget_base(name)?;
        hindsight_base::remove(&self.bases.join(name))?;
        // A look at the directory may have found the base again before it was removed.
        self.index.forget_base(name)?;
        Ok(())
    }
}

/// What nothing needs any more.
#[derive(Debug, PartialEq, Eq)]
struct Surplus {
    /// The oldest base that stays.
    rest_on: BaseSummary,
    /// The names of the older bases.
    bases: Vec<String>,
    /// The first segment that stays.
    before: Sequence,
}

/// Returns what is older than the log is kept; `None` while there is nothing.
fn surplus(view: &View<'_>, keep: Duration) -> Result<Option<Surplus>, IndexError> {
    let (windows, oldest) = (view.windows()?, view.oldest()?);
    let (Some(newest), Some(oldest)) = (windows.last(), oldest) else { return Ok(None) };
    // Where the beginning of that time cannot be restored, the next base that can be is awaited.
    let plan = match view.plan(newest.through.second_before(keep)) {
        Ok(plan) => plan,
        Err(PlanError::NotRestorable(_)) => return Ok(None),
        Err(PlanError::Index(error)) => return Err(error),
    };
    let rest_on = plan.base;
    let is_older = |base: &BaseSummary| {
        (base.exact_from, base.capture_from, &base.name)
            < (rest_on.exact_from, rest_on.capture_from, &rest_on.name)
    };
    let bases = view.bases()?.into_iter().filter(is_older).map(|base| base.name);
    let bases: Vec<String> = bases.collect();
    let is_surplus = !bases.is_empty() || oldest.sequence < plan.first_sequence;
    let before = Sequence(plan.first_sequence);
    Ok(is_surplus.then_some(Surplus { rest_on, bases, before }))
}

#[cfg(test)]
mod tests;
