//! The documents, as bytes, because drivers would not write some of them.

use bson::{RawDocumentBuf, rawdoc};
use hindsight_oplog::raw::{DocWriter, kind};

/// Levels of nesting. Servers take 180, including the document itself.
pub(super) const DEEP: usize = 179;

pub(super) fn all() -> Vec<RawDocumentBuf> {
    let mut all = vec![
        of("twice", 1, |doc| {
            doc.int32(b"a", 1).string(b"b", "x").int32(b"a", 2);
        }),
        of("dates", 2, |doc| {
            for (name, milliseconds) in [
                ("never", 253_402_300_800_000_i64),
                ("largest", i64::MAX),
                ("before", -1),
                ("last", 253_402_300_799_999),
            ] {
                doc.value(kind::DATE, name.as_bytes(), &milliseconds.to_le_bytes());
            }
        }),
        of("numbers", 3, |doc| {
            for (name, number) in [("subnormal", 5e-324), ("zero", -0.0), ("huge", 1e300)] {
                doc.value(kind::DOUBLE, name.as_bytes(), &f64::to_le_bytes(number));
            }
            doc.value(kind::DOUBLE, b"endless", &f64::NEG_INFINITY.to_le_bytes());
            doc.value(kind::DOUBLE, b"small", &2.225_073_858_507_201e-308_f64.to_le_bytes());
            doc.int64(b"long", 9_007_199_254_740_993);
        }),
        of("text", 4, |doc| {
            doc.value(kind::STRING, b"s", &sized(b"x\xff")).string(b"k\xfe", "v");
        }),
        of("texts", 5, not_utf8),
        of("types", 7, rare_types),
        of("zero", 8, |doc| {
            doc.string(b"s", "a\0b\u{1}\"\\");
        }),
        of("nan", 9, |doc| {
            doc.value(kind::DOUBLE, b"d", &(-f64::NAN).to_le_bytes());
        }),
    ];
    all.extend(with_other_ids());
    all
}

/// Returns a document for a separate collection, because the JSON readers that tests use do not go
/// so deep.
pub(super) fn deep() -> RawDocumentBuf {
    of("deep", 6, |doc| {
        for _ in 0..DEEP {
            doc.open(kind::DOCUMENT, b"n");
        }
        for _ in 0..DEEP {
            doc.close();
        }
    })
}

/// Returns the name and the text of each id that JSON can carry.
pub(super) fn ids() -> [(&'static str, &'static str); 5] {
    [
        ("nested id", r#"{"b":"x","a":[{"$numberLong":"1"}]}"#),
        ("uuid", r#"{"$uuid":"0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e"}"#),
        ("date id", r#"{"$date":{"$numberLong":"253402300800000"}}"#),
        ("double id", "1.5"),
        ("slash", "\"a/b?c=%&d\""),
    ]
}

fn with_other_ids() -> Vec<RawDocumentBuf> {
    let uuid = bson::Uuid::parse_str("0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e").expect("a UUID");
    let mut odd = DocWriter::new();
    odd.value(kind::STRING, b"_id", &sized(b"id\xff")).string(b"name", "odd id");
    vec![
        rawdoc! {"_id": {"b": "x", "a": [1_i64]}, "name": "nested id"},
        rawdoc! {"_id": bson::Binary::from(uuid), "name": "uuid"},
        rawdoc! {"_id": bson::DateTime::from_millis(253_402_300_800_000), "name": "date id"},
        rawdoc! {"_id": 1.5, "name": "double id"},
        rawdoc! {"_id": "a/b?c=%&d", "name": "slash"},
        RawDocumentBuf::from_bytes(odd.finish()).expect("a document"),
    ]
}

fn of(name: &str, id: i32, fill: impl FnOnce(&mut DocWriter)) -> RawDocumentBuf {
    let mut doc = DocWriter::new();
    doc.int32(b"_id", id).string(b"name", name);
    fill(&mut doc);
    RawDocumentBuf::from_bytes(doc.finish()).expect("a document")
}

fn not_utf8(doc: &mut DocWriter) {
    let odd = sized(b"x\xff");
    let scope = [&odd[..], b"\x05\0\0\0\0"].concat();
    let length = i32::try_from(4 + scope.len()).expect("short").to_le_bytes();
    doc.open(kind::ARRAY, b"array").value(kind::STRING, b"0", &odd).close();
    doc.value(kind::REGEX, b"regex", b"\xff\0i\0").value(kind::SYMBOL, b"symbol", &odd);
    doc.value(kind::CODE, b"code", &odd);
    doc.value(kind::CODE_WITH_SCOPE, b"scoped", &[&length[..], &scope].concat());
    doc.value(kind::DB_POINTER, b"pointer", &[&odd[..], &[7; 12]].concat());
}

fn rare_types(doc: &mut DocWriter) {
    let scope: &[u8] = &[12, 0, 0, 0, kind::INT32, b'x', 0, 1, 0, 0, 0, 0];
    let code = [&sized(b"f()")[..], scope].concat();
    let length = i32::try_from(4 + code.len()).expect("short").to_le_bytes();
    doc.value(kind::UNDEFINED, b"undefined", b"").value(kind::SYMBOL, b"symbol", &sized(b"s"));
    doc.value(kind::DB_POINTER, b"pointer", &[&sized(b"a.b")[..], &[7; 12]].concat());
    doc.value(kind::CODE, b"code", &sized(b"f()"));
    doc.value(kind::CODE_WITH_SCOPE, b"scoped", &[&length[..], &code].concat());
    doc.value(kind::BINARY, b"old", b"\x06\0\0\0\x02\x02\0\0\0\xff\xff");
    doc.value(kind::BINARY, b"vector", b"\x03\0\0\0\x09\x03\0\x7f");
    doc.value(kind::BINARY, b"own", b"\x01\0\0\0\x80\x01").value(kind::MIN_KEY, b"min", b"");
    doc.value(kind::MAX_KEY, b"max", b"").value(kind::REGEX, b"regex", b"^a\0im\0");
    let decimal = 0x3040_0000_0000_0000_0000_0000_0000_000a_u128;
    doc.value(kind::DECIMAL128, b"decimal", &decimal.to_le_bytes());
    doc.value(kind::TIMESTAMP, b"timestamp", &u64::MAX.to_le_bytes());
}

fn sized(text: &[u8]) -> Vec<u8> {
    let length = i32::try_from(text.len() + 1).expect("short").to_le_bytes();
    [&length[..], text, b"\0"].concat()
}
