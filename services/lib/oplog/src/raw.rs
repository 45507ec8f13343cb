//! Raw BSON: walks and writes documents without decoding them.
//!
//! Entries and documents are bytes that we were entrusted with. Everything here works on those
//! bytes and returns sub-slices of them, so that field order, numeric types, NaN payloads,
//! duplicate names, deprecated types and invalid UTF-8 all survive. Names are therefore `&[u8]`,
//! not `&str`.
//!
//! ```text
//! document := int32 total length (LE, itself included) ‖ element* ‖ 0x00
//! element  := type byte ‖ name ‖ 0x00 ‖ value
//! ```

use crate::{OpTime, Timestamp};

mod writer;

pub use writer::DocWriter;

/// The type bytes of BSON elements.
pub mod kind {
    pub const DOUBLE: u8 = 0x01;
    pub const STRING: u8 = 0x02;
    pub const DOCUMENT: u8 = 0x03;
    pub const ARRAY: u8 = 0x04;
    pub const BINARY: u8 = 0x05;
    pub const UNDEFINED: u8 = 0x06;
    pub const OBJECT_ID: u8 = 0x07;
    pub const BOOL: u8 = 0x08;
    pub const DATE: u8 = 0x09;
    pub const NULL: u8 = 0x0a;
    pub const REGEX: u8 = 0x0b;
    pub const DB_POINTER: u8 = 0x0c;
    pub const CODE: u8 = 0x0d;
    pub const SYMBOL: u8 = 0x0e;
    pub const CODE_WITH_SCOPE: u8 = 0x0f;
    pub const INT32: u8 = 0x10;
    pub const TIMESTAMP: u8 = 0x11;
    pub const INT64: u8 = 0x12;
    pub const DECIMAL128: u8 = 0x13;
    pub const MAX_KEY: u8 = 0x7f;
    pub const MIN_KEY: u8 = 0xff;
}

/// The deepest nesting that is followed. The server refuses documents that nest deeper than 200
/// (`BSONDepth`); anything beyond this is hostile.
pub const MAX_DEPTH: usize = 256;

/// Bytes that are not the BSON they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed BSON: {0}")]
pub struct Malformed(pub &'static str);

/// The bytes of a document whose length prefix and terminator have been checked. The elements are
/// checked as they are walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doc<'a>(&'a [u8]);

impl<'a> Doc<'a> {
    /// The document without elements.
    pub const EMPTY: Doc<'static> = Doc(&[5, 0, 0, 0, 0]);

    /// Wraps exactly one document: `bytes` must be as long as the prefix says.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the length prefix does not match, or when the terminator is
    /// missing.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let length = int32(bytes).ok_or(Malformed("document shorter than its length prefix"))?;
        if length < 5 || length as usize != bytes.len() {
            return Err(Malformed("document length does not match its bytes"));
        }
        if bytes[bytes.len() - 1] != 0 {
            return Err(Malformed("document does not end in a null byte"));
        }
        Ok(Doc(bytes))
    }

    /// Splits the first document off a concatenation, and returns it with the rest.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the bytes do not begin with a whole document.
    pub fn split_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let length = int32(bytes).ok_or(Malformed("document shorter than its length prefix"))?;
        if length < 5 || length as usize > bytes.len() {
            return Err(Malformed("document runs past the end of its bytes"));
        }
        let (first, rest) = bytes.split_at(length as usize);
        Ok((Doc::new(first)?, rest))
    }

    /// Returns the bytes of the whole document.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns whether the document has no elements.
    pub fn is_empty(self) -> bool {
        self.0.len() == 5
    }

    /// Returns an iterator over the elements.
    pub fn elements(self) -> Elements<'a> {
        Elements { rest: &self.0[4..self.0.len() - 1] }
    }

    /// Returns the first element with that name; `None` when no element has it.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the walk meets an element that is not well-formed.
    pub fn get(self, name: &[u8]) -> Result<Option<Element<'a>>, Malformed> {
        for element in self.elements() {
            let element = element?;
            if element.name == name {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// Returns the first element, which for a command names the command.
    ///
    /// # Errors
    /// Returns [`Malformed`] when that element is not well-formed.
    pub fn first(self) -> Result<Option<Element<'a>>, Malformed> {
        self.elements().next().transpose()
    }

    /// Walks the whole document, including nested documents.
    ///
    /// # Errors
    /// Returns [`Malformed`] when an element is not well-formed, or when documents nest deeper than
    /// [`MAX_DEPTH`].
    pub fn validate(self) -> Result<(), Malformed> {
        validate(self, MAX_DEPTH)
    }
}

