//! An index spec as servers list it from 5.0 on.

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

use super::number::{as_f64, double, integer, is_nan, is_true};

/// The kind of index that a key makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// An ordinary index, on ascending and descending fields.
    Ordered,
    /// `text`
    Text,
    /// `2d`
    Plane,
    /// `2dsphere`, and `2dsphere_bucket` on the buckets of time-series collections.
    Sphere,
    /// `hashed`
    Hashed,
    /// `geoHaystack`, up to 4.4.
    Haystack,
    /// `$**`
    Wildcard,
    /// A plug-in with another name.
    Other(String),
}

/// Returns the kind of an index, by the values of its key.
///
/// # Errors
/// Returns [`Malformed`] when the spec is not BSON, or holds no key.
pub fn kind_of(spec: Doc<'_>) -> Result<IndexKind, Malformed> {
    let key = spec.get(b"key")?.and_then(Element::as_doc).ok_or(Malformed("index without key"))?;
    let mut found = IndexKind::Ordered;
    for field in key.elements() {
        let field = field?;
        match field.as_string_bytes() {
            Some(b"text") => return Ok(IndexKind::Text),
            Some(b"2d") => return Ok(IndexKind::Plane),
            Some(b"2dsphere" | b"2dsphere_bucket") => return Ok(IndexKind::Sphere),
            Some(b"geoHaystack") => return Ok(IndexKind::Haystack),
            Some(b"hashed") => return Ok(IndexKind::Hashed),
            Some(other) => {
                return Ok(IndexKind::Other(String::from_utf8_lossy(other).into_owned()));
            }
            None if field.name == b"$**" || field.name.ends_with(b".$**") => {
                found = IndexKind::Wildcard;
            }
            None => {}
        }
    }
    Ok(found)
}

/// Returns the spec as servers list it from 5.0 on: flags are booleans, numbers have the type and
/// range of their option, and what no catalog keeps is removed. 4.4 lists the user's own words
/// instead.
///
/// NaN seconds stay, because their meaning changes with each upgrade of the server that has them.
/// 4.4 never expires a document by them, 5.0.4 lists 0 and expires all documents, 6.0.5 lists
/// 2147483647 (and logs that for a new index).
///
/// # Errors
/// Returns [`Malformed`] when the spec is not BSON.
pub fn repaired(spec: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut listed = DocWriter::with_capacity(spec.as_bytes().len());
    for element in spec.elements() {
        let element = element?;
        match element.name {
            // The place of the index in the storage of that server (8.2 on), and fields that old
            // catalogs held.
            b"indexIdent" | b"ns" | b"dropDups" | b"_id" => {}
            b"sparse" | b"background" if is_flag(element) => {
                listed.value(kind::BOOL, element.name, &[u8::from(is_true(element))]);
            }
            b"sparse" | b"background" | b"unique" | b"hidden" | b"prepareUnique" => {
                if is_true(element) {
                    listed.value(kind::BOOL, element.name, &[1]);
                }
            }
            b"expireAfterSeconds" if is_nan(element) => drop(listed.element(element)),
            b"expireAfterSeconds"
            | b"v"
            | b"bits"
            | b"textIndexVersion"
            | b"2dsphereIndexVersion"
            | b"coarsestIndexedLevel"
            | b"finestIndexedLevel" => write_integer(&mut listed, element),
            b"min" | b"max" | b"bucketSize" => match double(element) {
                Some(number) => {
                    listed.value(kind::DOUBLE, element.name, &number.to_le_bytes());
                }
                None => drop(listed.element(element)),
            },
            _ => drop(listed.element(element)),
        }
    }
    Ok(listed.finish())
}

/// Whether 5.0 accepts the value as a flag. A value that is not a flag (4.4 accepted strings and
/// null) is listed there as true or not at all.
fn is_flag(element: Element<'_>) -> bool {
    element.kind == kind::BOOL || as_f64(element).is_some()
}

/// Writes a number in 32 bits if it fits, as the server's `appendNumber` does.
fn write_integer(listed: &mut DocWriter, element: Element<'_>) {
    match integer(element) {
        Some(number) => match i32::try_from(number) {
            Ok(small) => drop(listed.int32(element.name, small)),
            Err(_) => drop(listed.int64(element.name, number)),
        },
        None => drop(listed.element(element)),
    }
}

/// Returns the name of an index, for messages; `(unnamed)` for a spec without a name.
pub fn index_name(spec: &[u8]) -> String {
    let name = Doc::new(spec).ok().and_then(|spec| spec.get(b"name").ok().flatten());
    let name = name.and_then(Element::as_string_bytes).unwrap_or(b"(unnamed)");
    String::from_utf8_lossy(name).into_owned()
}
