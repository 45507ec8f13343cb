//! The order of BSON values, under simple collation.
//!
//! Values are ordered by type ([`canonical`]), then by value. Numbers of all four types count as
//! one type and compare exactly; NaN is below all other numbers and equal to itself. Strings and
//! symbols count as one type, too. Documents compare element by element: by type, then by name,
//! then by value; a prefix comes first.

use std::cmp::Ordering;

use bson::{RawBsonRef, RawDocumentBuf};
use hindsight_oplog::id_key;
use hindsight_oplog::raw::{Doc, Element, kind};

use crate::value::Value;

/// Deeper nesting is compared as bytes. The server stores no document that deep.
const DEEPEST: usize = 256;

/// Compares two values as MongoDB sorts them.
pub fn compare(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> Ordering {
    let holder = |value: RawBsonRef<'_>| {
        let mut holder = RawDocumentBuf::new();
        holder.append(bson::raw::cstr!(""), value);
        holder
    };
    let (a, b) = (holder(a), holder(b));
    match (first(a.as_bytes()), first(b.as_bytes())) {
        (Some(a), Some(b)) => compare_elements(a, b),
        // Values from a document do not get here. The result is still an order.
        _ => a.as_bytes().cmp(b.as_bytes()),
    }
}

fn first(document: &[u8]) -> Option<Element<'_>> {
    Doc::new(document).ok()?.first().ok()?
}

/// Compares the values of two elements as MongoDB sorts them; their names do not matter.
pub fn compare_elements(a: Element<'_>, b: Element<'_>) -> Ordering {
    compare_values(a.into(), b.into())
}

/// Returns whether a value is a string or holds one, so that equality with it depends on the
/// collation of the collection. The value must have been validated: validation bounds its depth.
pub fn holds_strings(element: Element<'_>) -> bool {
    Value::from(element).holds_strings()
}

pub(crate) fn compare_values(a: Value<'_>, b: Value<'_>) -> Ordering {
    compare_within(a, b, DEEPEST)
}

/// The place of a type in the order. A missing value has the place of undefined.
pub(crate) fn canonical(kind: u8) -> u8 {
    match kind {
        kind::MIN_KEY => 0,
        kind::UNDEFINED => 1,
        kind::NULL => 5,
        kind::INT32 | kind::INT64 | kind::DOUBLE | kind::DECIMAL128 => 10,
        kind::STRING | kind::SYMBOL => 15,
        kind::DOCUMENT => 20,
        kind::ARRAY => 25,
        kind::BINARY => 30,
        kind::OBJECT_ID => 35,
        kind::BOOL => 40,
        kind::DATE => 45,
        kind::TIMESTAMP => 47,
        kind::REGEX => 50,
        kind::DB_POINTER => 55,
        kind::CODE => 60,
        kind::CODE_WITH_SCOPE => 65,
        _ => 127,
    }
}

fn compare_within(a: Value<'_>, b: Value<'_>, depth_left: usize) -> Ordering {
    canonical(a.kind).cmp(&canonical(b.kind)).then_with(|| compare_same_type(a, b, depth_left))
}

/// Compares two values of the same canonical type.
fn compare_same_type(a: Value<'_>, b: Value<'_>, depth_left: usize) -> Ordering {
    match a.kind {
        kind::INT32 | kind::INT64 | kind::DOUBLE | kind::DECIMAL128 => compare_numbers(a, b),
        kind::STRING | kind::SYMBOL | kind::CODE => a.text().cmp(b.text()),
        kind::DOCUMENT | kind::ARRAY => match (a.embedded(), b.embedded()) {
            (Some(a), Some(b)) => compare_documents(a, b, depth_left),
            _ => a.bytes.cmp(b.bytes),
        },
        // By length, then subtype, then bytes; the length is the prefix of both types.
        kind::BINARY | kind::DB_POINTER => {
            a.bytes.len().cmp(&b.bytes.len()).then_with(|| a.bytes.cmp(b.bytes))
        }
        kind::DATE => a.integer().cmp(&b.integer()),
        kind::TIMESTAMP => (a.integer() as u64).cmp(&(b.integer() as u64)),
        kind::REGEX => a.regex().cmp(&b.regex()),
        kind::CODE_WITH_SCOPE => compare_scoped(a, b, depth_left),
        // Object ids and booleans compare by their bytes. The remaining types have no bytes.
        _ => a.bytes.cmp(b.bytes),
    }
}

fn compare_documents(a: Doc<'_>, b: Doc<'_>, depth_left: usize) -> Ordering {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return a.as_bytes().cmp(b.as_bytes());
    };
    let (mut a, mut b) = (a.elements(), b.elements());
    loop {
        let (a, b) = match (a.next(), b.next()) {
            (Some(Ok(a)), Some(Ok(b))) => (a, b),
            (Some(Ok(_)), _) => return Ordering::Greater,
            (_, Some(Ok(_))) => return Ordering::Less,
            _ => return Ordering::Equal,
        };
        let order = canonical(a.kind)
            .cmp(&canonical(b.kind))
            .then_with(|| a.name.cmp(b.name))
            .then_with(|| compare_same_type(a.into(), b.into(), depth_left));
        if order.is_ne() {
            return order;
        }
    }
}

fn compare_scoped(a: Value<'_>, b: Value<'_>, depth_left: usize) -> Ordering {
    match (scoped(a.bytes), scoped(b.bytes)) {
        (Some((a_code, a_scope)), Some((b_code, b_scope))) => {
            a_code.cmp(b_code).then_with(|| compare_documents(a_scope, b_scope, depth_left))
        }
        _ => a.bytes.cmp(b.bytes),
    }
}

/// The code and the scope of a code with scope.
fn scoped(bytes: &[u8]) -> Option<(&[u8], Doc<'_>)> {
    let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let scope_at = length.checked_add(8)?;
    Some((bytes.get(8..scope_at.checked_sub(1)?)?, Doc::new(bytes.get(scope_at..)?).ok()?))
}

fn compare_numbers(a: Value<'_>, b: Value<'_>) -> Ordering {
    match (a.kind, b.kind) {
        (kind::INT32 | kind::INT64, kind::INT32 | kind::INT64) => a.integer().cmp(&b.integer()),
        (kind::DOUBLE, kind::DOUBLE) => compare_doubles(a.double(), b.double()),
        (kind::INT32 | kind::INT64, kind::DOUBLE) => compare_mixed(a.integer(), b.double()),
        (kind::DOUBLE, kind::INT32 | kind::INT64) => {
            compare_mixed(b.integer(), a.double()).reverse()
        }
        _ => compare_by_key(a, b),
    }
}

fn compare_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Exact: an integer beyond 53 bits is not rounded to a double first.
fn compare_mixed(integer: i64, double: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() || double < -LIMIT {
        Ordering::Greater
    } else if double >= LIMIT {
        Ordering::Less
    } else {
        let whole = double.trunc();
        integer.cmp(&(whole as i64)).then_with(|| compare_doubles(0.0, double - whole))
    }
}

/// Compares decimals by the keys that `_id` values have.
fn compare_by_key(a: Value<'_>, b: Value<'_>) -> Ordering {
    let key = |value: Value<'_>| {
        let mut key = Vec::with_capacity(48);
        id_key::encode_number(value.kind, value.bytes, &mut key).ok().map(|()| key)
    };
    key(a).cmp(&key(b))
}

#[cfg(test)]
mod tests;