fn validate(doc: Doc<'_>, depth_left: usize) -> Result<(), Malformed> {
    if depth_left == 0 {
        return Err(Malformed("nested too deeply"));
    }
    for element in doc.elements() {
        let element = element?;
        match element.kind {
            kind::DOCUMENT | kind::ARRAY => validate(Doc::new(element.value)?, depth_left - 1)?,
            kind::CODE_WITH_SCOPE => {
                let (_, scope) = split_string(&element.value[4..])
                    .ok_or(Malformed("code with scope without its code"))?;
                validate(Doc::new(scope)?, depth_left - 1)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// One element: its type byte, its name without the terminator, and the bytes of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The type byte, as in [`kind`].
    pub kind: u8,
    /// The bytes of the name, which need not be UTF-8.
    pub name: &'a [u8],
    /// The bytes of the value.
    pub value: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// Null, without a name.
    pub const NULL: Element<'static> =
        Element { kind: kind::NULL, name: b"", value: &[], raw: &[kind::NULL, 0] };

    /// Returns the whole element: type byte, name, terminator, value.
    pub fn as_bytes(self) -> &'a [u8] {
        self.raw
    }

    /// Returns the value as a document, for the type document only (an array is not a document).
    pub fn as_doc(self) -> Option<Doc<'a>> {
        if self.kind == kind::DOCUMENT { Doc::new(self.value).ok() } else { None }
    }

    /// Returns the value as an array, whose elements are walked like those of a document.
    pub fn as_array(self) -> Option<Doc<'a>> {
        if self.kind == kind::ARRAY { Doc::new(self.value).ok() } else { None }
    }

    /// Returns the value of a timestamp; `None` for other types.
    pub fn as_timestamp(self) -> Option<Timestamp> {
        if self.kind != kind::TIMESTAMP {
            return None;
        }
        Some(Timestamp::from_u64(u64::from_le_bytes(self.value.try_into().ok()?)))
    }

    /// Returns the value of an integer of either width. A double that is a whole number counts, too
    /// (drivers send `2.0` for 2).
    pub fn as_integer(self) -> Option<i64> {
        match self.kind {
            kind::INT32 => Some(i64::from(i32::from_le_bytes(self.value.try_into().ok()?))),
            kind::INT64 => Some(i64::from_le_bytes(self.value.try_into().ok()?)),
            kind::DOUBLE => {
                let value = f64::from_le_bytes(self.value.try_into().ok()?);
                (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
            }
            _ => None,
        }
    }

    /// Returns the value of a boolean; `None` for other types.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind == kind::BOOL).then(|| self.value[0] != 0)
    }

    /// Returns the value of a date, in milliseconds since the epoch; `None` for other types.
    pub fn as_date_ms(self) -> Option<i64> {
        if self.kind != kind::DATE {
            return None;
        }
        Some(i64::from_le_bytes(self.value.try_into().ok()?))
    }

    /// Returns the bytes of a string, which need not be UTF-8; `None` for other types.
    pub fn as_string_bytes(self) -> Option<&'a [u8]> {
        (self.kind == kind::STRING).then(|| &self.value[4..self.value.len() - 1])
    }

    /// Returns a string; `None` for other types, and for bytes that are not UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.as_string_bytes()?).ok()
    }

    /// Returns subtype and payload of binary data; `None` for other types.
    pub fn as_binary(self) -> Option<(u8, &'a [u8])> {
        (self.kind == kind::BINARY).then(|| (self.value[4], &self.value[5..]))
    }

    /// Returns a UUID (binary subtype 4); `None` for other values.
    pub fn as_uuid(self) -> Option<[u8; 16]> {
        match self.as_binary()? {
            (4, bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }

    /// Returns an optime that is written as `{ts, t}`; `None` for other values.
    pub fn as_optime(self) -> Option<OpTime> {
        let doc = self.as_doc()?;
        let ts = doc.get(b"ts").ok()??.as_timestamp()?;
        let term = doc.get(b"t").ok()??.as_integer()?;
        Some(OpTime { ts, term })
    }
}

/// An iterator over the elements of a document. It ends after an error.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = split_element(self.rest);
        match result {
            Ok((element, rest)) => {
                self.rest = rest;
                Some(Ok(element))
            }
            Err(malformed) => {
                self.rest = &[];
                Some(Err(malformed))
            }
        }
    }
}

