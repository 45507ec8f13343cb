//! A whole document.

use hindsight_oplog::raw::{Doc, Malformed};
use serde::{Serialize, Serializer};

use crate::inexact::{self, Inexact};
use crate::value::fields;
use crate::{Notation, Value};

/// The field that [`Marked`] adds.
const MARK: &str = "$inexact";

/// A document that serializes as Extended JSON, fields in order.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    document: Doc<'a>,
    notation: Notation,
    inexact: Vec<Inexact>,
}

impl<'a> Written<'a> {
    /// # Errors
    /// Bytes that are no BSON, or that nest deeper than 256 levels: every level takes some of the
    /// stack.
    pub fn of(bytes: &'a [u8], notation: Notation) -> Result<Self, Malformed> {
        let document = Doc::new(bytes)?;
        document.validate()?;
        Ok(Self { document, notation, inexact: inexact::of(document)? })
    }

    /// What of it is not written as it is, at most [`inexact::MOST`] of it; nothing for nearly
    /// every document.
    pub fn inexact(&self) -> &[Inexact] {
        &self.inexact
    }

    /// The value of the first field of that name.
    pub fn value(&self, name: &[u8]) -> Option<Value<'a>> {
        let element = self.document.get(name).ok().flatten()?;
        Some(Value::of(element, self.notation))
    }

    /// For lines of documents, which have no room beside a document.
    pub fn marked(self) -> Marked<'a> {
        Marked(self)
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        fields(self.document, self.notation, to, None)
    }
}

/// The same, and a document that JSON cannot carry exactly has a last field `$inexact`, with a text
/// for each value.
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
