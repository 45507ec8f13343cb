//! Projections decide which fields of a document a query returns.
//!
//! Fields keep the order of the document, whatever the order of the projection. A path goes through
//! arrays, including nested ones. A name of digits is the name of a field, not a place in an array.
//! When an inclusion goes into an array, only the documents and arrays in that array remain.

use std::collections::BTreeMap;

use bson::{RawDocument, RawDocumentBuf};
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

use crate::error::QueryError;

mod parse;

/// Deeper nesting is refused. The server stores no document that deep.
const DEEPEST: usize = 256;
const TOO_DEEP: Malformed = Malformed("nested too deeply");

/// A parsed projection: an inclusion or an exclusion.
#[derive(Debug)]
pub struct Projection {
    /// Whether the named fields are returned, or left out.
    inclusion: bool,
    named: Named,
}

/// Fields by name. A field without an entry is not named.
type Named = BTreeMap<Box<[u8]>, Field>;

#[derive(Debug)]
enum Field {
    Whole,
    Within(Named),
}

impl Projection {
    /// Parses a projection as `find` takes it. The empty projection returns whole documents.
    ///
    /// # Errors
    /// Returns [`QueryError`] when the projection is invalid, not supported, or not BSON.
    pub fn parse(projection: &RawDocument) -> Result<Self, QueryError> {
        parse::projection(Doc::new(projection.as_bytes())?)
    }

    /// Returns the projected document.
    ///
    /// # Errors
    /// Returns [`QueryError::Malformed`] when the bytes are not BSON, or are nested more than 256
    /// levels deep.
    pub fn apply(&self, document: &RawDocument) -> Result<RawDocumentBuf, QueryError> {
        let document = Doc::new(document.as_bytes())?;
        let mut out = DocWriter::with_capacity(document.as_bytes().len());
        self.document(document, &self.named, DEEPEST, &mut out)?;
        let bytes = out.finish();
        RawDocumentBuf::from_bytes(bytes)
            .map_err(|_| Malformed("a projected document is no document").into())
    }

    fn document(
        &self,
        document: Doc<'_>,
        named: &Named,
        depth_left: usize,
        out: &mut DocWriter,
    ) -> Result<(), Malformed> {
        for element in document.elements() {
            let element = element?;
            match named.get(element.name) {
                Some(Field::Within(named)) => {
                    self.value(element, element.name, named, depth_left, out)?;
                }
                field if field.is_some() == self.inclusion => {
                    out.element(element);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a value in which fields are named. Only documents and arrays have fields or elements.
    fn value(
        &self,
        element: Element<'_>,
        name: &[u8],
        named: &Named,
        depth_left: usize,
        out: &mut DocWriter,
    ) -> Result<(), Malformed> {
        let depth_left = depth_left.checked_sub(1).ok_or(TOO_DEEP)?;
        match element.kind {
            kind::DOCUMENT => {
                out.open(kind::DOCUMENT, name);
                self.document(Doc::new(element.value)?, named, depth_left, out)?;
                out.close();
            }
            kind::ARRAY => {
                out.open(kind::ARRAY, name);
                self.elements(Doc::new(element.value)?, named, depth_left, out)?;
                out.close();
            }
            _ if self.inclusion => {}
            _ => {
                out.value(element.kind, name, element.value);
            }
        }
        Ok(())
    }

    /// Writes the elements that remain. They move up into the places of those that do not.
    fn elements(
        &self,
        array: Doc<'_>,
        named: &Named,
        depth_left: usize,
        out: &mut DocWriter,
    ) -> Result<(), Malformed> {
        let mut place = 0;
        for element in array.elements() {
            let element = element?;
            let is_left = matches!(element.kind, kind::DOCUMENT | kind::ARRAY) || !self.inclusion;
            if is_left {
                self.value(element, place.to_string().as_bytes(), named, depth_left, out)?;
                place += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
