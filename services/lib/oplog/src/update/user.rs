//! Updates as a user gives them in an `applyOps`, which MongoDB 6.0 and earlier log word for word.

use super::modifier;
use super::operators::{Conditions, Now, Rules};
use super::{Update, UpdateError, settle_id, stub};
use crate::raw::{Doc, Element, kind};

/// What the result of a user's update depends on besides the update and its document.
#[derive(Clone, Copy)]
pub struct Circumstances<'c> {
    /// Major number of the feature compatibility version; `None` if it is not known.
    pub server: Option<u32>,
    /// Whether the collection has its own collation.
    pub has_collation: bool,
    /// Judges the conditions of `$pull`.
    pub conditions: &'c dyn Conditions,
    /// The server's clock when it applied the entry, as far as the entry shows it.
    pub now: Now,
}

/// An update in a user's `applyOps`, by form. Unlike [`Update`], which the server itself logs, it
/// may hold any operator, and a replacement need not hold the `_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserUpdate<'a> {
    /// An update in a form that the server itself logs.
    Logged(Update<'a>),
    /// A whole new document without its `_id` (up to 5.0).
    Bare(Doc<'a>),
    /// Any operators.
    Operators(Doc<'a>),
}

impl<'a> UserUpdate<'a> {
    /// Finds the form as the server does (seen on 4.4.2, 5.0.4, 6.0.5 and 6.0.27).
    ///
    /// # Errors
    /// Returns [`UpdateError`] when none of these servers accepts the update.
    pub fn parse(o: Doc<'a>, server: Option<u32>) -> Result<Self, UpdateError> {
        /// From this major number on, an update with neither `_id` nor `$v` has operators, if any.
        const OPERATORS_SINCE: u32 = 6;
        match Update::parse(o) {
            Ok(Update::Modifier(o)) => Ok(Self::Operators(o)),
            Ok(logged) => Ok(Self::Logged(logged)),
            Err(UpdateError::UnknownForm(_)) if o.get(b"$v")?.is_none() => match server {
                Some(server) if o.is_empty() && server >= OPERATORS_SINCE => Ok(Self::Operators(o)),
                _ => Ok(Self::Bare(o)),
            },
            Err(error) => Err(error),
        }
    }

    /// Returns the document after the update of `pre`.
    ///
    /// # Errors
    /// See [`Update::apply`].
    pub fn apply(&self, pre: Doc<'_>, here: &Circumstances<'_>) -> Result<Vec<u8>, UpdateError> {
        self.make(pre, here, false)
    }

    /// Returns the document that the update inserts when there is none. It holds the `_id` and what
    /// the update sets; other fields of the entry's `o2` do not count.
    ///
    /// # Errors
    /// See [`Update::apply`].
    pub fn apply_to_missing(
        &self,
        id: Element<'_>,
        here: &Circumstances<'_>,
    ) -> Result<Vec<u8>, UpdateError> {
        let stub = stub(id);
        self.make(Doc::new(&stub)?, here, true)
    }

    /// Returns whether a second application changes nothing, whatever came between. Such an update
    /// may be applied to a document that may hold it already.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Logged(_) | Self::Bare(_) => true,
            Self::Operators(o) => o.elements().all(|operator| {
                operator.is_ok_and(|operator| {
                    matches!(operator.name, b"$v" | b"$set" | b"$unset" | b"$setOnInsert")
                })
            }),
        }
    }

    /// Returns whether the server puts its own clock into the document, so that each member holds
    /// another value: for `$currentDate`, and for empty timestamps at the top of a new document (up
    /// to 6.0.5; 6.0.27 was seen to keep them).
    pub fn takes_the_clock(&self) -> bool {
        match self {
            Self::Operators(o) => matches!(o.get(b"$currentDate"), Ok(Some(_))),
            Self::Bare(o) | Self::Logged(Update::Replacement(o)) => has_empty_timestamp(*o),
            Self::Logged(_) => false,
        }
    }

    fn make(
        &self,
        pre: Doc<'_>,
        here: &Circumstances<'_>,
        inserts: bool,
    ) -> Result<Vec<u8>, UpdateError> {
        match *self {
            Self::Logged(update) => update.apply(pre),
            Self::Bare(o) => {
                let id = pre.get(b"_id")?.ok_or(UpdateError::IdChanged)?;
                settle_id(id, with_id(id, o)?)
            }
            Self::Operators(o) => {
                /// From this major number on, siblings are sorted with numbers by value.
                const BY_VALUE_SINCE: u32 = 5;
                let id = pre.get(b"_id")?.ok_or(UpdateError::IdChanged)?;
                let rules = Rules {
                    conditions: Some(here.conditions),
                    has_collation: here.has_collation,
                    inserts,
                    now: here.now,
                };
                let by_value = here.server.is_none_or(|server| server >= BY_VALUE_SINCE);
                settle_id(id, modifier::apply_operators(pre, o, by_value, &rules)?)
            }
        }
    }
}

/// Returns the document that an insert in a user's `applyOps` makes. The server applies the insert
/// as an upsert of the whole document, so the `_id` comes first whatever the entry says.
///
/// # Errors
/// Returns [`UpdateError::IdChanged`] when the document has no `_id`.
pub fn inserted(o: Doc<'_>) -> Result<Vec<u8>, UpdateError> {
    let id = o.get(b"_id")?.ok_or(UpdateError::IdChanged)?;
    settle_id(id, o.as_bytes().to_vec())
}

/// Returns whether the document has a top-level `Timestamp(0, 0)`, which the server may have
/// replaced by its clock.
pub fn has_empty_timestamp(o: Doc<'_>) -> bool {
    o.elements().any(|element| {
        element.is_ok_and(|element| element.kind == kind::TIMESTAMP && element.value == [0; 8])
    })
}

fn with_id(id: Element<'_>, o: Doc<'_>) -> Result<Vec<u8>, UpdateError> {
    let mut writer = crate::raw::DocWriter::with_capacity(o.as_bytes().len() + id.value.len() + 5);
    writer.element(id);
    for element in o.elements() {
        writer.element(element?);
    }
    Ok(writer.finish())
}
