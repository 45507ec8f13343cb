//! Counts what was compared, so that a test that compares nothing is noticed.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};
use bson::{Bson, Document};
use hindsight_query::QueryError;

use super::server::Answer;

/// Operators that must have matched some documents and not others.
const TELLING: [&str; 20] = [
    "$all",
    "$and",
    "$elemMatch",
    "$eq",
    "$exists",
    "$gt",
    "$gte",
    "$in",
    "$lt",
    "$lte",
    "$mod",
    "$ne",
    "$nin",
    "$nor",
    "$not",
    "$options",
    "$or",
    "$regex",
    "$size",
    "$type",
];

#[derive(Default)]
pub(super) struct Tally {
    pub(super) filters: Side,
    pub(super) projections: Side,
    matched_all: u64,
    matched_none: u64,
    matched_some: u64,
    /// How many filters with each operator matched some documents but not all.
    telling: BTreeMap<String, u64>,
}

#[derive(Default, Debug)]
pub(super) struct Side {
    /// How many were compared, not counting those that we do not support.
    pub(super) compared: u64,
    refused: u64,
    unsupported: u64,
}

impl Side {
    pub(super) fn count(&mut self, theirs: &Answer, ours: Option<&QueryError>) {
        if let Some(QueryError::Unsupported(_)) = ours {
            self.unsupported += 1;
            return;
        }
        self.compared += 1;
        self.refused += u64::from(matches!(theirs, Answer::Refused(_)));
    }
}

impl Tally {
    pub(super) fn outcome(&mut self, filter: &Document, matched: usize, of: usize) {
        if matched == 0 {
            self.matched_none += 1;
        } else if matched == of {
            self.matched_all += 1;
        } else {
            self.matched_some += 1;
            self.operators(filter);
        }
    }

    fn operators(&mut self, filter: &Document) {
        for (name, value) in filter {
            if name.starts_with('$') {
                *self.telling.entry(name.clone()).or_default() += 1;
            }
            match value {
                Bson::Document(inner) => self.operators(inner),
                Bson::Array(inner) => {
                    inner.iter().filter_map(Bson::as_document).for_each(|d| self.operators(d));
                }
                _ => {}
            }
        }
    }

    /// Checks the counts of a run of the usual length; a shorter run may miss some operators.
    pub(super) fn ensure_it_says_something(&self, version: (i32, i32)) -> Result<()> {
        if self.filters.compared < super::FILTERS {
            return Ok(());
        }
        ensure!(self.matched_some * 5 > self.filters.compared, "few filters told apart: {self}");
        ensure!(self.filters.refused * 3 < self.filters.compared, "many filters refused: {self}");
        for operator in TELLING {
            // See versions.rs.
            if operator == "$mod" && version < (5, 0) {
                continue;
            }
            ensure!(self.telling.contains_key(operator), "{operator} told nothing apart: {self}");
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "filters: {:?}; projections: {:?}", self.filters, self.projections)?;
        writeln!(
            f,
            "filters matched all {}, some {}, none {}",
            self.matched_all, self.matched_some, self.matched_none
        )?;
        write!(f, "telling operators: {:?}", self.telling)
    }
}
