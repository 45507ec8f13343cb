//! Dotted paths, and the values in a document to which they lead.
//!
//! A name leads into a field of a document. At an array a path does two things at once: it goes on
//! in every element that is a document, and a name of digits leads to the element at that place. So
//! one path leads to many values, and a filter matches if any of these values does.

use hindsight_oplog::raw::{Doc, Element, kind};

use crate::error::QueryError;
use crate::value::Value;

/// The most names a path may have. The server has the same limit, and it bounds the recursion here.
const MOST_NAMES: usize = 180;

/// What happens to an array at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtArray {
    /// The path leads to the elements of the array, and then to the array itself.
    Enter,
    /// The array is one value.
    Whole,
}

/// Called with each value; `None` is a place without a value, which counts as a missing value.
/// Returning true ends the walk.
type Visit<'f> = &'f mut dyn FnMut(Option<Value<'_>>) -> bool;

/// A path, split at its dots.
#[derive(Debug)]
pub(crate) struct Path(Box<[Box<[u8]>]>);

impl Path {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, QueryError> {
        let names = text.split(|&byte| byte == b'.');
        if names.clone().nth(MOST_NAMES).is_some() {
            let reason = format!("a path of more than {MOST_NAMES} names; shorten it");
            return Err(QueryError::invalid(text, reason));
        }
        Ok(Self(names.map(Box::from).collect()))
    }

    /// Visits the values to which the path leads until `visit` returns true. Returns whether it
    /// did.
    pub(crate) fn any(&self, doc: Doc<'_>, at_array: AtArray, visit: Visit<'_>) -> bool {
        in_document(doc, &self.0, at_array, visit)
    }
}

/// `names` is not empty.
fn in_document(doc: Doc<'_>, names: &[Box<[u8]>], at_array: AtArray, visit: Visit<'_>) -> bool {
    let mut doc = doc;
    for (at, name) in names.iter().enumerate() {
        let rest = &names[at + 1..];
        // An element that is not well-formed counts as missing.
        let Ok(Some(element)) = doc.get(name) else { return visit(None) };
        match element.kind {
            kind::ARRAY if !goes_on(rest) && at_array == AtArray::Whole => {
                return visit(Some(element.into()));
            }
            kind::ARRAY => return in_array(element, rest, at_array, visit),
            _ if rest.is_empty() => return visit(Some(element.into())),
            kind::DOCUMENT => match element.as_doc() {
                Some(inner) => doc = inner,
                None => return visit(None),
            },
            _ => return visit(None),
        }
    }
    visit(None)
}

fn in_array(array: Element<'_>, rest: &[Box<[u8]>], at_array: AtArray, visit: Visit<'_>) -> bool {
    let Some(elements) = array.as_array() else { return false };
    let goes_on = goes_on(rest);
    for element in elements.elements() {
        let Ok(element) = element else { break };
        let found = if goes_on {
            in_element(element, rest, at_array, visit)
        } else {
            visit(Some(element.into()))
        };
        if found {
            return true;
        }
    }
    !goes_on && visit(Some(Value::from(array)))
}

/// Continues in one element of an array. `rest` is not empty.
fn in_element(
    element: Element<'_>,
    rest: &[Box<[u8]>],
    at_array: AtArray,
    visit: Visit<'_>,
) -> bool {
    let inner = element.as_doc();
    if let Some(inner) = inner
        && in_document(inner, rest, at_array, visit)
    {
        return true;
    }
    let (name, rest) = (&rest[0], &rest[1..]);
    if **name != *element.name || !name.iter().all(u8::is_ascii_digit) {
        return false;
    }
    match inner {
        _ if rest.is_empty() => visit(Some(element.into())),
        Some(inner) => in_document(inner, rest, at_array, visit),
        // A path enters an array directly in an array only by its place.
        None if element.kind == kind::ARRAY => in_array(element, rest, at_array, visit),
        None => false,
    }
}

/// Whether a path goes on. As on the server, a dot at the end of a path adds nothing at an array.
fn goes_on(rest: &[Box<[u8]>]) -> bool {
    match rest {
        [] => false,
        [last] => !last.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
