use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp, doc, oid::ObjectId};
use hindsight_oplog::raw::{Doc, DocWriter, kind};
use proptest::prelude::*;

use super::*;

fn written(bytes: &[u8], notation: Notation) -> String {
    serde_json::to_string(&Written::of(bytes, notation).expect("a document")).expect("JSON")
}

/// Returns the canonical and the relaxed text of a value, which is the only field of a document.
fn both(kind: u8, value: &[u8]) -> (String, String) {
    let mut writer = DocWriter::new();
    writer.value(kind, b"", value);
    let bytes = writer.finish();
    let inside = |text: String| text[r#"{"":"#.len()..text.len() - 1].to_owned();
    (inside(written(&bytes, Notation::Canonical)), inside(written(&bytes, Notation::Relaxed)))
}

fn sized(text: &[u8]) -> Vec<u8> {
    let length = i32::try_from(text.len() + 1).expect("short").to_le_bytes();
    [&length[..], text, b"\0"].concat()
}

/// The specification's own examples, and the values that our library wrote differently.
#[test]
fn every_type_is_as_the_specification_writes_it() {
    let same = |kind, value: &[u8], text: &str| {
        assert_eq!(both(kind, value), (text.to_owned(), text.to_owned()));
    };
    let oid = [0x56, 0xe1, 0xfc, 0x72, 0xe0, 0xc9, 0x17, 0xe9, 0xc4, 0x71, 0x41, 0x61];
    same(kind::OBJECT_ID, &oid, r#"{"$oid":"56e1fc72e0c917e9c4714161"}"#);
    same(kind::STRING, &sized(b"a\0\"\\\n"), r#""a\u0000\"\\\n""#);
    same(kind::SYMBOL, &sized(b"s"), r#"{"$symbol":"s"}"#);
    same(kind::CODE, &sized(b"f()"), r#"{"$code":"f()"}"#);
    let scope: &[u8] = &[12, 0, 0, 0, kind::INT32, b'x', 0, 1, 0, 0, 0, 0];
    let code = sized(b"f");
    let total = i32::try_from(4 + code.len() + scope.len()).expect("short").to_le_bytes();
    let (canonical, relaxed) = both(kind::CODE_WITH_SCOPE, &[&total[..], &code, scope].concat());
    assert_eq!(canonical, r#"{"$code":"f","$scope":{"x":{"$numberInt":"1"}}}"#);
    assert_eq!(relaxed, r#"{"$code":"f","$scope":{"x":1}}"#);
    let pointer = [&sized(b"a.b")[..], &oid].concat();
    let text = r#"{"$dbPointer":{"$ref":"a.b","$id":{"$oid":"56e1fc72e0c917e9c4714161"}}}"#;
    same(kind::DB_POINTER, &pointer, text);
    let text = r#"{"$regularExpression":{"pattern":"^a","options":"xi"}}"#;
    same(kind::REGEX, b"^a\0xi\0", text);
    same(kind::BINARY, b"\x02\0\0\0\0\xff\xff", r#"{"$binary":{"base64":"//8=","subType":"00"}}"#);
    let old = b"\x06\0\0\0\x02\x02\0\0\0\xff\xff";
    same(kind::BINARY, old, r#"{"$binary":{"base64":"//8=","subType":"02"}}"#);
    same(kind::BINARY, b"\x01\0\0\0\x09\x03", r#"{"$binary":{"base64":"Aw==","subType":"09"}}"#);
    same(kind::BINARY, b"\0\0\0\0\x80", r#"{"$binary":{"base64":"","subType":"80"}}"#);
    same(kind::TIMESTAMP, &[42, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], {
        r#"{"$timestamp":{"t":4294967295,"i":42}}"#
    });
    same(kind::UNDEFINED, b"", r#"{"$undefined":true}"#);
    same(kind::MIN_KEY, b"", r#"{"$minKey":1}"#);
    same(kind::MAX_KEY, b"", r#"{"$maxKey":1}"#);
    same(kind::NULL, b"", "null");
    same(kind::BOOL, &[1], "true");
}

#[test]
fn numbers_keep_every_bit_in_both_notations() {
    let (large, tiny) = ("0".repeat(300), "0".repeat(323));
    for (number, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (9_007_199_254_740_992.0, "9007199254740992.0"),
        (1e300, &format!("1{large}.0")),
        // The smallest subnormal number.
        (5e-324, &format!("0.{tiny}5")),
    ] {
        let (canonical, relaxed) = both(kind::DOUBLE, &f64::to_le_bytes(number));
        assert_eq!(canonical, format!(r#"{{"$numberDouble":"{text}"}}"#));
        let read: f64 = relaxed.parse().expect("a number");
        assert_eq!(read.to_bits(), number.to_bits(), "{relaxed}");
    }
    for (number, text) in [
        (f64::NAN, "NaN"),
        (-f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        let text = format!(r#"{{"$numberDouble":"{text}"}}"#);
        assert_eq!(both(kind::DOUBLE, &number.to_le_bytes()), (text.clone(), text));
    }
    let beyond_doubles = 9_007_199_254_740_993_i64;
    let (canonical, relaxed) = both(kind::INT64, &beyond_doubles.to_le_bytes());
    assert_eq!(canonical, r#"{"$numberLong":"9007199254740993"}"#);
    assert_eq!(relaxed, "9007199254740993");
    assert_eq!(both(kind::INT32, &(-7_i32).to_le_bytes()).0, r#"{"$numberInt":"-7"}"#);
}

/// Each of these dates was once shown as `9999-12-31T23:59:59.999999999Z`.
#[test]
fn a_date_beyond_the_year_9999_is_its_number() {
    for milliseconds in [253_402_300_800_000, i64::MAX, -1, i64::MIN] {
        let text = format!(r#"{{"$date":{{"$numberLong":"{milliseconds}"}}}}"#);
        assert_eq!(both(kind::DATE, &milliseconds.to_le_bytes()), (text.clone(), text));
    }
    let relaxed = both(kind::DATE, &253_402_300_799_999_i64.to_le_bytes()).1;
    assert_eq!(relaxed, r#"{"$date":"9999-12-31T23:59:59.999Z"}"#);
}

#[test]
fn a_decimal_of_any_encoding_has_a_text() {
    for (bits, text) in [
        (0x3040_0000_0000_0000_0000_0000_0000_0001_u128, "1"),
        (0xb040_0000_0000_0000_0000_0000_0000_0000, "-0"),
        (0x7c00_0000_0000_0000_0000_0000_0000_0000, "NaN"),
        (0xfe00_0000_0000_0000_0000_0000_0000_0001, "NaN"),
        (0xf800_0000_0000_0000_0000_0000_0000_0000, "-Infinity"),
        // A coefficient beyond the largest one counts as zero.
        (0x6c10_0000_0000_0000_0000_0000_0000_0000, "0"),
        (0x3041_ffff_ffff_ffff_ffff_ffff_ffff_ffff, "0"),
    ] {
        let text = format!(r#"{{"$numberDecimal":"{text}"}}"#);
        assert_eq!(both(kind::DECIMAL128, &bits.to_le_bytes()).0, text, "{bits:x}");
    }
}

#[test]
fn a_field_that_comes_twice_is_written_twice() {
    let mut writer = DocWriter::new();
    writer.int32(b"a", 1).string(b"b", "x").int32(b"a", 2);
    writer.open(kind::ARRAY, b"c").int32(b"7", 3).int32(b"7", 4).close();
    assert_eq!(written(&writer.finish(), Notation::Relaxed), r#"{"a":1,"b":"x","a":2,"c":[3,4]}"#);
}

#[test]
fn bytes_that_are_not_utf8_are_shown_and_told() {
    let bad = sized(b"x\xff");
    let code = [&(4 + bad.len() as i32 + 5).to_le_bytes()[..], &bad, b"\x05\0\0\0\0"].concat();
    let mut writer = DocWriter::new();
    writer.value(kind::STRING, b"s", &bad).value(kind::STRING, b"k\xfe", &sized(b"fine"));
    writer.open(kind::ARRAY, b"a").int32(b"0", 1).open(kind::DOCUMENT, b"1");
    writer.value(kind::REGEX, b"r", b"\xff\0i\0").value(kind::SYMBOL, b"y", &bad).close().close();
    writer.value(kind::CODE, b"c", &bad).value(kind::CODE_WITH_SCOPE, b"w", &code);
    writer.value(kind::DB_POINTER, b"p", &[&bad[..], &[7; 12]].concat());
    let bytes = writer.finish();
    for notation in [Notation::Canonical, Notation::Relaxed] {
        let written = Written::of(&bytes, notation).expect("a document");
        let text = serde_json::to_string(&written).expect("JSON");
        assert!(text.starts_with("{\"s\":\"x\u{fffd}\",\"k\u{fffd}\":\"fine\",\"a\":["), "{text}");
        let told: Vec<&str> = written.inexact().iter().map(|it| it.path.as_str()).collect();
        assert_eq!(told, ["s", "k\u{fffd}", "a.1.r", "a.1.y", "c", "w", "p"]);
        assert!(written.inexact().iter().all(|it| it.reason == Reason::NotUtf8));
        let marked = serde_json::to_string(&written.marked()).expect("JSON");
        let mark = "\"$inexact\":[\"s: bytes that are not UTF-8 are shown as U+FFFD\"";
        assert!(marked.starts_with(&text[..text.len() - 1]) && marked.contains(mark), "{marked}");
    }
}

#[test]
fn what_reads_as_something_else_is_told() {
    let bytes = doc! {"a": {"$oid": "x"}, "b": {"$ref": "c", "$id": 1}}.to_vec().expect("BSON");
    let told = Written::of(&bytes, Notation::Canonical).expect("a document").inexact().to_vec();
    assert_eq!(told, [Inexact { path: "a".into(), reason: Reason::LooksLikeType }]);
    let mut writer = DocWriter::new();
    writer.value(kind::BINARY, b"o", b"\x02\0\0\0\x02\xff\xff");
    let bytes = writer.finish();
    let written = Written::of(&bytes, Notation::Canonical).expect("a document");
    assert_eq!(written.inexact(), [Inexact { path: "o".into(), reason: Reason::OldBinary }]);
    let text = serde_json::to_string(&written).expect("JSON");
    assert_eq!(text, r#"{"o":{"$binary":{"base64":"//8=","subType":"02"}}}"#);
    let exact = doc! {"a": "x"}.to_vec().expect("BSON");
    let exact = Written::of(&exact, Notation::Canonical).expect("a document");
    assert_eq!(serde_json::to_string(&exact.marked()).expect("JSON"), r#"{"a":"x"}"#);
}

#[test]
fn so_much_is_told_and_no_more() {
    let mut writer = DocWriter::new();
    for number in 0..MANY {
        writer.value(kind::STRING, format!("f{number}").as_bytes(), &sized(b"\xff"));
    }
    let bytes = writer.finish();
    let written = Written::of(&bytes, Notation::Canonical).expect("a document");
    assert_eq!(written.inexact().len(), inexact::MOST);
}

const MANY: usize = 1000;

#[test]
fn nesting_is_written_as_deep_as_servers_hold_it_and_refused_beyond() {
    let nested = |levels: usize| {
        let mut writer = DocWriter::new();
        for _ in 0..levels {
            writer.open(kind::DOCUMENT, b"n");
        }
        for _ in 0..levels {
            writer.close();
        }
        writer.finish()
    };
    let text = written(&nested(200), Notation::Relaxed);
    assert_eq!(text, format!("{}{{}}{}", "{\"n\":".repeat(200), "}".repeat(200)));
    assert!(Written::of(&nested(300), Notation::Relaxed).is_err());
    assert!(Written::of(b"\x05\0\0\0", Notation::Canonical).is_err());
}

fn any_value() -> impl Strategy<Value = Bson> {
    let double = prop_oneof![
        any::<f64>().prop_filter("NaN has many encodings", |it| !it.is_nan()),
        Just(-0.0),
        Just(1e300),
        (1_u64..1 << 52).prop_map(f64::from_bits),
    ];
    let binary = (any::<[u8; 5]>(), prop_oneof![Just(0_u8), Just(2), Just(5), Just(9), Just(0x80)]);
    let decimal = (any::<i64>(), -6100_i32..6000).prop_map(|(coefficient, exponent)| {
        let text = format!("{coefficient}E{exponent}");
        Bson::Decimal128(text.parse::<Decimal128>().expect("a decimal"))
    });
    let leaf = prop_oneof![
        double.prop_map(Bson::Double),
        ".{0,12}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
        Just(Bson::Null),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<i64>().prop_map(|it| Bson::DateTime(DateTime::from_millis(it))),
        (0_i64..260_000_000_000_000).prop_map(|it| Bson::DateTime(DateTime::from_millis(it))),
        (any::<u32>(), any::<u32>())
            .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        any::<[u8; 12]>().prop_map(|it| Bson::ObjectId(ObjectId::from_bytes(it))),
        decimal,
        binary.prop_map(|(bytes, subtype)| {
            Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes: bytes.into() })
        }),
        "[a-z.*]{0,6}".prop_map(|text| Bson::RegularExpression(Regex {
            pattern: text.try_into().expect("no NUL"),
            options: "im".to_owned().try_into().expect("no NUL"),
        })),
        "[a-z]{0,6}".prop_map(Bson::JavaScriptCode),
        "[a-z]{0,6}".prop_map(Bson::Symbol),
    ];
    leaf.prop_recursive(4, 40, 6, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..6).prop_map(Bson::Array),
            prop::collection::vec(("[a-z.]{0,6}", inside), 0..6)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Another reader of our canonical text gets the same bytes from it.
    #[test]
    fn canonical_text_reads_as_the_same_bytes(value in any_value()) {
        let bytes = doc! {"_id": 1, "value": value}.to_vec().expect("BSON");
        let text = written(&bytes, Notation::Canonical);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let read = Bson::try_from(json).expect("Extended JSON");
        let read: &Document = read.as_document().expect("a document");
        prop_assert_eq!(read.to_vec().expect("BSON"), bytes);
    }

    /// Every valid document can be written in both notations, whatever its strings are.
    #[test]
    fn whatever_is_bson_is_written(value in any::<Vec<u8>>(), name in "[a-z]{1,3}", kind in 1..20_u8) {
        let mut writer = DocWriter::new();
        writer.value(kind, name.as_bytes(), &value);
        let bytes = writer.finish();
        let is_valid = Doc::new(&bytes).and_then(Doc::validate).is_ok();
        for notation in [Notation::Canonical, Notation::Relaxed] {
            let text = Written::of(&bytes, notation).map(|it| serde_json::to_string(&it));
            prop_assert_eq!(text.is_ok_and(|text| text.is_ok()), is_valid);
        }
    }
}
