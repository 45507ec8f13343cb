//! One value, written by its BSON type.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hindsight_oplog::Hex;
use hindsight_oplog::raw::{Doc, Element, kind};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::{Notation, date};

/// A value of a document that serializes as Extended JSON.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    kind: u8,
    bytes: &'a [u8],
    notation: Notation,
}

impl<'a> Value<'a> {
    /// Wraps the value of an element. The document of the element must have been validated;
    /// otherwise the value may fail when it is serialized.
    pub fn of(element: Element<'a>, notation: Notation) -> Self {
        Self { kind: element.kind, bytes: element.value, notation }
    }
}

/// The old subtype 2 of binary data. The payload begins with its own length once more, which JSON
/// leaves out.
pub(crate) const OLD_BINARY: u8 = 2;

/// Returns the data inside an old binary; `None` if its inner length is wrong.
pub(crate) fn inside_old_binary(payload: &[u8]) -> Option<&[u8]> {
    let (length, data) = payload.split_first_chunk::<4>()?;
    (usize::try_from(i32::from_le_bytes(*length)) == Ok(data.len())).then_some(data)
}

/// Splits a string, symbol or code into its characters and the bytes that follow.
pub(crate) fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
    Some((text.split_last()?.1, rest))
}

/// Splits a regular expression into its pattern and its options.
pub(crate) fn split_regex(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.split(|&byte| byte == 0);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (bytes, notation) = (self.bytes, self.notation);
        let is_relaxed = notation == Notation::Relaxed;
        match self.kind {
            kind::DOCUMENT => fields(doc::<S>(bytes)?, notation, to, None),
            kind::ARRAY => Elements(doc::<S>(bytes)?, notation).serialize(to),
            kind::STRING => to.serialize_str(&text::<S>(bytes)?),
            kind::BOOL => to.serialize_bool(fixed::<1, S>(bytes)? != [0]),
            kind::NULL => to.serialize_unit(),
            kind::INT32 => match i32::from_le_bytes(fixed::<4, S>(bytes)?) {
                number if is_relaxed => to.serialize_i32(number),
                number => One("$numberInt", number.to_string()).serialize(to),
            },
            kind::INT64 => match i64::from_le_bytes(fixed::<8, S>(bytes)?) {
                number if is_relaxed => to.serialize_i64(number),
                number => long(number).serialize(to),
            },
            kind::DOUBLE => match f64::from_le_bytes(fixed::<8, S>(bytes)?) {
                number if is_relaxed && number.is_finite() => to.serialize_f64(number),
                number => One("$numberDouble", double(number)).serialize(to),
            },
            kind::DATE => {
                let milliseconds = i64::from_le_bytes(fixed::<8, S>(bytes)?);
                match date::text(milliseconds).filter(|_| is_relaxed) {
                    Some(text) => One("$date", text).serialize(to),
                    None => One("$date", long(milliseconds)).serialize(to),
                }
            }
            _ => self.serialize_rare(to),
        }
    }
}

impl Value<'_> {
    /// Serializes the types that both notations write alike.
    fn serialize_rare<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes = self.bytes;
        match self.kind {
            kind::OBJECT_ID => One("$oid", Hex(bytes).to_string()).serialize(to),
            kind::BINARY => binary(bytes, to),
            kind::UNDEFINED => One("$undefined", true).serialize(to),
            kind::MIN_KEY => One("$minKey", 1).serialize(to),
            kind::MAX_KEY => One("$maxKey", 1).serialize(to),
            kind::TIMESTAMP => {
                let number = u64::from_le_bytes(fixed::<8, S>(bytes)?);
                let (seconds, increment) = ((number >> 32) as u32, number as u32);
                One("$timestamp", Two(("t", seconds), ("i", increment))).serialize(to)
            }
            kind::DECIMAL128 => {
                let number = bson::Decimal128::from_bytes(fixed::<16, S>(bytes)?);
                One("$numberDecimal", number.to_string()).serialize(to)
            }
            kind::REGEX => {
                let (pattern, options) = split_regex(bytes);
                let parts = Two(("pattern", lossy(pattern)), ("options", lossy(options)));
                One("$regularExpression", parts).serialize(to)
            }
            kind::CODE => One("$code", text::<S>(bytes)?).serialize(to),
            kind::SYMBOL => One("$symbol", text::<S>(bytes)?).serialize(to),
            kind::DB_POINTER => {
                let (namespace, id) = split_text(bytes).ok_or_else(cut::<S>)?;
                let parts =
                    Two(("$ref", lossy(namespace)), ("$id", One("$oid", Hex(id).to_string())));
                One("$dbPointer", parts).serialize(to)
            }
            kind::CODE_WITH_SCOPE => {
                let inside = bytes.get(4..).and_then(split_text);
                let (code, scope) = inside.ok_or_else(cut::<S>)?;
                let scope = Scope(doc::<S>(scope)?, self.notation);
                Two(("$code", lossy(code)), ("$scope", scope)).serialize(to)
            }
            unknown => Err(S::Error::custom(format!("no type of BSON has the number {unknown}"))),
        }
    }
}

