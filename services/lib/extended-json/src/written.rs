//! A whole document.

use hindsight_oplog::raw::{Doc, Malformed};
use serde::{Serialize, Serializer};

use crate::inexact::{self, Inexact};
use crate::value::fields;
use crate::{Notation, Value};

/// The field that [`Marked`] adds.
const MARK: &str = "$inexact";

/// A document that serializes as Extended JSON, with its fields in order.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    document: Doc<'a>,
    notation: Notation,
    inexact: Vec<Inexact>,
}

impl<'a> Written<'a> {
    /// Checks a document, and prepares it for writing in a notation.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the bytes are not BSON, or when they nest deeper than 256 levels:
    /// every level takes some of the stack.
    pub fn of(bytes: &'a [u8], notation: Notation) -> Result<Self, Malformed> {
        let document = Doc::new(bytes)?;
        document.validate()?;
        Ok(Self { document, notation, inexact: inexact::of(document)? })
    }

    /// Returns the parts of the document that are not written exactly, at most [`inexact::MOST`] of
    /// them. The list is empty for nearly every document.
    pub fn inexact(&self) -> &[Inexact] {
        &self.inexact
    }

    /// Returns the value of the first field of that name; `None` when no field has that name.
    pub fn value(&self, name: &[u8]) -> Option<Value<'a>> {
        let element = self.document.get(name).ok().flatten()?;
        Some(Value::of(element, self.notation))
    }

    /// Wraps the document so that it reports its inexact parts itself. For output with one document
    /// per line, which has no other place for such a report.
    pub fn marked(self) -> Marked<'a> {
        Marked(self)
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        fields(self.document, self.notation, to, None)
    }
}

/// A [`Written`] that serializes the same way, except that a document that JSON cannot carry
/// exactly has a last field `$inexact`, with one text for each inexact value.
#[derive(Clone, Debug)]
pub struct Marked<'a>(Written<'a>);

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Written { document, notation, inexact } = &self.0;
        let texts: Vec<String> = inexact.iter().map(Inexact::to_string).collect();
        let mark = (!texts.is_empty()).then_some((MARK, &texts[..]));
        fields(*document, *notation, to, mark)
    }
}
