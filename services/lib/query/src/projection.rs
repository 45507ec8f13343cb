//! Projections: which fields of a document are given.
//!
//! Fields keep the document's order, whatever the projection's. A path goes through arrays, nested
//! ones too; a name of digits is a field's name and no place in an array. Of an array that is
//! projected into, an inclusion leaves documents and arrays only.

use std::collections::BTreeMap;

use bson::{RawDocument, RawDocumentBuf};
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

use crate::error::QueryError;

mod parse;

/// Nesting beyond this is not followed: the server stores no document so deep.
const DEEPEST: usize = 256;
const TOO_DEEP: Malformed = Malformed("nested too deeply");

/// A parsed projection, of inclusion or exclusion.
#[derive(Debug)]
pub struct Projection {
    /// Whether the named fields are what is given, or what is left out.
    inclusion: bool,
    named: Named,
}

/// Fields by name. One without an entry is not named.
type Named = BTreeMap<Box<[u8]>, Field>;

#[derive(Debug)]
enum Field {
    Whole,
    Within(Named),
}

impl Projection {
    /// Parses a projection as `find` takes it. The empty one gives whole documents.
    pub fn parse(projection: &RawDocument) -> Result<Self, QueryError> {
        parse::projection(Doc::new(projection.as_bytes())?)
    }

    /// The projected document. It fails on bytes that are not BSON.
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

    /// A value of which fields within are named. Any other than a document or array has none.
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

    /// The elements that are left take the places of those that are not.
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
