//! Reverts as callers see them: what the API says is different becomes the file of a revert, and
//! the plan and the report are told to people and to programs.

mod outcome;
mod planned;

use std::collections::BTreeMap;

use anyhow::Context;
use hindsight_extended_json::Notation;
use hindsight_revert::Totals;

pub use outcome::Outcome;
pub use planned::{Planned, Planning};

/// Number of documents, or of conflicts, that a text names.
const SHOWN: usize = 10;

/// Returns the `_id` of `{_id: …}`, as a line shows it.
fn id_text(id: &[u8]) -> anyhow::Result<String> {
    let document = hindsight_api::extended_json::written(id, Notation::Relaxed)?;
    let id = document.value(b"_id").context("a document without _id")?;
    Ok(serde_json::to_string(&id)?)
}

/// Returns what was or would be written, collection by collection.
fn listed(totals: &BTreeMap<String, Totals>) -> String {
    let each = totals.iter().map(|(ns, it)| {
        let Totals { inserted, replaced, deleted } = it;
        format!("{ns}: {inserted} inserted again, {replaced} replaced, {deleted} deleted")
    });
    each.collect::<Vec<_>>().join("; ")
}
