//! What a revert did.

use std::path::Path;

use anyhow::{Context, Result};
use hindsight_extended_json::Notation;
use hindsight_revert::{Conflict, Direction, Report};
use serde_json::{Value, json};

use crate::{SHOWN, id_text, listed};

/// What a revert did, by the file that it was made from.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// What was written, and what was left alone.
    pub report: &'a Report,
    /// The file of the revert.
    pub file: &'a Path,
    /// Whether the revert was undone.
    pub direction: Direction,
}

impl Outcome<'_> {
    /// Returns the first documents that were left alone, a line each.
    ///
    /// # Errors
    /// Returns an error when an id cannot be written.
    pub fn lines(&self) -> Result<Vec<String>> {
        let line = |it: &Conflict| -> Result<String> {
            Ok(format!("left alone: {} {}: {}", it.ns, id_text(&it.id)?, it.reason))
        };
        self.report.conflicts.iter().take(SHOWN).map(line).collect()
    }

    /// Returns the outcome for programs. Its field `summary` is for people.
    ///
    /// # Errors
    /// Returns an error when an id cannot be written.
    pub fn json(&self) -> Result<Value> {
        let conflict = |it: &Conflict| -> Result<Value> {
            let id = hindsight_api::extended_json::written(&it.id, Notation::Canonical)?;
            let id = id.value(b"_id").context("a conflict without _id")?;
            Ok(json!({"ns": it.ns, "id": id, "reason": it.reason}))
        };
        let Report { written, already, conflicts, conflict_count } = self.report;
        let conflicts: Vec<Value> = conflicts.iter().map(conflict).collect::<Result<_>>()?;
        let documents = self.report.totals().documents();
        let verb = match self.direction {
            Direction::Revert => "reverted",
            Direction::Undo => "undone",
        };
        Ok(json!({
            "dry_run": false,
            "documents": documents,
            "collections": written,
            "already": already,
            "conflicts": conflicts,
            "conflict_count": conflict_count,
            "file": self.file,
            "summary": format!(
                "{verb}: {documents} documents written ({}), {already} were so already, {conflict_count} left alone",
                listed(written)
            ),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_alone_is_named() {
        let id = bson::doc! {"_id": 7}.to_vec().expect("BSON");
        let conflict =
            Conflict { ns: "shop.orders".into(), id, reason: "somebody wrote it".into() };
        let report = Report {
            already: 2,
            conflicts: vec![conflict],
            conflict_count: 1,
            ..Report::default()
        };
        let file = Path::new("r.bson");
        let outcome = Outcome { report: &report, file, direction: Direction::Undo };
        assert_eq!(
            outcome.lines().expect("text"),
            ["left alone: shop.orders 7: somebody wrote it"]
        );
        let json = outcome.json().expect("JSON");
        assert_eq!(json["conflicts"][0]["id"], json!({"$numberInt": "7"}));
        assert!(json["summary"].as_str().is_some_and(|it| it.starts_with("undone: 0 documents")));
    }
}
