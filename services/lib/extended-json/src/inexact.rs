//! What of a document JSON cannot carry.

use std::fmt;

use hindsight_oplog::raw::{Doc, Element, Malformed, kind};

use crate::value::{OLD_BINARY, inside_old_binary, split_regex, split_text};

/// So much of a document is told, and no more.
pub const MOST: usize = 20;

/// A longer path is cut.
const MOST_PATH_BYTES: usize = 1024;

/// Something that is not written as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inexact {
    /// Where, with dots; elements of arrays have their number for a name.
    pub path: String,
    pub reason: Reason,
}

/// Why something is not written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// In a string, a name, a pattern, code, or the namespace of a DBPointer.
    NotUtf8,
    /// A document with the field name of an Extended JSON type: it reads as a value of that type.
    LooksLikeType,
    /// Binary data of subtype 2 whose inner length is wrong: what is written reads as other bytes.
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

/// Whether a reader of Extended JSON takes an object with this field for a value.
pub fn is_type(name: &[u8]) -> bool {
    TYPES.contains(&name)
}

/// Names by which a reader of Extended JSON takes an object for a value.
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

/// In the order of the document, which was validated.
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
