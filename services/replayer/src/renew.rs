//! Writes a base from the history, so that the source need not be read again.
//!
//! The history at its newest time holds exactly what the log up to the last applied entry makes, so
//! all positions of such a base but one are that entry. The exception is a transaction that is open
//! there: the log is needed from its first entry.

use std::path::Path;
use std::sync::Arc;

use hindsight_base::{
    Base, BaseKind, BaseWriter, CollectionInfo, Error, Origin, Renewal, Source, WriterSettings,
    is_carried,
};
use hindsight_history::{CollectionState, Generation, History, ReadError, View};
use hindsight_oplog::OpTime;
use hindsight_runtime::CancellationToken;

use crate::unlogged;

/// Why no base was written.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The base cannot be written, or the base before it cannot be read.
    #[error(transparent)]
    Base(#[from] Error),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] ReadError),
    /// Shutdown came first.
    #[error("stopping")]
    Stopped,
}

/// Writes a base of the history's newest time into a directory of bases. Reads the whole state, so
/// the calling thread must be allowed to block. What an earlier attempt left behind is removed
/// first.
///
/// A history that is more than `behind` seconds behind `captured`, the last entry of the log, makes
/// no base: it would be old at once.
///
/// # Errors
/// Returns [`RenewError`] when the history cannot be read or the base cannot be written; what was
/// written is removed then.
pub fn renew_base(
    history: &History,
    bases: &Path,
    (captured, behind): (OpTime, u32),
    stop: &CancellationToken,
) -> Result<Renewal, RenewError> {
    let Some(newest) = history.generations().pop() else { return Ok(Renewal::NotNow) };
    let Some((at, oldest_open)) = settled(&newest) else { return Ok(Renewal::NotNow) };
    if at.ts.seconds().saturating_add(behind) < captured.ts.seconds() {
        return Ok(Renewal::NotNow);
    }
    if let Some(difference) = unlogged::warnings(history, at.ts).pop() {
        return Ok(Renewal::NotExact(difference));
    }
    let view = history.reader_at(at.ts)?;
    if let Some(state) = view.collections().iter().find(|state| state.excluded) {
        return Ok(Renewal::NotExact(format!("{} is left out of the history", state.ns)));
    }
    let before = match Base::open(&bases.join(newest.rests_on())) {
        Ok(before) => before,
        Err(error) => return Ok(Renewal::NotExact(error.to_string())),
    };
    hindsight_base::remove_left_overs(bases)?;
    let name = format!("history-{}-{}", at.ts.seconds(), at.ts.increment());
    let writer = BaseWriter::create(bases, &name, WriterSettings::default())?;
    if let Err(error) = write_all(&view, &writer, stop) {
        if let Err(left) = writer.abandon() {
            tracing::warn!(error = %left, "an unfinished base is left behind");
        }
        return Err(error);
    }
    let source = &before.manifest().origin.source;
    let made = writer.finish(origin(at, oldest_open, source))?;
    Ok(Renewal::Made(made.name()))
}

/// Returns the last applied entry, and the first entry of the oldest open transaction. `None` while
/// what is visible at that entry is not settled.
fn settled(newest: &Generation) -> Option<(OpTime, Option<OpTime>)> {
    newest.window()?;
    let progress = newest.progress?;
    (progress.through == progress.applied.ts).then_some((progress.applied, progress.oldest_open))
}

fn origin(at: OpTime, oldest_open: Option<OpTime>, source: &Source) -> Origin {
    Origin {
        kind: BaseKind::History,
        source: source.clone(),
        start: at,
        oldest_open,
        scanned_after: at.ts,
        exact_from: at,
        created_ms: i64::from(at.ts.seconds()) * 1000,
    }
}

fn write_all(
    view: &View<'_>,
    writer: &BaseWriter,
    stop: &CancellationToken,
) -> Result<(), RenewError> {
    for state in view.collections() {
        let Some(info) = info_of(&state) else { continue };
        let mut collection = writer.collection(info);
        for document in view.scan_natural(&state.ns)? {
            if stop.is_cancelled() {
                return Err(RenewError::Stopped);
            }
            collection.write(&document.map_err(ReadError::from)?)?;
        }
        collection.finish()?;
    }
    Ok(())
}

/// Returns a collection as a base describes it; `None` when a base does not hold the collection.
fn info_of(state: &Arc<CollectionState>) -> Option<CollectionInfo> {
    let (db, name) = state.ns.split_once('.')?;
    // From 8.3 on a time-series can be one collection, without a view.
    let is_viewless = state.is_timeseries() && !name.starts_with("system.buckets.");
    is_carried(db, name).then(|| CollectionInfo {
        db: db.to_owned(),
        name: name.to_owned(),
        uuid: state.uuid,
        kind: if is_viewless { "timeseries" } else { "collection" }.to_owned(),
        options: state.options.clone(),
        id_index: state.id_index.clone(),
        indexes: state.id_index.iter().chain(&state.indexes).cloned().collect(),
    })
}
