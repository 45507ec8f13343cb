//! Which fields an update writes, judged from the update alone: the document is not available.

use super::error::UpdateError;
use super::modifier::EACH;
use super::output::parse_index;
use super::{Update, delta};
use crate::raw::{Doc, MAX_DEPTH};

/// A dotted path as people write it: `status`, `items.price`, `items.3.price`.
///
/// A name of digits in an array is the element at that place. Another name in an array goes on in
/// every element, as in MongoDB's own paths; an array directly in an array is entered by its place
/// only. A field whose name has dots in it is matched by its name, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Box<[u8]>);

/// A text that is not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: a path is names with dots between them, such as items.price")]
pub struct FieldPathError(&'static str);

impl FieldPath {
    /// Parses a path.
    ///
    /// # Errors
    /// Returns [`FieldPathError`] when the text has no name, an empty name, a null byte, or more
    /// than 256 names.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        if text.split('.').any(str::is_empty) {
            return Err(FieldPathError("a name is empty"));
        }
        if text.contains('\0') {
            return Err(FieldPathError("a name cannot hold a null byte"));
        }
        if text.split('.').count() > MAX_DEPTH {
            return Err(FieldPathError("it has too many names"));
        }
        Ok(Self(text.as_bytes().into()))
    }
}

impl Update<'_> {
    /// Returns whether the update sets or unsets that field, a part of it, or something that holds
    /// it. A replacement writes every field.
    ///
    /// Where the update alone does not decide, the answer is true: `$set` of `a.0` may be the first
    /// element of the array `a`, and then changes something that holds `a.b`. Setting a field to
    /// the value that it has counts as setting it.
    ///
    /// # Errors
    /// Returns [`UpdateError`] when the update breaks its grammar, so that nobody can say what it
    /// writes.
    pub fn writes(&self, path: &FieldPath) -> Result<bool, UpdateError> {
        match *self {
            Self::Replacement(_) => Ok(true),
            Self::Delta(diff) => delta::writes(diff, &path.0),
            Self::Modifier(o) => modifier_writes(o, &path.0),
        }
    }
}

/// Where a field of that name lies, as seen from a path.
pub(super) enum Meets<'p> {
    /// At the path, which ends with the name.
    There,
    /// Above the path. The value is what is left of the path.
    Above(&'p [u8]),
    Elsewhere,
}

pub(super) fn meets<'p>(path: &'p [u8], name: &[u8]) -> Meets<'p> {
    match path.strip_prefix(name) {
        Some([]) => Meets::There,
        Some([b'.', rest @ ..]) => Meets::Above(rest),
        _ => Meets::Elsewhere,
    }
}

/// Splits a path into its first name and what is left of it.
pub(super) fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&path[..dot], Some(&path[dot + 1..])),
        None => (path, None),
    }
}

/// Any operator is assumed to write the paths that it names: an `applyOps` that a user ran on 4.4
/// may hold other operators than `$set` and `$unset`.
fn modifier_writes(o: Doc<'_>, path: &[u8]) -> Result<bool, UpdateError> {
    for operator in o.elements() {
        let operator = operator?;
        if operator.name == b"$v" {
            continue;
        }
        let fields = operator
            .as_doc()
            .ok_or_else(|| UpdateError::modifier("operator is not a document", operator.name))?;
        for field in fields.elements() {
            let field = field?;
            // A rename also writes the path that it renames to.
            let renamed_to = match operator.name {
                b"$rename" => field.as_string_bytes(),
                _ => None,
            };
            if overlap(field.name, path) || renamed_to.is_some_and(|to| overlap(to, path)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether one of the two paths leads to what the other leads to, or to something that holds it.
/// `written` names the elements of arrays by their places, which `path` may leave out.
fn overlap(mut written: &[u8], mut path: &[u8]) -> bool {
    // The place in an array that `path` leaves out cannot be the first name, nor a name just after
    // a place.
    let mut may_be_place = false;
    loop {
        let ((name, written_rest), (wanted, path_rest)) = (split(written), split(path));
        if name == wanted {
            let (Some(written_rest), Some(path_rest)) = (written_rest, path_rest) else {
                return true;
            };
            (written, path, may_be_place) = (written_rest, path_rest, true);
        } else if may_be_place && is_place(name) && parse_index(wanted).is_none() {
            let Some(written_rest) = written_rest else { return true };
            (written, may_be_place) = (written_rest, false);
        } else if may_be_place && name == EACH {
            // Every element, so the wanted one, too.
            let (Some(written_rest), Some(path_rest)) = (written_rest, path_rest) else {
                return true;
            };
            (written, path, may_be_place) = (written_rest, path_rest, false);
        } else {
            return false;
        }
    }
}

fn is_place(name: &[u8]) -> bool {
    name == EACH || parse_index(name).is_some()
}

#[cfg(test)]
mod tests;
