//! Filters decide which documents a query selects.

use bson::RawDocument;
use hindsight_oplog::Series;
use hindsight_oplog::raw::Doc;

use crate::error::QueryError;
use condition::Condition;

mod all;
mod argument;
mod condition;
mod element;
mod field;
mod parse;
mod types;

pub(crate) use parse::check;

/// A parsed filter. A filter owns the values that it compares with, and many threads may use it.
#[derive(Debug)]
pub struct Filter {
    condition: Condition,
    version: Series,
}

impl Filter {
    /// Parses a filter as `find` of that server version takes it. The cost is linear in the size of
    /// the filter.
    ///
    /// # Errors
    /// Returns [`QueryError`] when the filter is invalid, not supported, or not BSON.
    pub fn parse(filter: &RawDocument, version: Series) -> Result<Self, QueryError> {
        let condition = parse::filter(Doc::new(filter.as_bytes())?, version)?;
        Ok(Self { condition, version })
    }

    /// Returns whether the filter selects the document. A part of the document that is not
    /// well-formed counts as missing.
    pub fn matches(&self, document: &RawDocument) -> bool {
        Doc::new(document.as_bytes())
            .is_ok_and(|document| self.condition.holds_for(document, self.version))
    }

    /// Returns whether the filter compares any value that is a string or holds one. If so, a
    /// collection with its own collation may have other matches than those found here. Regular
    /// expressions do not depend on the collation.
    pub fn compares_strings(&self) -> bool {
        self.condition.compares_strings()
    }
}

#[cfg(test)]
mod tests;
