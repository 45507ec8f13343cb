//! Writes BSON from pieces of other BSON.

use super::{Doc, Element, Malformed, kind};

/// Builds one document. Nested documents are opened and closed in the same buffer, so nothing is
/// copied twice.
#[derive(Debug)]
pub struct DocWriter {
    bytes: Vec<u8>,
    /// The offsets of the length prefixes of all open documents, outermost first.
    open: Vec<usize>,
}

impl Default for DocWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl DocWriter {
    /// Returns a writer with an empty document.
    pub fn new() -> Self {
        Self::with_capacity(128)
    }

    /// Returns a writer with an empty document and room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, open: vec![0] }
    }

    /// Appends an element as it stands.
    pub fn element(&mut self, element: Element<'_>) -> &mut Self {
        self.bytes.extend_from_slice(element.as_bytes());
        self
    }

    /// Appends the top-level elements of a document, except those with one of these names.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the document is not well-formed. The elements before the fault
    /// are written.
    pub fn copy_without(&mut self, doc: Doc<'_>, names: &[&[u8]]) -> Result<&mut Self, Malformed> {
        for element in doc.elements() {
            let element = element?;
            if !names.contains(&element.name) {
                self.element(element);
            }
        }
        Ok(self)
    }

    /// Appends a value, given by its type and bytes, under any name.
    pub fn value(&mut self, kind: u8, name: &[u8], value: &[u8]) -> &mut Self {
        debug_assert!(!name.contains(&0), "a BSON name cannot contain a null byte");
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
        self
    }

    /// Appends null.
    pub fn null(&mut self, name: &[u8]) -> &mut Self {
        self.value(kind::NULL, name, &[])
    }

    /// Appends a document.
    pub fn doc(&mut self, name: &[u8], doc: Doc<'_>) -> &mut Self {
        self.value(kind::DOCUMENT, name, doc.as_bytes())
    }

    /// Appends a string.
    pub fn string(&mut self, name: &[u8], text: &str) -> &mut Self {
        let length = i32::try_from(text.len() + 1).expect("a BSON string is shorter than 2 GiB");
        self.value(kind::STRING, name, &length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self
    }

    /// Appends a 32-bit integer.
    pub fn int32(&mut self, name: &[u8], number: i32) -> &mut Self {
        self.value(kind::INT32, name, &number.to_le_bytes())
    }

    /// Appends a 64-bit integer.
    pub fn int64(&mut self, name: &[u8], number: i64) -> &mut Self {
        self.value(kind::INT64, name, &number.to_le_bytes())
    }

    /// Opens a nested document or array, which [`DocWriter::close`] ends.
    pub fn open(&mut self, kind: u8, name: &[u8]) -> &mut Self {
        debug_assert!(kind == kind::DOCUMENT || kind == kind::ARRAY);
        self.value(kind, name, &[]);
        self.open.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
        self
    }

    /// Ends the document or array that was opened last.
    pub fn close(&mut self) -> &mut Self {
        let at = self.open.pop().expect("close() follows an open()");
        self.bytes.push(0);
        let length =
            i32::try_from(self.bytes.len() - at).expect("a document is shorter than 2 GiB");
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// Ends the document and returns its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        debug_assert_eq!(
            self.open.len(),
            1,
            "every nested document is closed before the outer one"
        );
        self.close();
        self.bytes
    }
}