/// Serializes all fields of a document, and one added field, if any, that stands for what could not
/// be written.
pub(crate) fn fields<S: Serializer>(
    document: Doc<'_>,
    notation: Notation,
    to: S,
    added: Option<(&str, &[String])>,
) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    for element in document.elements() {
        let element = element.map_err(S::Error::custom)?;
        map.serialize_entry(&lossy(element.name), &Value::of(element, notation))?;
    }
    if let Some((name, value)) = added {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

struct Elements<'a>(Doc<'a>, Notation);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut sequence = to.serialize_seq(None)?;
        for element in self.0.elements() {
            let element = element.map_err(S::Error::custom)?;
            sequence.serialize_element(&Value::of(element, self.1))?;
        }
        sequence.end()
    }
}

struct Scope<'a>(Doc<'a>, Notation);

impl Serialize for Scope<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        fields(self.0, self.1, to, None)
    }
}

/// An object of one field.
struct One<T>(&'static str, T);

impl<T: Serialize> Serialize for One<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &self.1)?;
        map.end()
    }
}

/// An object of two fields.
struct Two<A, B>((&'static str, A), (&'static str, B));

impl<A: Serialize, B: Serialize> Serialize for Two<A, B> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry(self.0.0, &self.0.1)?;
        map.serialize_entry(self.1.0, &self.1.1)?;
        map.end()
    }
}

fn long(number: i64) -> One<String> {
    One("$numberLong", number.to_string())
}

/// Formats a number with the shortest digits that read as the same number, without an exponent:
/// scripts may compare the text with the text of earlier versions.
fn double(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".to_owned(),
        _ if number.is_infinite() && number < 0.0 => "-Infinity".to_owned(),
        _ if number.is_infinite() => "Infinity".to_owned(),
        _ if number.fract() == 0.0 => format!("{number}.0"),
        _ => number.to_string(),
    }
}

fn binary<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let [_, _, _, _, subtype, payload @ ..] = bytes else { return Err(cut::<S>()) };
    let data = match *subtype {
        OLD_BINARY => inside_old_binary(payload).unwrap_or(payload),
        _ => payload,
    };
    let base64 = STANDARD.encode(data);
    One("$binary", Two(("base64", base64), ("subType", Hex(&[*subtype]).to_string()))).serialize(to)
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn text<S: Serializer>(bytes: &[u8]) -> Result<Cow<'_, str>, S::Error> {
    split_text(bytes).map(|(text, _)| lossy(text)).ok_or_else(cut::<S>)
}

fn doc<S: Serializer>(bytes: &[u8]) -> Result<Doc<'_>, S::Error> {
    Doc::new(bytes).map_err(S::Error::custom)
}

fn fixed<const N: usize, S: Serializer>(bytes: &[u8]) -> Result<[u8; N], S::Error> {
    bytes.try_into().map_err(|_| cut::<S>())
}

fn cut<S: Serializer>() -> S::Error {
    S::Error::custom("a value is not as long as its type says")
}
