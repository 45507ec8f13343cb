use bson::{RawDocumentBuf, doc, rawdoc};
use proptest::prelude::*;

use super::*;

fn every_type() -> RawDocumentBuf {
    use bson::{Bson, spec::BinarySubtype};
    let document = doc! {
        "double": 1.5, "string": "text", "doc": {"a": 1, "": {"b": [1, {"c": 2}]}}, "array": [1, "two"],
        "binary": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
        "oid": bson::oid::ObjectId::new(), "bool": true, "date": bson::DateTime::from_millis(1),
        "null": null, "regex": bson::Regex { pattern: "a+".try_into().expect("no null"), options: "i".try_into().expect("no null") },
        "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
        "scope": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! {"x": 1} },
        "int32": 1, "ts": bson::Timestamp { time: 7, increment: 9 }, "int64": 2_i64,
        "decimal": "1.0".parse::<bson::Decimal128>().expect("a number"),
        "undefined": Bson::Undefined, "min": Bson::MinKey, "max": Bson::MaxKey,
    };
    RawDocumentBuf::try_from(&document).expect("a document")
}

#[test]
fn walks_every_type_and_copies_it_unchanged() {
    let source = every_type();
    let doc = Doc::new(source.as_bytes()).expect("well formed");
    doc.validate().expect("well formed");
    let mut writer = DocWriter::new();
    for element in doc.elements() {
        writer.element(element.expect("well formed"));
    }
    assert_eq!(writer.finish(), source.as_bytes());
}

#[test]
fn every_truncation_is_refused() {
    let source = every_type();
    let bytes = source.as_bytes();
    for length in 0..bytes.len() {
        assert!(Doc::new(&bytes[..length]).is_err());
        // With a forged outer length, the walk itself must notice.
        if length >= 5 {
            let mut forged = bytes[..length].to_vec();
            forged[..4].copy_from_slice(&(length as i32).to_le_bytes());
            forged[length - 1] = 0;
            let _ = Doc::new(&forged).expect("the frame is right").validate();
        }
    }
}

#[test]
fn reads_typed_values() {
    let source = rawdoc! {"i": 5_i32, "l": 6_i64, "d": 7.0, "s": "x", "b": true, "o": {"ts": bson::Timestamp {time: 1, increment: 2}, "t": 3_i64}};
    let doc = Doc::new(source.as_bytes()).expect("well formed");
    let get = |name: &str| doc.get(name.as_bytes()).expect("well formed").expect("present");
    assert_eq!(get("i").as_integer(), Some(5));
    assert_eq!(get("l").as_integer(), Some(6));
    assert_eq!(get("d").as_integer(), Some(7));
    assert_eq!(get("s").as_str(), Some("x"));
    assert_eq!(get("b").as_bool(), Some(true));
    assert_eq!(get("o").as_optime(), Some(OpTime { ts: Timestamp::new(1, 2), term: 3 }));
    assert_eq!(get("i").as_str(), None);
}

#[test]
fn writes_nested_documents() {
    let mut writer = DocWriter::new();
    writer.int32(b"a", 1).open(kind::DOCUMENT, b"b").string(b"c", "d").close().int64(b"e", 2);
    assert_eq!(writer.finish(), rawdoc! {"a": 1_i32, "b": {"c": "d"}, "e": 2_i64}.as_bytes());
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut framed = ((bytes.len() + 5) as i32).to_le_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        framed.push(0);
        let _ = Doc::new(&framed).expect("the frame is right").validate();
    }

    #[test]
    fn flipped_bytes_are_walked_without_panic(at in 0_usize..400, flip in 1_u8..) {
        let mut bytes = every_type().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(doc) = Doc::new(&bytes) {
            let _ = doc.validate();
        }
    }
}
