//! `$all`.

use std::sync::Arc;

use hindsight_oplog::Series;
use hindsight_oplog::raw::{Doc, Element, kind};

use super::condition::Condition;
use super::element as element_match;
use super::field::{is_refused_in_all, pattern};
use super::parse::equality;
use crate::error::QueryError;
use crate::path::Path;
use crate::value::Value;

/// Requires all of these values, or an element for each of these `$elemMatch`. An empty array
/// matches nothing.
pub(super) fn all(
    field: &[u8],
    path: &Arc<Path>,
    value: Value<'_>,
    version: Series,
) -> Result<Condition, QueryError> {
    let Some(array) = value.embedded().filter(|_| value.kind == kind::ARRAY) else {
        return Err(QueryError::invalid(field, "$all takes an array"));
    };
    let Some(first) = array.first()? else { return Ok(Condition::Always(false)) };
    let is_of_elements = element_query(first)?.is_some();
    let one = |element: Result<Element<'_>, _>| {
        let element = element?;
        match element_query(element)? {
            _ if !is_of_elements => one_value(field, path, element, version),
            Some(query) => element_match::element(field, path, query, version),
            None => {
                let reason = "every value of $all has to be an $elemMatch if the first one is";
                Err(QueryError::invalid(field, reason))
            }
        }
    };
    array.elements().map(one).collect::<Result<_, _>>().map(Condition::All)
}

/// Returns the argument of `{$elemMatch: …}`, and `None` for other values.
fn element_query(element: Element<'_>) -> Result<Option<Value<'_>>, QueryError> {
    let first = element.as_doc().map(Doc::first).transpose()?.flatten();
    Ok(first.filter(|first| first.name == b"$elemMatch").map(Value::from))
}

fn one_value(
    field: &[u8],
    path: &Arc<Path>,
    element: Element<'_>,
    version: Series,
) -> Result<Condition, QueryError> {
    let value = Value::from(element);
    if value.kind == kind::REGEX {
        return pattern(field, Arc::clone(path), value, version);
    }
    let first = element.as_doc().map(Doc::first).transpose()?.flatten();
    if first.is_some_and(|first| is_refused_in_all(first.name)) {
        let reason = "$all takes values, no operators but $elemMatch; use $and";
        return Err(QueryError::invalid(field, reason));
    }
    equality(field, Arc::clone(path), value)
}