fn split_element(bytes: &[u8]) -> Result<(Element<'_>, &[u8]), Malformed> {
    let kind = bytes[0];
    let name_length = find_null(&bytes[1..]).ok_or(Malformed("element name without an end"))?;
    let value_at = name_length + 2;
    let length = value_length(kind, &bytes[value_at..])?;
    let end = value_at
        .checked_add(length)
        .filter(|&end| end <= bytes.len())
        .ok_or(Malformed("element runs past the end of its document"))?;
    let element = Element {
        kind,
        name: &bytes[1..1 + name_length],
        value: &bytes[value_at..end],
        raw: &bytes[..end],
    };
    Ok((element, &bytes[end..]))
}

/// Names are short, so a plain loop beats the set-up of `memchr`.
fn find_null(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == 0)
}

/// Returns how many bytes the value of that type takes, and checks the value's own framing. `bytes`
/// starts at the value, and may be longer or, in malformed input, shorter than the value.
fn value_length(kind: u8, bytes: &[u8]) -> Result<usize, Malformed> {
    const CUT: Malformed = Malformed("value runs past the end of its document");
    let framed = |extra: usize, minimum: i32| -> Result<usize, Malformed> {
        let length = int32(bytes).ok_or(CUT)?;
        if length < minimum {
            return Err(Malformed("value with an impossible length"));
        }
        let total = (length as usize).checked_add(extra).ok_or(CUT)?;
        if total > bytes.len() { Err(CUT) } else { Ok(total) }
    };
    let ends_in_null = |length: usize| match bytes[length - 1] {
        0 => Ok(length),
        _ => Err(Malformed("value does not end in a null byte")),
    };
    match kind {
        kind::UNDEFINED | kind::NULL | kind::MIN_KEY | kind::MAX_KEY => Ok(0),
        kind::BOOL => Ok(1),
        kind::INT32 => Ok(4),
        kind::DOUBLE | kind::DATE | kind::TIMESTAMP | kind::INT64 => Ok(8),
        kind::OBJECT_ID => Ok(12),
        kind::DECIMAL128 => Ok(16),
        kind::STRING | kind::CODE | kind::SYMBOL => ends_in_null(framed(4, 1)?),
        kind::DOCUMENT | kind::ARRAY => ends_in_null(framed(0, 5)?),
        kind::BINARY => framed(5, 0),
        kind::DB_POINTER => framed(4 + 12, 1),
        kind::CODE_WITH_SCOPE => {
            let total = framed(0, 14)?;
            let (_, scope) = split_string(&bytes[4..total])
                .ok_or(Malformed("code with scope without its code"))?;
            Doc::new(scope).map(|_| total)
        }
        kind::REGEX => {
            let pattern = find_null(bytes).ok_or(CUT)?;
            let flags = find_null(&bytes[pattern + 1..]).ok_or(CUT)?;
            Ok(pattern + flags + 2)
        }
        _ => Err(Malformed("unknown element type")),
    }
}

/// Splits a length-prefixed string off the front. Returns the bytes of the string, and what
/// follows.
fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(int32(bytes)?).ok()?;
    let end = length.checked_add(4)?;
    if length == 0 || end > bytes.len() {
        return None;
    }
    Some((&bytes[4..end - 1], &bytes[end..]))
}

fn int32(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
