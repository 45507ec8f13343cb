//! `$elemMatch`.

use std::sync::Arc;

use hindsight_oplog::Series;
use hindsight_oplog::raw::{Doc, kind};

use super::condition::{Condition, Test};
use super::field as fields;
use super::parse::{document, is_pathless};
use crate::error::QueryError;
use crate::path::Path;
use crate::value::Value;

/// Tests for an array with an element for which the whole argument holds. Operators test the
/// element itself. A query tests the fields of an element that is a document, or the places of an
/// element that is an array.
pub(super) fn element(
    field: &[u8],
    path: &Arc<Path>,
    value: Value<'_>,
    version: Series,
) -> Result<Condition, QueryError> {
    let Some(query) = value.embedded().filter(|_| value.kind == kind::DOCUMENT) else {
        return Err(QueryError::invalid(field, "$elemMatch takes a document"));
    };
    let test = if is_of_operators(query)? {
        let mut all = Vec::new();
        fields::operators(field, path, query, version, &mut all)?;
        Test::ElementValue(all)
    } else {
        Test::ElementDocument(Box::new(document(query, version)?))
    };
    Ok(Condition::Field(Arc::clone(path), test))
}

/// Whether the argument consists of operators. The names of a reference begin as operators do, but
/// they are fields, so they begin a query.
fn is_of_operators(query: Doc<'_>) -> Result<bool, QueryError> {
    let Some(first) = query.first()? else { return Ok(false) };
    Ok(first.name.strip_prefix(b"$").is_some_and(|operator| !is_pathless(operator)))
}
