//! `_id` values as keys: bytes that compare as MongoDB compares the values.
//!
//! Two ids that MongoDB's `_id` index treats as the same (`1`, `1L`, `1.0`, Decimal128 `1.00`; a
//! string and a symbol of the same text) encode to the same bytes. For other ids the order of the
//! bytes is BSON comparison order. No encoding is a prefix of another, so anything may follow a key
//! (a time, for history).
//!
//! ```text
//! key        := tag body            tag: the canonical type, and the size of a number (number.rs)
//! text       := byte* 00            00 in it becomes 01 01, and 01 becomes 01 02
//! document   := (tag name 00 body)* 00    type before name before value, as BSONObj::woCompare
//! array      := key* 00             the names of an array's elements say nothing
//! binary     := length subtype byte*      length: a byte below ff, else ff and a u32 (BE)
//! date       := i64 (BE), its sign bit flipped
//! timestamp  := u64 (BE)            bool := 00 | 01            object id := 12 bytes
//! regex      := pattern 00 flags 00
//! db pointer := length (u32 BE) name 00 object id
//! scope      := text document       code := text
//! min key, max key, null, undefined: nothing
//! ```
//!
//! An id whose nested documents are not well-formed BSON has no place in that order. Such an id is
//! kept as plain bytes under the last tag, which is for such ids only. It is therefore still a key,
//! and equal only to itself.

use crate::raw::{Doc, Element, MAX_DEPTH, Malformed, kind};

mod number;

/// The first byte of each canonical type, in the order of the server's `canonicalizeBSONType`. `00`
/// is reserved for the end of a document, which sorts before any element of a longer document.
mod tag {
    pub(super) const MIN_KEY: u8 = 0x08;
    pub(super) const UNDEFINED: u8 = 0x10;
    pub(super) const NULL: u8 = 0x18;
    pub(super) const NUMBER: u8 = 0x20;
    pub(super) const STRING: u8 = 0x40;
    pub(super) const DOCUMENT: u8 = 0x48;
    pub(super) const ARRAY: u8 = 0x50;
    pub(super) const BINARY: u8 = 0x58;
    pub(super) const OBJECT_ID: u8 = 0x60;
    pub(super) const BOOL: u8 = 0x68;
    pub(super) const DATE: u8 = 0x70;
    pub(super) const TIMESTAMP: u8 = 0x78;
    pub(super) const REGEX: u8 = 0x80;
    pub(super) const DB_POINTER: u8 = 0x88;
    pub(super) const CODE: u8 = 0x90;
    pub(super) const CODE_WITH_SCOPE: u8 = 0x98;
    pub(super) const MAX_KEY: u8 = 0xf0;
    pub(super) const MALFORMED: u8 = 0xf8;
}

/// Appends the collation key of a string's bytes. The key may hold any bytes.
type Collate<'a> = &'a dyn Fn(&[u8], &mut Vec<u8>);

/// Appends the key of an id in a collection with simple collation. The name of the element does not
/// matter.
pub fn encode(id: Element<'_>, out: &mut Vec<u8>) {
    encode_with(id, None, out);
}

/// Appends the key of an id in a collection with a collation. `collate` appends the collation key
/// of a string's bytes. It is called for each string and symbol, nested ones too, and must not
/// touch what the buffer already holds.
pub fn encode_collated(id: Element<'_>, collate: &dyn Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
    encode_with(id, Some(collate), out);
}

/// Appends the key of a number, given by its type and the bytes of its value. The keys of two
/// numbers of any types compare exactly as the numbers do.
///
/// # Errors
/// Returns [`Malformed`] when `kind` is not the type of a number, or when the value has another
/// length than its type.
pub fn encode_number(kind: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    match kind {
        kind::INT32 => number::integer(i64::from(i32::from_le_bytes(fixed(value)?)), out),
        kind::INT64 => number::integer(i64::from_le_bytes(fixed(value)?), out),
        kind::DOUBLE => number::double(f64::from_le_bytes(fixed(value)?), out),
        kind::DECIMAL128 => number::decimal(u128::from_le_bytes(fixed(value)?), out),
        _ => return Err(Malformed("not a number")),
    }
    Ok(())
}

