//! Predicts what a server does to a document on insert.
//!
//! Seen on 4.4.2 to 7.0.28: an `insert` moves a late `_id` to the front, and replaces every
//! `Timestamp(0, 0)` at the top level (outside `_id`) by the server's own time. It refuses some
//! documents that replication takes (`fixDocumentForInsert` in the server's `insert.cpp`). It
//! stores everything else as it is, including duplicate names, invalid UTF-8 and deprecated types.
//! An update by pipeline with a literal document stores zero timestamps, so they are put back that
//! way. An `applyOps` that is not atomic stores whatever it is given, as applying an oplog entry
//! does. It needs a separate right, so only documents that an insert changes or refuses are written
//! that way.

use bson::{Bson, Document, RawDocumentBuf};
use hindsight_oplog::Hex;
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

/// How a document gets into a collection unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// The server stores it as it is.
    AsItIs,
    /// After the insert, the document's zero timestamps must be put back.
    Repaired,
    /// Only `applyOps` stores the document as it is, for this reason.
    Verbatim(&'static str),
    /// The server cannot be made to store the document, for this reason.
    Impossible(&'static str),
}

/// The most levels of documents and arrays that an insert takes, including the document itself.
const DEEPEST: usize = 180;
/// The fewest bytes that a level takes: length, type, empty name, and both terminators.
const LEVEL_BYTES: usize = 7;

/// Returns how a document gets into a collection unchanged.
pub(super) fn passage(document: &[u8]) -> Result<Passage, Malformed> {
    let doc = Doc::new(document)?;
    let (mut is_repaired, mut first) = (false, true);
    for element in doc.elements() {
        let element = element?;
        match (first, element.name == b"_id") {
            (true, true) => {
                if let Some(reason) = refused_id(element)? {
                    return Ok(Passage::Verbatim(reason));
                }
            }
            (true, false) => {
                return Ok(match doc.get(b"_id")? {
                    Some(_) => Passage::Verbatim("its _id is not its first field"),
                    None => Passage::Impossible("it has no _id"),
                });
            }
            (false, true) => return Ok(Passage::Verbatim("it has more than one _id")),
            (false, false) => {
                is_repaired |= element.kind == kind::TIMESTAMP && element.value == [0; 8];
            }
        }
        first = false;
    }
    Ok(match (first, is_repaired) {
        (true, _) => Passage::Impossible("it has no _id"),
        _ if document.len() > DEEPEST * LEVEL_BYTES && is_deeper(doc, DEEPEST)? => {
            Passage::Verbatim("it is nested more than 180 levels deep")
        }
        (false, true) => Passage::Repaired,
        (false, false) => Passage::AsItIs,
    })
}

/// Returns why an insert refuses this `_id`, or `None` if the insert takes it.
fn refused_id(id: Element<'_>) -> Result<Option<&'static str>, Malformed> {
    Ok(match (id.kind, id.as_doc()) {
        (kind::ARRAY, _) => Some("its _id is an array"),
        (kind::REGEX, _) => Some("its _id is a regular expression"),
        (kind::UNDEFINED, _) => Some("its _id is undefined"),
        (_, Some(id)) if has_operator(id, DEEPEST)? => {
            Some("its _id has a field whose name begins with $")
        }
        _ => None,
    })
}

/// Returns true if a name begins with `$`, except the names of a DBRef. A document with more than
/// `levels` levels also counts.
fn has_operator(doc: Doc<'_>, levels: usize) -> Result<bool, Malformed> {
    for element in doc.elements() {
        let element = element?;
        let is_reference = matches!(element.name, b"$ref" | b"$id" | b"$db");
        let is_operator = element.name.starts_with(b"$") && !is_reference;
        let inner = element.as_doc().or(element.as_array());
        if is_operator
            || inner.is_some_and(|_| levels == 0)
            || inner.map(|inner| has_operator(inner, levels - 1)).transpose()? == Some(true)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true if the document has more than `levels` levels.
fn is_deeper(doc: Doc<'_>, levels: usize) -> Result<bool, Malformed> {
    if levels == 0 {
        return Ok(true);
    }
    for element in doc.elements() {
        let element = element?;
        if let Some(inner) = element.as_doc().or(element.as_array())
            && is_deeper(inner, levels - 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Renders the `_id` of a document, for messages.
pub fn display_id(document: &[u8]) -> String {
    let id = Doc::new(document).ok().and_then(|document| document.get(b"_id").ok().flatten());
    id.map_or_else(|| "(none)".to_owned(), display_value)
}

/// Renders one raw value as canonical Extended JSON, for messages. A value that JSON cannot show is
/// shown in hexadecimal.
fn display_value(element: Element<'_>) -> String {
    let mut writer = DocWriter::new();
    writer.value(element.kind, b"v", element.value);
    let bytes = writer.finish();
    let decoded = RawDocumentBuf::from_bytes(bytes)
        .ok()
        .and_then(|raw| Document::try_from(raw.as_ref()).ok())
        .and_then(|mut document| document.remove("v"))
        .map(Bson::into_canonical_extjson);
    match decoded {
        Some(value) => value.to_string(),
        None => Hex(element.value).to_string(),
    }
}

/// Writes one element of `updates`, which replaces the document with this `_id` by exactly these
/// bytes.
pub(super) fn write_repair(command: &mut DocWriter, name: &[u8], id: Element<'_>, document: &[u8]) {
    command.open(kind::DOCUMENT, name);
    command.open(kind::DOCUMENT, b"q").open(kind::DOCUMENT, b"_id");
    command.value(id.kind, b"$eq", id.value).close().close();
    command.open(kind::ARRAY, b"u").open(kind::DOCUMENT, b"0");
    command.open(kind::DOCUMENT, b"$replaceWith");
    command.value(kind::DOCUMENT, b"$literal", document);
    command.close().close().close().close();
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    const ZERO: Timestamp = Timestamp { time: 0, increment: 0 };

    #[test]
    fn what_an_insert_would_change_is_found() {
        let of = |raw: bson::RawDocumentBuf| passage(raw.as_bytes()).expect("well formed");
        assert_eq!(of(rawdoc! { "_id": 1, "a.b": 2, "$c": 3 }), Passage::AsItIs);
        assert_eq!(of(rawdoc! { "_id": ZERO, "n": { "t": ZERO } }), Passage::AsItIs);
        assert_eq!(of(rawdoc! { "_id": 1, "t": ZERO }), Passage::Repaired);
        let is_verbatim = |raw| matches!(of(raw), Passage::Verbatim(_));
        assert!(is_verbatim(rawdoc! { "a": 1, "t": ZERO, "_id": 1 }));
        assert!(is_verbatim(rawdoc! { "_id": 1, "a": 2, "_id": 1 }));
        assert!(is_verbatim(rawdoc! { "_id": [1] }));
        let mut regex = DocWriter::new();
        regex.value(kind::REGEX, b"_id", b"a\0i\0");
        assert!(matches!(passage(&regex.finish()), Ok(Passage::Verbatim(_))));
        assert!(is_verbatim(rawdoc! { "_id": bson::RawBson::Undefined }));
        assert!(is_verbatim(rawdoc! { "_id": { "a": [{ "$b": 2 }] } }));
        assert_eq!(of(rawdoc! { "_id": { "$ref": "c", "$id": 1 } }), Passage::AsItIs);
        assert!(matches!(of(rawdoc! { "a": 1 }), Passage::Impossible(_)));
        assert!(matches!(of(rawdoc! {}), Passage::Impossible(_)));
    }

    #[test]
    fn a_document_is_as_deep_as_an_insert_takes_or_deeper() {
        let nested = |levels| (2..levels).fold(rawdoc! {}, |inner, _| rawdoc! { "a": inner });
        let of = |levels| {
            let document = rawdoc! { "_id": 1, "a": nested(levels), "filler": "x".repeat(2_000) };
            passage(document.as_bytes()).expect("well formed")
        };
        assert_eq!(of(180), Passage::AsItIs);
        assert!(matches!(of(181), Passage::Verbatim(_)));
        let small = rawdoc! { "_id": 1, "a": nested(181) };
        assert!(
            matches!(passage(small.as_bytes()), Ok(Passage::Verbatim(_))),
            "{}",
            small.as_bytes().len()
        );
    }

    #[test]
    fn an_id_is_shown_as_canonical_extended_json() {
        let shown = display_id(rawdoc! { "_id": 7_i64, "a": 1 }.as_bytes());
        assert_eq!(shown, r#"{"$numberLong":"7"}"#);
        let mut unreadable = DocWriter::new();
        unreadable.value(kind::STRING, b"_id", b"\x02\0\0\0\xff\0");
        assert_eq!(display_id(&unreadable.finish()), "02000000ff00");
    }
}
