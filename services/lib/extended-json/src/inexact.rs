//! The parts of a document that JSON cannot carry.

use std::fmt;

use hindsight_oplog::raw::{Doc, Element, Malformed, kind};

use crate::value::{OLD_BINARY, inside_old_binary, split_regex, split_text};

/// The maximum number of inexact parts that are reported for one document.
pub(crate) const MOST: usize = 20;

/// Longer paths are cut to this many bytes.
const MOST_PATH_BYTES: usize = 1024;

/// A part of a document that is not written exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inexact {
    /// The path of the part, with dots between the names. The name of an array element is its
    /// number.
    pub path: String,
    /// Why the part is not written exactly.
    pub reason: Reason,
}

/// Why a part of a document is not written exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Bytes that are not UTF-8 in a string, a name, a pattern, code, or the namespace of a
    /// DBPointer.
    NotUtf8,
    /// A document with the field name of an Extended JSON type: readers treat the document as a
    /// value of that type.
    LooksLikeType,
    /// Binary data of subtype 2 whose inner length is wrong: readers get other bytes from the text.
    OldBinary,
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "the whole" } else { &self.path };
        write!(f, "{place}: {}", self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "bytes that are not UTF-8 are shown as U+FFFD",
            Self::LooksLikeType => "a document that looks like a type of Extended JSON",
            Self::OldBinary => "binary data of subtype 2 whose inner length is wrong",
        })
    }
}

/// Returns whether a reader of Extended JSON treats an object with this field as a typed value.
pub fn is_type(name: &[u8]) -> bool {
    TYPES.contains(&name)
}

/// Field names that make a reader of Extended JSON treat an object as a typed value.
const TYPES: [&[u8]; 16] = [
    b"$binary",
    b"$code",
    b"$date",
    b"$dbPointer",
    b"$maxKey",
    b"$minKey",
    b"$numberDecimal",
    b"$numberDouble",
    b"$numberInt",
    b"$numberLong",
    b"$oid",
    b"$regularExpression",
    b"$symbol",
    b"$timestamp",
    b"$undefined",
    b"$uuid",
];

/// Lists the inexact parts in the order of the document, which must have been validated.
pub(crate) fn of(document: Doc<'_>) -> Result<Vec<Inexact>, Malformed> {
    let mut walk = Walk { found: Vec::new(), path: Vec::new() };
    walk.document(document, false)?;
    Ok(walk.found)
}

struct Walk<'a> {
    found: Vec<Inexact>,
    path: Vec<Step<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a [u8]),
    Number(usize),
}

impl<'a> Walk<'a> {
    fn document(&mut self, document: Doc<'a>, is_array: bool) -> Result<(), Malformed> {
        for (number, element) in document.elements().enumerate() {
            let element = element?;
            if self.found.len() >= MOST {
                return Ok(());
            }
            if !is_array && is_type(element.name) {
                self.tell(Reason::LooksLikeType);
            }
            let step = if is_array { Step::Number(number) } else { Step::Name(element.name) };
            self.path.push(step);
            if !is_array && !is_text(element.name) {
                self.tell(Reason::NotUtf8);
            }
            self.value(element)?;
            self.path.pop();
        }
        Ok(())
    }

    fn value(&mut self, element: Element<'a>) -> Result<(), Malformed> {
        let bytes = element.value;
        let texts: [&[u8]; 2] = match element.kind {
            kind::DOCUMENT => return self.document(Doc::new(bytes)?, false),
            kind::ARRAY => return self.document(Doc::new(bytes)?, true),
            kind::CODE_WITH_SCOPE => {
                let inside = bytes.get(4..).and_then(split_text);
                let (code, scope) = inside.ok_or(Malformed("code with scope without its code"))?;
                self.document(Doc::new(scope)?, false)?;
                [code, b""]
            }
            kind::STRING | kind::SYMBOL | kind::CODE | kind::DB_POINTER => {
                [split_text(bytes).ok_or(Malformed("text without its length"))?.0, b""]
            }
            kind::REGEX => {
                let (pattern, options) = split_regex(bytes);
                [pattern, options]
            }
            kind::BINARY => {
                if bytes.get(4) == Some(&OLD_BINARY) && inside_old_binary(&bytes[5..]).is_none() {
                    self.tell(Reason::OldBinary);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if !texts.into_iter().all(is_text) {
            self.tell(Reason::NotUtf8);
        }
        Ok(())
    }

    fn tell(&mut self, reason: Reason) {
        let names: Vec<String> = self.path.iter().map(Step::shown).collect();
        let mut path = names.join(".");
        let end = path.floor_char_boundary(MOST_PATH_BYTES);
        path.truncate(end);
        let inexact = Inexact { path, reason };
        if !self.found.contains(&inexact) {
            self.found.push(inexact);
        }
    }
}

impl Step<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) => String::from_utf8_lossy(name).into_owned(),
            Self::Number(number) => number.to_string(),
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}