/// Returns a 64-bit hash of an id's key under simple collation, for filters on disk. The hash never
/// changes: see [`hash64_of_key`].
pub fn hash64(id: Element<'_>) -> u64 {
    /// A key of more bytes than this is rare; its memory is given back.
    const KEEP: usize = 4096;
    thread_local! {
        static KEY: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
    }
    let mut key = KEY.take();
    key.clear();
    encode(id, &mut key);
    let hash = hash64_of_key(&key);
    if key.capacity() <= KEEP {
        KEY.set(key);
    }
    hash
}

/// Returns the hash that [`hash64`] returns for the id with this key. The hash is part of the
/// formats on disk, so it is fixed here: start from the length; for each 8 bytes (little-endian,
/// the last ones padded with zeros) xor them in, multiply by `9e3779b97f4a7c15`, fold the high half
/// onto the low half; finish as MurmurHash3 does.
pub fn hash64_of_key(key: &[u8]) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(GOLDEN);
        product ^ (product >> 32)
    };
    let mut words = key.chunks_exact(8);
    let mut hash = mix(GOLDEN, key.len() as u64);
    for word in &mut words {
        hash = mix(hash, u64::from_le_bytes(word.try_into().expect("a chunk of 8 bytes")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    hash = mix(hash, u64::from_le_bytes(last));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

fn encode_with(id: Element<'_>, collate: Option<Collate<'_>>, out: &mut Vec<u8>) {
    let start = out.len();
    if key(id, collate, MAX_DEPTH, out).is_err() {
        out.truncate(start);
        out.extend_from_slice(&[tag::MALFORMED, id.kind]);
        text(id.value, out);
    }
}

fn key(
    element: Element<'_>,
    collate: Option<Collate<'_>>,
    depth_left: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let tag = tag_of(element.kind)?;
    if tag != tag::NUMBER {
        out.push(tag);
    }
    body(element, collate, depth_left, out)
}

fn tag_of(kind: u8) -> Result<u8, Malformed> {
    Ok(match kind {
        kind::MIN_KEY => tag::MIN_KEY,
        kind::UNDEFINED => tag::UNDEFINED,
        kind::NULL => tag::NULL,
        kind::INT32 | kind::INT64 | kind::DOUBLE | kind::DECIMAL128 => tag::NUMBER,
        kind::STRING | kind::SYMBOL => tag::STRING,
        kind::DOCUMENT => tag::DOCUMENT,
        kind::ARRAY => tag::ARRAY,
        kind::BINARY => tag::BINARY,
        kind::OBJECT_ID => tag::OBJECT_ID,
        kind::BOOL => tag::BOOL,
        kind::DATE => tag::DATE,
        kind::TIMESTAMP => tag::TIMESTAMP,
        kind::REGEX => tag::REGEX,
        kind::DB_POINTER => tag::DB_POINTER,
        kind::CODE => tag::CODE,
        kind::CODE_WITH_SCOPE => tag::CODE_WITH_SCOPE,
        kind::MAX_KEY => tag::MAX_KEY,
        _ => return Err(Malformed("unknown element type")),
    })
}

/// Appends what follows the tag. A number writes its own, finer tag.
fn body(
    element: Element<'_>,
    collate: Option<Collate<'_>>,
    depth_left: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let value = element.value;
    match element.kind {
        kind::OBJECT_ID | kind::REGEX => out.extend_from_slice(value),
        kind::INT32 | kind::INT64 | kind::DOUBLE | kind::DECIMAL128 => {
            encode_number(element.kind, value, out)?;
        }
        kind::STRING | kind::SYMBOL => match collate {
            None => text(string(value)?, out),
            Some(collate) => collated(string(value)?, collate, out),
        },
        kind::CODE => text(string(value)?, out),
        kind::DOCUMENT => document(Doc::new(value)?, collate, depth_left, out)?,
        kind::ARRAY => array(Doc::new(value)?, collate, depth_left, out)?,
        kind::BINARY => binary(value, out),
        kind::BOOL => out.push(u8::from(value[0] != 0)),
        kind::DATE => {
            let ms = i64::from_le_bytes(fixed(value)?);
            out.extend_from_slice(&(ms as u64 ^ (1 << 63)).to_be_bytes());
        }
        kind::TIMESTAMP => {
            out.extend_from_slice(&u64::from_le_bytes(fixed(value)?).to_be_bytes());
        }
        kind::DB_POINTER => {
            out.extend_from_slice(&u32::from_le_bytes(fixed(&value[..4])?).to_be_bytes());
            out.extend_from_slice(&value[4..]);
        }
        kind::CODE_WITH_SCOPE => code_with_scope(value, depth_left, out)?,
        _ => {}
    }
    Ok(())
}

fn document(
    doc: Doc<'_>,
    collate: Option<Collate<'_>>,
    depth_left: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let depth_left = depth_left.checked_sub(1).ok_or(Malformed("nested too deeply"))?;
    for element in doc.elements() {
        let element = element?;
        out.push(tag_of(element.kind)?);
        out.extend_from_slice(element.name);
        out.push(0);
        body(element, collate, depth_left, out)?;
    }
    out.push(0);
    Ok(())
}

fn array(
    array: Doc<'_>,
    collate: Option<Collate<'_>>,
    depth_left: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let depth_left = depth_left.checked_sub(1).ok_or(Malformed("nested too deeply"))?;
    for element in array.elements() {
        key(element?, collate, depth_left, out)?;
    }
    out.push(0);
    Ok(())
}

/// The server compares the strings of a scope as bytes, whatever the collation.
fn code_with_scope(value: &[u8], depth_left: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    const CUT: Malformed = Malformed("code with scope without its code");
    let code_length = u32::from_le_bytes(fixed(value.get(4..8).ok_or(CUT)?)?) as usize;
    let scope_at = code_length.checked_add(8).filter(|&at| at <= value.len()).ok_or(CUT)?;
    text(string(&value[4..scope_at])?, out);
    document(Doc::new(&value[scope_at..])?, None, depth_left, out)
}

fn binary(value: &[u8], out: &mut Vec<u8>) {
    let length = value.len() - 5;
    match u8::try_from(length) {
        Ok(short) if short < 0xff => out.push(short),
        _ => {
            let length = u32::try_from(length).expect("a BSON value is shorter than 2 GiB");
            out.push(0xff);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&value[4..]);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(bytes);
    end_text(start, out);
}

fn collated(bytes: &[u8], collate: Collate<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    collate(bytes, out);
    end_text(start, out);
}

/// Escapes in place what was appended from `start` on, and ends it.
fn end_text(start: usize, out: &mut Vec<u8>) {
    let escapes = out[start..].iter().filter(|&&byte| byte <= 1).count();
    if escapes > 0 {
        let mut from = out.len();
        out.resize(from + escapes, 0);
        let mut to = out.len();
        while to > from {
            from -= 1;
            to -= 1;
            let byte = out[from];
            if byte <= 1 {
                out[to] = byte + 1;
                to -= 1;
                out[to] = 1;
            } else {
                out[to] = byte;
            }
        }
    }
    out.push(0);
}

/// Returns the bytes of a length-prefixed string, without its terminator.
fn string(value: &[u8]) -> Result<&[u8], Malformed> {
    if value.len() < 5 {
        return Err(Malformed("string shorter than its length prefix"));
    }
    Ok(&value[4..value.len() - 1])
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed("value of a wrong length"))
}

#[cfg(test)]
mod tests;
