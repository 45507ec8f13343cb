//! The operators of a field's condition, such as `{$gt: 5, $lt: 8}`.

use std::sync::Arc;

use hindsight_oplog::Series;
use hindsight_oplog::raw::{Doc, Element, kind};

use super::condition::{Comparison, Condition, Test};
use super::parse::{comparison, conjunction, is_expression};
use super::types::TypeSet;
use super::{all, argument, element as element_match};
use crate::error::QueryError;
use crate::path::Path;
use crate::pattern::Pattern;
use crate::value::Value;

/// Appends the conditions that a document of operators puts on a field.
pub(super) fn operators(
    field: &[u8],
    path: &Arc<Path>,
    operators: Doc<'_>,
    version: Series,
    out: &mut Vec<Condition>,
) -> Result<(), QueryError> {
    let mut has_options = false;
    let mut has_regex = false;
    for element in operators.elements() {
        let element = element?;
        match element.name {
            // `$regex` and `$options` are one condition, whatever their order.
            b"$options" => has_options = true,
            b"$regex" if has_regex => {}
            b"$regex" => {
                has_regex = true;
                let pattern = argument::pattern(field, operators, version)?;
                out.push(Condition::Field(Arc::clone(path), Test::Pattern(Box::new(pattern))));
            }
            _ => out.push(operator(field, path, element, version)?),
        }
    }
    if has_options && !has_regex {
        return Err(QueryError::invalid(field, "$options stands beside a $regex only; add it"));
    }
    Ok(())
}

fn operator(
    field: &[u8],
    path: &Arc<Path>,
    element: Element<'_>,
    version: Series,
) -> Result<Condition, QueryError> {
    let value = Value::from(element);
    let is = |test| Ok(Condition::Field(Arc::clone(path), test));
    let compare = |how| comparison(field, Arc::clone(path), how, value);
    match element.name {
        b"$eq" => compare(Comparison::Equal),
        b"$lt" => compare(Comparison::Less),
        b"$lte" => compare(Comparison::LessOrEqual),
        b"$gt" => compare(Comparison::Greater),
        b"$gte" => compare(Comparison::GreaterOrEqual),
        b"$ne" if value.kind == kind::REGEX => {
            Err(QueryError::invalid(field, "$ne takes no regular expression; use $not"))
        }
        b"$ne" => compare(Comparison::Equal).map(not),
        b"$in" => is(list(field, element, version)?),
        b"$nin" => is(list(field, element, version)?).map(not),
        b"$not" => negation(field, path, element, version),
        b"$exists" if value.is_true() => is(Test::Exists),
        b"$exists" => is(Test::Exists).map(not),
        b"$type" => is(Test::Type(TypeSet::parse(field, value)?)),
        b"$mod" => is(argument::modulo(field, value)?),
        b"$size" => is(Test::Size(argument::size(field, value)?)),
        b"$elemMatch" => element_match::element(field, path, value, version),
        b"$all" => all::all(field, path, value, version),
        name if is_unsupported(name) => Err(QueryError::unsupported(name)),
        name => {
            let reason = format!("{} is no operator for a field", crate::error::shown(name));
            Err(QueryError::invalid(field, reason))
        }
    }
}

pub(super) fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn is_unsupported(name: &[u8]) -> bool {
    name.starts_with(b"$bits")
        || name.starts_with(b"$_internal")
        || matches!(
            name,
            b"$geoIntersects"
                | b"$geoNear"
                | b"$geoWithin"
                | b"$near"
                | b"$nearSphere"
                | b"$within"
        )
}

/// Whether this name is an operator that must not stand as a value of `$all`.
pub(super) fn is_refused_in_all(name: &[u8]) -> bool {
    is_unsupported(name)
        || matches!(
            name,
            b"$all"
                | b"$elemMatch"
                | b"$eq"
                | b"$exists"
                | b"$gt"
                | b"$gte"
                | b"$in"
                | b"$lt"
                | b"$lte"
                | b"$mod"
                | b"$ne"
                | b"$nin"
                | b"$options"
                | b"$regex"
                | b"$size"
                | b"$type"
        )
}

/// Returns the condition that a BSON regular expression puts on a field.
pub(super) fn pattern(
    field: &[u8],
    path: Arc<Path>,
    value: Value<'_>,
    version: Series,
) -> Result<Condition, QueryError> {
    let pattern = Pattern::of_value(field, value, version)?;
    Ok(Condition::Field(path, Test::Pattern(Box::new(pattern))))
}

fn negation(
    field: &[u8],
    path: &Arc<Path>,
    element: Element<'_>,
    version: Series,
) -> Result<Condition, QueryError> {
    let value = Value::from(element);
    if value.kind == kind::REGEX {
        return pattern(field, Arc::clone(path), value, version).map(not);
    }
    let Some(inner) = element.as_doc().filter(|inner| !inner.is_empty()) else {
        let reason = "$not takes a regular expression or a document of operators";
        return Err(QueryError::invalid(field, reason));
    };
    let mut all = Vec::new();
    operators(field, path, inner, version, &mut all)?;
    Ok(not(conjunction(all)))
}

/// Parses the values of `$in` and `$nin`.
fn list(field: &[u8], element: Element<'_>, version: Series) -> Result<Test, QueryError> {
    let Some(array) = element.as_array() else {
        return Err(QueryError::invalid(field, "$in and $nin take an array"));
    };
    let (mut values, mut patterns, mut null) = (Vec::new(), Vec::new(), false);
    for element in array.elements() {
        let value = Value::from(element?);
        match value.kind {
            kind::REGEX => patterns.push(Pattern::of_value(field, value, version)?),
            kind::UNDEFINED => {
                let reason = "$in and $nin cannot find undefined; use null, or $type";
                return Err(QueryError::invalid(field, reason));
            }
            _ if is_expression(value) => {
                let reason = "$in and $nin take values, no operators; use $or";
                return Err(QueryError::invalid(field, reason));
            }
            _ => {
                null |= value.kind == kind::NULL;
                values.push(value.to_owned());
            }
        }
    }
    values.sort_by(|a, b| a.compare(b.get()));
    Ok(Test::In { values, null, patterns })
}
