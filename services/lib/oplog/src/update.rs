//! Applies updates (`op: u`) to documents, byte for byte as the server's oplog applier does.
//!
//! An update comes in one of three forms, all found in archives: a whole new document, a delta
//! (`$v: 2`, `delta`), or the operators of MongoDB 4.4 and earlier (`$v: 1`, `modifier`). What a
//! user put into an `applyOps` may be more than that ([`UserUpdate`]).
//!
//! Everything works on raw bytes: what an update does not touch is copied as it stands.

use crate::id_key;
use crate::raw::{Doc, DocWriter, Element};

mod delta;
mod error;
mod limit;
mod modifier;
mod operators;
mod output;
mod user;
mod writes;

pub use error::{DiffFault, UpdateError};
pub use limit::MAX_DOCUMENT;
pub use operators::{Conditions, Now};
pub use user::{Circumstances, UserUpdate, has_empty_timestamp, inserted};
pub use writes::{FieldPath, FieldPathError};

/// The `o` of an update entry, by form. The content is checked when the update is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update<'a> {
    /// The whole new document.
    Replacement(Doc<'a>),
    /// The `diff` of a `$v: 2` update.
    Delta(Doc<'a>),
    /// `$set` and `$unset`, with or without `$v: 1`.
    Modifier(Doc<'a>),
}

impl<'a> Update<'a> {
    /// Finds the form of an entry's `o` in the order in which the server does: a document with
    /// `_id` is a replacement, and then `$v` and `diff` are names like any other.
    ///
    /// # Errors
    /// Returns [`UpdateError::UnknownForm`] when `o` has none of the three forms, and
    /// [`UpdateError::Malformed`] when it is not BSON.
    pub fn parse(o: Doc<'a>) -> Result<Self, UpdateError> {
        let mut version = None;
        let mut diff = None;
        let mut first_is_operator = None;
        for element in o.elements() {
            let element = element?;
            first_is_operator.get_or_insert(element.name.starts_with(b"$"));
            match element.name {
                b"_id" => return Ok(Self::Replacement(o)),
                b"$v" => version = version.or(Some(element)),
                b"diff" => diff = diff.or(Some(element)),
                _ => {}
            }
        }
        match version {
            None if first_is_operator == Some(true) => Ok(Self::Modifier(o)),
            None => Err(UpdateError::UnknownForm("it has neither _id, nor $v, nor operators")),
            Some(version) => match version.as_integer() {
                Some(2) => diff
                    .and_then(Element::as_doc)
                    .map(Self::Delta)
                    .ok_or(UpdateError::UnknownForm("$v is 2 and diff is not a document")),
                Some(1) => Ok(Self::Modifier(o)),
                _ => Err(UpdateError::UnknownForm("its $v is neither 1 nor 2")),
            },
        }
    }

    /// Returns the document after the update.
    ///
    /// # Errors
    /// Returns [`UpdateError`] when this entry cannot be applied to this document: the log or the
    /// document is not what it should be, and nothing may be made up in its place.
    pub fn apply(&self, pre: Doc<'_>) -> Result<Vec<u8>, UpdateError> {
        let id = pre.get(b"_id")?.ok_or(UpdateError::IdChanged)?;
        let post = match *self {
            Self::Replacement(post) => post.as_bytes().to_vec(),
            Self::Delta(diff) => delta::apply(pre, diff)?,
            Self::Modifier(o) => modifier::apply(pre, o)?,
        };
        settle_id(id, post)
    }

    /// Returns the document that the server's upsert makes of an update whose target is missing:
    /// for a replacement the document itself, else a stub that starts from `_id` alone. This is
    /// right only while catching up from an inexact base, where later entries complete or remove
    /// the stub. Otherwise a missing target is corruption.
    ///
    /// # Errors
    /// As for [`Update::apply`].
    pub fn apply_to_missing(&self, id: Element<'_>) -> Result<Vec<u8>, UpdateError> {
        self.apply(Doc::new(&stub(id))?)
    }
}

/// Returns a document that holds only its `_id`.
fn stub(id: Element<'_>) -> Vec<u8> {
    let mut stub = DocWriter::with_capacity(16 + id.value.len());
    stub.value(id.kind, b"_id", id.value);
    stub.finish()
}

/// The server's last step: `_id` comes first, and has the same value as before. It must be the same
/// value, not the same bytes: replacing `{_id: 1}` by `{_id: 1.0}` is allowed, and the server then
/// stores the new bytes.
fn settle_id(before: Element<'_>, post: Vec<u8>) -> Result<Vec<u8>, UpdateError> {
    let doc = Doc::new(&post)?;
    let id = doc.get(b"_id")?.ok_or(UpdateError::IdChanged)?;
    if id != before && !is_same_id(id, before) {
        return Err(UpdateError::IdChanged);
    }
    let is_first = doc.first()?.is_some_and(|first| first.name == b"_id");
    if is_first {
        return Ok(post);
    }
    let mut writer = DocWriter::with_capacity(post.len());
    writer.element(id);
    for element in doc.elements() {
        let element = element?;
        if !std::ptr::eq(element.as_bytes(), id.as_bytes()) {
            writer.element(element);
        }
    }
    Ok(writer.finish())
}

fn is_same_id(left: Element<'_>, right: Element<'_>) -> bool {
    let key = |id: Element<'_>| {
        let mut key = Vec::new();
        id_key::encode(id, &mut key);
        key
    };
    key(left) == key(right)
}

#[cfg(test)]
mod tests;
