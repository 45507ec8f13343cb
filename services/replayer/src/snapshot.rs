//! The history at one time, in the form that a restore writes.

use std::sync::Arc;

use hindsight_history::{History, Hold, View};
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;
use hindsight_oplog::time_series::BUCKETS_PREFIX;
use hindsight_restore::commands::VIEWS;
use hindsight_restore::{CollectionState, DocumentIterator, Snapshot, SourceError};

use crate::unlogged;

/// Returns the buckets that this definition of a view shows; `None` for other views.
fn shown_by(db: &str, definition: &[u8]) -> Option<String> {
    let shown = Doc::new(definition).ok()?.get(b"viewOn").ok()??.as_str()?;
    shown.starts_with(BUCKETS_PREFIX).then(|| format!("{db}.{shown}"))
}

fn left_out(ns: &str) -> String {
    format!("{ns} is left out of this history: it is not restored")
}

/// A restorable time of a history. The caller that makes a snapshot has checked that the history
/// has this time.
pub struct HistorySnapshot {
    history: Arc<History>,
    at: Timestamp,
    more_warnings: Vec<String>,
    /// A restore reads the state piece by piece, for hours perhaps: nothing of it may be forgotten
    /// meanwhile.
    _hold: Option<Hold>,
}

impl HistorySnapshot {
    /// Makes a snapshot of the history at this time.
    pub fn new(history: Arc<History>, at: Timestamp) -> Self {
        let hold = history.hold(at);
        Self { history, at, more_warnings: Vec::new(), _hold: hold }
    }

    /// Adds a warning that a restore of this snapshot reports.
    pub fn warning(mut self, warning: Option<String>) -> Self {
        self.more_warnings.extend(warning);
        self
    }

    fn view(&self) -> Result<View<'_>, SourceError> {
        Ok(self.history.reader_at(self.at)?)
    }
}

impl Snapshot for HistorySnapshot {
    fn timestamp(&self) -> Timestamp {
        self.at
    }

    fn collections(&self) -> Result<Vec<CollectionState>, SourceError> {
        let of = |state: Arc<hindsight_history::CollectionState>| {
            let (db, name) = state.ns.split_once('.').ok_or("a collection without a database")?;
            Ok(CollectionState {
                db: db.to_owned(),
                name: name.to_owned(),
                uuid: state.uuid,
                options: state.options.clone(),
                indexes: state.id_index.iter().chain(&state.indexes).cloned().collect(),
                documents_hint: None,
                bytes_hint: None,
            })
        };
        self.view()?.collections().into_iter().filter(|it| !it.excluded).map(of).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = unlogged::warnings(&self.history, self.at);
        let states = self.view().map(|view| view.collections()).unwrap_or_default();
        let excluded = states.iter().filter(|state| state.excluded);
        warnings.extend(excluded.map(|state| left_out(&state.ns)));
        warnings.extend(self.more_warnings.iter().cloned());
        warnings
    }

    fn documents<'a>(
        &'a self,
        collection: &'a CollectionState,
    ) -> Result<DocumentIterator<'a>, SourceError> {
        let view = self.view()?;
        let documents = view.scan_natural(&collection.namespace())?;
        let documents = documents.map(|document| document.map_err(SourceError::from));
        if collection.name != VIEWS {
            return Ok(Box::new(documents));
        }
        // Without its buckets, a time-series collection cannot be made.
        let states = view.collections();
        let excluded = states.iter().filter(|state| state.excluded).map(|state| state.ns.clone());
        let (db, excluded) = (collection.db.clone(), excluded.collect::<Vec<_>>());
        let shows =
            move |document: &[u8]| shown_by(&db, document).is_some_and(|ns| excluded.contains(&ns));
        Ok(Box::new(documents.filter(move |it| !it.as_ref().is_ok_and(|it| shows(it)))))
    }
}
