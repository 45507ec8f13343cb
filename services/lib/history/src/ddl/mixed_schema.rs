//! The mark of time-series collections whose buckets may hold mixed types, as the log reports it.
//!
//! A server sets the mark in two ways, and the command itself states neither. The first is a
//! `collMod` with the mark, whose value stands in `o2` alone. The second is any `collMod` while the
//! feature compatibility version goes from 5.0 to 6.0; that change sends a `collMod` to every
//! time-series collection (seen on 6.0.5 and 6.0.27). Going back to 5.0 removes the mark from where
//! queries look, and leaves what is listed; nothing needs a mark there.

use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::time_series::{MIXED_SCHEMA, with_mixed_schema_mark};

use super::Command;
use crate::{ApplyError, CollectionState, Writer};

impl Writer<'_> {
    /// Returns the mark that a `collMod` at this moment sets; `None` if it sets none.
    pub(super) fn mark_set_by_coll_mod(
        &mut self,
        command: &Command<'_>,
    ) -> Result<Option<bool>, ApplyError> {
        if let Some(told) = told_mark(command.o2) {
            return Ok(Some(told));
        }
        let upgrading = self.feature_document(is_upgrade_to_6)?.unwrap_or(false);
        Ok(upgrading.then_some(true))
    }
}

/// Marks a time-series collection. Other collections have no such mark.
pub(super) fn set_mark(state: &mut CollectionState, mark: Option<bool>) -> Result<(), String> {
    if mark.is_some() && state.is_timeseries() {
        let marked = with_mixed_schema_mark(state.options(), mark);
        state.options = marked.map_err(|malformed| malformed.to_string())?;
    }
    Ok(())
}

fn told_mark(o2: Option<Doc<'_>>) -> Option<bool> {
    let parameters = o2?.get(b"backwardsIncompatibleCollModParameters").ok()??.as_doc()?;
    parameters.get(MIXED_SCHEMA.as_bytes()).ok()??.as_bool()
}

/// Whether the document of the feature compatibility version shows a change from 5.0 to 6.0 under
/// way.
fn is_upgrade_to_6(document: Doc<'_>) -> Option<bool> {
    let text = |name: &[u8]| document.get(name).ok().flatten().and_then(Element::as_str);
    Some(text(b"version") == Some("5.0") && text(b"targetVersion") == Some("6.0"))
}
