//! What a server does to a document on insert, found out before it does it.
//!
//! Seen on 4.4.2 to 7.0.28: an `insert` moves a late `_id` to the front and replaces every `Timestamp(0, 0)` at the top
//! level (outside `_id`) by its own time; it stores everything else as it is, duplicate names, invalid UTF-8 and
//! deprecated types included. An update by pipeline with a literal document stores zero timestamps, so that is
//! how they are put back. An `applyOps` that is not atomic stores whatever it is given, as applying an oplog entry does;
//! it takes a right of its own, so only documents with a late `_id` go that way.

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

/// How a document gets into a collection unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// The server stores it as it is.
    AsItIs,
    /// After the insert its zero timestamps must be put back.
    Repaired,
    /// Its `_id` is not its first field: only `applyOps` stores it so.
    Verbatim,
    /// The server cannot be made to store this.
    Impossible(&'static str),
}

pub(super) fn passage(document: &[u8]) -> Result<Passage, Malformed> {
    let (mut passage, mut first) = (Passage::AsItIs, true);
    for element in Doc::new(document)?.elements() {
        let element = element?;
        if first && element.name != b"_id" {
            return Ok(match Doc::new(document)?.get(b"_id")? {
                Some(_) => Passage::Verbatim,
                None => Passage::Impossible("it has no _id"),
            });
        }
        if !first && element.kind == kind::TIMESTAMP && element.value == [0; 8] {
            passage = Passage::Repaired;
        }
        first = false;
    }
    Ok(if first { Passage::Impossible("it has no _id") } else { passage })
}

/// The `_id` of a document, for messages.
pub(super) fn display_id(document: &[u8]) -> String {
    let id = Doc::new(document).ok().and_then(|document| document.get(b"_id").ok().flatten());
    id.map_or_else(|| "(none)".to_owned(), super::command::display_value)
}

/// One entry of `updates`: replaces the document of this `_id` by exactly these bytes.
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
        assert_eq!(of(rawdoc! { "a": 1, "t": ZERO, "_id": 1 }), Passage::Verbatim);
        assert!(matches!(of(rawdoc! { "a": 1 }), Passage::Impossible(_)));
        assert!(matches!(of(rawdoc! {}), Passage::Impossible(_)));
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
