//! Parses the document of a filter, and the operators that stand in it without a field.

use std::sync::Arc;

use hindsight_oplog::Series;
use hindsight_oplog::raw::{Doc, Element, kind};

use super::condition::{Comparison, Condition, Test};
use super::{argument, field};
use crate::MAX_DEPTH;
use crate::error::QueryError;
use crate::path::Path;
use crate::value::Value;

/// Parses a whole filter. The filter is checked as a whole first, so the rest of the code meets
/// only well-formed documents of a bounded depth.
pub(super) fn filter(doc: Doc<'_>, version: Series) -> Result<Condition, QueryError> {
    check(doc, MAX_DEPTH)?;
    document(doc, version)
}

/// Walks a document and everything in it, and refuses bytes that are not BSON and nesting that is
/// too deep. Shared with projections.
pub(crate) fn check(doc: Doc<'_>, depth_left: usize) -> Result<(), QueryError> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        let reason = format!("nested more than {MAX_DEPTH} deep; the server refuses it, too");
        return Err(QueryError::Invalid(reason));
    };
    for element in doc.elements() {
        if let Some(inner) = Value::from(element?).embedded() {
            check(inner, depth_left)?;
        }
    }
    Ok(())
}

/// Parses all conditions of a document, those on fields and those without a field.
pub(super) fn document(doc: Doc<'_>, version: Series) -> Result<Condition, QueryError> {
    let mut all = Vec::new();
    for element in doc.elements() {
        let element = element?;
        if let Some(operator) = element.name.strip_prefix(b"$") {
            all.extend(pathless(operator, element, version)?);
            continue;
        }
        let path = Arc::new(Path::parse(element.name)?);
        let value = Value::from(element);
        if is_expression(value) {
            field::operators(
                element.name,
                &path,
                element.as_doc().unwrap_or(Doc::EMPTY),
                version,
                &mut all,
            )?;
        } else if value.kind == kind::REGEX {
            all.push(field::pattern(element.name, path, value, version)?);
        } else {
            all.push(equality(element.name, path, value)?);
        }
    }
    Ok(conjunction(all))
}

/// Joins conditions. A single condition needs no list.
pub(super) fn conjunction(mut all: Vec<Condition>) -> Condition {
    match all.pop() {
        Some(only) if all.is_empty() => only,
        Some(last) => {
            all.push(last);
            Condition::All(all)
        }
        None => Condition::Always(true),
    }
}

pub(super) fn equality(
    field: &[u8],
    path: Arc<Path>,
    value: Value<'_>,
) -> Result<Condition, QueryError> {
    comparison(field, path, Comparison::Equal, value)
}

pub(super) fn comparison(
    field: &[u8],
    path: Arc<Path>,
    comparison: Comparison,
    value: Value<'_>,
) -> Result<Condition, QueryError> {
    if value.kind == kind::UNDEFINED {
        let reason = "nothing can be compared with undefined; use null, or $type";
        return Err(QueryError::invalid(field, reason));
    }
    if value.kind == kind::REGEX && comparison != Comparison::Equal {
        let reason = "a regular expression has no order; use $regex, or $eq for a stored one";
        return Err(QueryError::invalid(field, reason));
    }
    Ok(Condition::Field(path, Test::Compare(comparison, value.to_owned())))
}

/// Whether an operator, given without its `$`, stands without a field.
pub(super) fn is_pathless(operator: &[u8]) -> bool {
    is_unsupported_pathless(operator)
        || matches!(
            operator,
            b"and"
                | b"or"
                | b"nor"
                | b"comment"
                | b"alwaysTrue"
                | b"alwaysFalse"
                | b"ref"
                | b"id"
                | b"db"
        )
}

fn is_unsupported_pathless(operator: &[u8]) -> bool {
    matches!(operator, b"expr" | b"where" | b"text" | b"jsonSchema" | b"sampleRate")
        || matches!(
            operator,
            b"_internalSchemaAllowedProperties"
                | b"_internalSchemaCond"
                | b"_internalSchemaMaxProperties"
                | b"_internalSchemaMinProperties"
                | b"_internalSchemaRootDocEq"
                | b"_internalSchemaXor"
        )
}

/// Returns `None` for an operator that asks nothing.
fn pathless(
    operator: &[u8],
    element: Element<'_>,
    version: Series,
) -> Result<Option<Condition>, QueryError> {
    let value = Value::from(element);
    Ok(Some(match operator {
        b"and" => conjunction(entries(element, version)?),
        b"or" => Condition::Any(entries(element, version)?),
        b"nor" => Condition::Not(Box::new(Condition::Any(entries(element, version)?))),
        b"comment" => return Ok(None),
        b"alwaysTrue" | b"alwaysFalse" => {
            if argument::integer(value) != Some(1) {
                return Err(QueryError::invalid(element.name, "takes the number 1 only"));
            }
            Condition::Always(operator == b"alwaysTrue")
        }
        // The names in a reference stand for fields, although they begin as operators do.
        b"ref" | b"id" | b"db" => {
            equality(element.name, Arc::new(Path::parse(element.name)?), value)?
        }
        _ if is_unsupported_pathless(operator) => {
            return Err(QueryError::unsupported(element.name));
        }
        b"not" => {
            let reason = "stands within a field's condition only; use $nor to negate a filter";
            return Err(QueryError::invalid(element.name, reason));
        }
        _ => {
            let reason = "no operator that stands outside a field's condition";
            return Err(QueryError::invalid(element.name, reason));
        }
    }))
}

/// Parses the filters of `$and`, `$or`, `$nor`.
fn entries(element: Element<'_>, version: Series) -> Result<Vec<Condition>, QueryError> {
    let Some(array) = element.as_array().filter(|array| !array.is_empty()) else {
        return Err(QueryError::invalid(element.name, "takes an array of at least one filter"));
    };
    let entry = |entry: Result<Element<'_>, _>| match entry?.as_doc() {
        Some(filter) => document(filter, version),
        None => Err(QueryError::invalid(element.name, "every entry has to be a filter document")),
    };
    array.elements().map(entry).collect()
}

/// Whether a value is a document of operators. A reference (`$ref` with `$id`) is a value to
/// compare with.
pub(super) fn is_expression(value: Value<'_>) -> bool {
    let Some(doc) = value.embedded().filter(|_| value.kind == kind::DOCUMENT) else {
        return false;
    };
    if !matches!(doc.first(), Ok(Some(first)) if first.name.starts_with(b"$")) {
        return false;
    }
    let (mut has_ref, mut has_id) = (false, false);
    for element in doc.elements().map_while(Result::ok) {
        has_ref |= element.name == b"$ref";
        has_id |= element.name == b"$id";
    }
    !(has_ref && has_id)
}
