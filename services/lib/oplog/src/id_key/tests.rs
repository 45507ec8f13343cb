#![allow(clippy::unwrap_used)]

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, RawDocumentBuf, doc, oid::ObjectId};
use proptest::prelude::*;

use super::*;

mod reference;

fn key_of(value: &Bson) -> Vec<u8> {
    let doc = RawDocumentBuf::try_from(&doc! {"_id": value.clone()}).unwrap();
    let mut out = Vec::new();
    encode(Doc::new(doc.as_bytes()).unwrap().first().unwrap().unwrap(), &mut out);
    out
}

fn assert_agree(left: &Bson, right: &Bson) {
    let (left_key, right_key) = (key_of(left), key_of(right));
    let expected = reference::compare(left, right);
    assert_eq!(
        left_key.cmp(&right_key),
        expected,
        "{left:?} {left_key:x?}, {right:?} {right_key:x?}"
    );
    assert!(expected.is_eq() || !left_key.starts_with(&right_key), "{left:?}, {right:?}");
}

fn decimal_of(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[expect(clippy::too_many_lines, reason = "one list")]
fn tricky_numbers() -> Vec<Bson> {
    let mut numbers: Vec<Bson> = [0, 1, -1, 63, 64, 127, 128, -128, 255, 256, i32::MIN, i32::MAX]
        .into_iter()
        .map(Bson::Int32)
        .collect();
    let limit = 1_i64 << 53;
    numbers.extend(
        [
            0,
            1,
            limit - 1,
            limit,
            limit + 1,
            -limit - 1,
            i64::MAX,
            i64::MAX - 1,
            i64::MIN,
            i64::MIN + 1,
        ]
        .into_iter()
        .map(Bson::Int64),
    );
    let two_63 = 9_223_372_036_854_775_808.0;
    for double in [
        0.0,
        1.0,
        0.1,
        0.5,
        1.5,
        63.5,
        127.999,
        1e-300,
        5e-324,
        2.225_073_858_507_201e-308,
        f64::MIN_POSITIVE,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        two_63,
        9_223_372_036_854_774_784.0,
        2.0 * two_63,
        1e22,
        1e23,
        1e300,
        f64::MAX,
        f64::INFINITY,
        0.999_999_999_999_999_9,
        1.000_000_000_000_000_2,
    ] {
        numbers.extend([Bson::Double(double), Bson::Double(-double)]);
    }
    numbers.extend([Bson::Double(f64::NAN), Bson::Double(f64::from_bits(0xfff8_0000_dead_beef))]);
    for decimal in [
        "0",
        "0E+10",
        "0E-6176",
        "1",
        "1.0",
        "1E0",
        "1.00",
        "0.1",
        "0.10",
        "0.5",
        "1.5",
        "63.50",
        "1E1",
        "10",
        "0.1000000000000000055511151231257827",
        "0.1000000000000000055511151231257828",
        "9007199254740993",
        "9007199254740993.5",
        "9223372036854775807",
        "9223372036854775807.5",
        "9223372036854775808",
        "9223372036854775808.1",
        "18446744073709551616",
        "1E22",
        "1E23",
        "9.999999999999999999999999999999999E6144",
        "1E6144",
        "1E-6176",
        "1E-324",
        "4.9E-324",
        "5E-324",
        "1.797693134862315708145274237317043E308",
        "1.797693134862315708145274237317044E308",
        "Infinity",
    ] {
        numbers.extend([decimal_of(decimal), decimal_of(&format!("-{decimal}"))]);
    }
    numbers.push(decimal_of("NaN"));
    numbers
}

#[expect(clippy::too_many_lines, reason = "one list")]
fn tricky_others() -> Vec<Bson> {
    let binary = |subtype: u8, bytes: Vec<u8>| {
        Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes })
    };
    let regex = |pattern: &str, options: &str| {
        Bson::RegularExpression(bson::Regex {
            pattern: pattern.try_into().unwrap(),
            options: options.try_into().unwrap(),
        })
    };
    let scope = |code: &str, scope: Document| {
        Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: code.into(), scope })
    };
    let mut values = vec![Bson::MinKey, Bson::MaxKey, Bson::Null, Bson::Undefined];
    for text in
        ["", "\0", "\0\0", "\u{1}", "\u{2}", "a", "a\0", "a\0b", "a\u{1}", "ab", "b", "é", "\u{7f}"]
    {
        values.push(Bson::String(text.into()));
        values.push(Bson::Symbol(text.into()));
        values.push(Bson::JavaScriptCode(text.into()));
    }
    values.extend(
        [
            doc! {},
            doc! {"": 1},
            doc! {"a": 1},
            doc! {"a": 1_i64},
            doc! {"a": 1.5},
            doc! {"a": 1, "b": 1},
            doc! {"b": 1},
            doc! {"b": 1, "a": 1},
            doc! {"b": 0},
            doc! {"a": "x"},
            doc! {"b": Bson::Null},
            doc! {"a": Bson::MinKey},
            doc! {"a": Bson::MaxKey},
            doc! {"a": {}},
            doc! {"a": {"b": {}}},
            doc! {"aa": 1},
            doc! {"a": [1, {"b": "c"}]},
            doc! {"a": -5.25},
            doc! {"a": -5.25, "b": 0},
            doc! {"a": -5},
            doc! {"a": -5, "b": Bson::MaxKey},
        ]
        .map(Bson::Document),
    );
    values.extend(
        [
            vec![],
            vec![Bson::Int32(1)],
            vec![Bson::Int64(1), Bson::MinKey],
            vec![Bson::Array(vec![])],
            vec![Bson::String("a".into())],
            vec![Bson::String("a".into()), Bson::MinKey],
            (0..12).map(Bson::Int32).collect(),
        ]
        .map(Bson::Array),
    );
    values
        .extend([0, 1, 2, 16, 253, 254, 255, 256, 70_000].map(|length| binary(0, vec![7; length])));
    values.extend([
        binary(4, vec![7; 16]),
        binary(4, vec![0; 16]),
        binary(0x80, vec![0; 16]),
        binary(0, vec![255]),
    ]);
    values.extend(
        [[0; 12], [255; 12], [1; 12]].map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
    );
    values.extend([true, false].map(Bson::Boolean));
    values
        .extend([i64::MIN, -1, 0, 1, i64::MAX].map(|ms| Bson::DateTime(DateTime::from_millis(ms))));
    values.extend(
        [(0, 0), (0, 1), (1, 0), (u32::MAX, 1), (1, u32::MAX)]
            .map(|(time, increment)| Bson::Timestamp(bson::Timestamp { time, increment })),
    );
    values.extend([
        regex("", ""),
        regex("a", ""),
        regex("a", "i"),
        regex("ab", ""),
        regex("", "i"),
    ]);
    values.extend([
        scope("", doc! {}),
        scope("a", doc! {"x": 1}),
        scope("a", doc! {"x": 1_i64, "y": 2}),
        scope("b", doc! {}),
    ]);
    values
}

#[test]
fn all_pairs_of_tricky_values_agree_with_the_reference() {
    let values: Vec<Bson> = tricky_numbers().into_iter().chain(tricky_others()).collect();
    for left in &values {
        for right in &values {
            assert_agree(left, right);
        }
    }
}

#[test]
fn equal_ids_of_different_types_have_one_key() {
    let ones = [
        Bson::Int32(1),
        Bson::Int64(1),
        Bson::Double(1.0),
        decimal_of("1"),
        decimal_of("1.00"),
        decimal_of("1E0"),
    ];
    assert!(ones.iter().all(|one| key_of(one) == key_of(&ones[0])));
    let zeros = [Bson::Int32(0), Bson::Double(-0.0), decimal_of("-0"), decimal_of("0E+30")];
    assert!(zeros.iter().all(|zero| key_of(zero) == key_of(&zeros[0])));
    // A coefficient of more than 34 digits, and a coefficient in the layout that can hold only such
    // coefficients: both are zero.
    let too_large = (6176_u128 << 113 | 10_u128.pow(34)).to_le_bytes();
    let other_layout = (3_u128 << 125 | 5).to_le_bytes();
    for bytes in [too_large, other_layout] {
        assert_eq!(key_of(&Bson::Decimal128(Decimal128::from_bytes(bytes))), key_of(&zeros[0]));
    }
}

#[test]
fn common_ids_are_short() {
    assert_eq!(key_of(&Bson::Int32(1)), [0x2e, 0x02]);
    assert_eq!(key_of(&Bson::Int32(-1)), [0x2a, 0xfd]);
    assert_eq!(key_of(&Bson::Double(5.25)), [0x2e, 0x0b, 26, 0]);
    assert_eq!(key_of(&Bson::String("ab".into())), [0x40, b'a', b'b', 0]);
    assert_eq!(key_of(&Bson::ObjectId(ObjectId::from_bytes([9; 12]))).len(), 13);
    assert_eq!(key_of(&Bson::Int64(i64::MAX)).len(), 9);
}

/// The hashes are in filters on disk, so a change of either function must fail here. The numbers
/// come from a second implementation of what [`hash64_of_key`] documents.
#[test]
fn hashes_never_change() {
    assert_eq!(hash64_of_key(b""), PINNED[0]);
    assert_eq!(hash64_of_key(b"12345678"), PINNED[1]);
    assert_eq!(hash64_of_key(b"123456789"), PINNED[2]);
    let hashes = |value: Bson| {
        let doc = RawDocumentBuf::try_from(&doc! {"_id": value.clone()}).unwrap();
        let id = Doc::new(doc.as_bytes()).unwrap().first().unwrap().unwrap();
        assert_eq!(hash64(id), hash64_of_key(&key_of(&value)));
        hash64(id)
    };
    assert_eq!(hashes(Bson::Int32(1)), PINNED[3]);
    assert_eq!(hashes(Bson::Double(1.0)), PINNED[3]);
    assert_ne!(hashes(Bson::Int32(2)), PINNED[3]);
    hashes(Bson::String("x".repeat(10_000)));
}

const PINNED: [u64; 4] =
    [0x2ff028988835cb8f, 0x908420e4e92e18c1, 0x60d7b1d44c275dee, 0xd1b242feb88e2ddf];

#[test]
fn hashes_of_neighbours_differ_in_about_half_their_bits() {
    let hashes: Vec<u64> =
        (0..2000_u32).map(|id| hash64_of_key(&key_of(&Bson::Int32(id as i32)))).collect();
    let distances: u32 = hashes.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
    let mean = f64::from(distances) / (hashes.len() - 1) as f64;
    assert!((31.0..33.0).contains(&mean), "{mean}");
}

fn collated(value: &Bson, collate: Collate<'_>) -> Vec<u8> {
    let doc = RawDocumentBuf::try_from(&doc! {"_id": value.clone()}).unwrap();
    let mut out = b"kept".to_vec();
    encode_collated(Doc::new(doc.as_bytes()).unwrap().first().unwrap().unwrap(), collate, &mut out);
    assert_eq!(out.drain(..4).collect::<Vec<_>>(), b"kept");
    out
}

#[test]
fn collation_reaches_nested_strings_and_nothing_else() {
    let lower = |text: &[u8], out: &mut Vec<u8>| out.extend(text.to_ascii_lowercase());
    let equal = |left: Bson, right: Bson| collated(&left, &lower) == collated(&right, &lower);
    assert!(equal("Ab".into(), "aB".into()));
    assert!(equal(doc! {"a": ["X", {"b": "Y"}]}.into(), doc! {"a": ["x", {"b": "y"}]}.into()));
    assert!(!equal(doc! {"A": 1}.into(), doc! {"a": 1}.into()));
    assert!(!equal(Bson::JavaScriptCode("A".into()), Bson::JavaScriptCode("a".into())));
    assert_eq!(collated(&Bson::Int32(7), &lower), key_of(&Bson::Int32(7)));
}

/// The longer name is the greater name, whatever it says.
#[test]
fn db_pointers_compare_by_length_first() {
    let pointer = |name: &str, oid: u8| {
        let mut value = (name.len() as i32 + 1).to_le_bytes().to_vec();
        value.extend_from_slice(name.as_bytes());
        value.push(0);
        value.extend_from_slice(&[oid; 12]);
        let mut writer = crate::raw::DocWriter::new();
        writer.value(kind::DB_POINTER, b"_id", &value);
        let bytes = writer.finish();
        let mut out = Vec::new();
        encode(Doc::new(&bytes).unwrap().first().unwrap().unwrap(), &mut out);
        out
    };
    let keys = [pointer("z", 0), pointer("z", 1), pointer("aa", 0), pointer("ab", 0)];
    assert!(keys.is_sorted() && keys[0] != keys[1]);
    let (before, after) = (key_of(&tricky_regex()), key_of(&Bson::JavaScriptCode("".into())));
    assert!(before < keys[0] && keys[3] < after);
}

fn tricky_regex() -> Bson {
    let pattern = "z".try_into().unwrap();
    Bson::RegularExpression(bson::Regex { pattern, options: "i".try_into().unwrap() })
}

#[test]
fn malformed_ids_have_keys_of_their_own() {
    let nested = |inner: &[u8]| {
        let mut writer = crate::raw::DocWriter::new();
        let mut value = ((inner.len() + 5) as i32).to_le_bytes().to_vec();
        value.extend_from_slice(inner);
        value.push(0);
        writer.value(kind::DOCUMENT, b"_id", &value);
        let bytes = writer.finish();
        let mut out = Vec::new();
        encode(Doc::new(&bytes).unwrap().first().unwrap().unwrap(), &mut out);
        out
    };
    let keys = [
        nested(&[0x55, b'a', 0]),
        nested(&[0x55, b'b', 0]),
        nested(&[0x10, b'a', 0, 1]),
        nested(b""),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(key[0] == tag::MALFORMED, at < 3);
        assert!(keys.iter().enumerate().all(|(other, k)| other == at || !k.starts_with(key)));
    }
}

#[test]
fn too_deep_an_id_still_has_a_key() {
    let mut value = doc! {};
    for _ in 0..MAX_DEPTH + 10 {
        value = doc! {"a": value};
    }
    let mut bytes = RawDocumentBuf::new();
    // `bson` refuses nothing here, so the depth really reaches the encoder.
    bytes.append(bson::raw::cstr!("_id"), RawDocumentBuf::try_from(&value).unwrap());
    let mut out = Vec::new();
    encode(Doc::new(bytes.as_bytes()).unwrap().first().unwrap().unwrap(), &mut out);
    assert_eq!(out[0], tag::MALFORMED);
}

fn number() -> impl Strategy<Value = Bson> {
    let decimal =
        (any::<bool>(), 0..10_u128.pow(34), 0..34_u32, -6176..6111_i32, -40..20_i32, any::<bool>());
    let whole = prop_oneof![
        -300..300_i64,
        any::<i64>(),
        (0..63_u32).prop_map(|shift| (1_i64 << shift) - 1)
    ];
    prop_oneof![
        whole.clone().prop_map(Bson::Int64),
        any::<i32>().prop_map(Bson::Int32),
        whole.clone().prop_map(|whole| Bson::Double(whole as f64)),
        whole.clone().prop_map(|whole| Bson::Double(whole as f64 / 1024.0)),
        whole.clone().prop_map(|whole| Bson::Double(whole as f64 / 10.0)),
        (whole, 0..20).prop_map(|(whole, places)| decimal_of(&format!("{whole}E-{places}"))),
        any::<u64>().prop_map(|bits| Bson::Double(f64::from_bits(bits))),
        decimal.prop_map(|(negative, digits, drop, far, near, is_near)| {
            let (sign, digits) = (if negative { "-" } else { "" }, digits / 10_u128.pow(drop));
            decimal_of(&format!("{sign}{digits}E{}", if is_near { near } else { far }))
        }),
    ]
}

/// The same number in another type if there is one, else a close number.
fn sibling(number: &Bson) -> Bson {
    match number {
        Bson::Int32(number) => Bson::Double(f64::from(*number)),
        Bson::Int64(number) => decimal_of(&number.to_string()),
        Bson::Double(number) if number.is_finite() => {
            let text = format!("{number:.30e}").replace('e', "E");
            decimal_of(&text)
        }
        Bson::Decimal128(number) => number.to_string().parse().map_or(Bson::Int32(0), Bson::Double),
        other => other.clone(),
    }
}

fn value() -> impl Strategy<Value = Bson> {
    let text = "[\\x00-\\x02a-cé]{0,4}";
    let leaf = prop_oneof![
        4 => number(),
        2 => text.prop_map(Bson::String),
        1 => text.prop_map(Bson::Symbol),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| {
            Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes })
        }),
        2 => prop::sample::select(tricky_others()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[ab]{0,2}", inner), 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn numbers_agree_with_the_reference(left in number(), right in number()) {
        assert_agree(&left, &right);
        assert_agree(&left, &sibling(&left));
    }

    #[test]
    fn values_agree_with_the_reference(left in value(), right in value()) {
        assert_agree(&left, &right);
        assert_agree(&left, &left);
    }

    #[test]
    fn any_collation_key_is_kept_apart(
        left in prop::collection::vec(0..4_u8, 0..6),
        right in prop::collection::vec(0..4_u8, 0..6),
    ) {
        let key = |bytes: &[u8]| collated(&"any".into(), &|_, out| out.extend_from_slice(bytes));
        let (left_key, right_key) = (key(&left), key(&right));
        prop_assert_eq!(left_key.cmp(&right_key), left.cmp(&right));
        prop_assert!(left == right || !left_key.starts_with(&right_key));
    }

    #[test]
    fn any_bytes_have_a_key(
        kind in any::<u8>(),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut framed = ((bytes.len() + 6 + 5) as i32).to_le_bytes().to_vec();
        framed.extend_from_slice(&[kind, b'_', b'i', b'd', 0, 0]);
        framed.extend_from_slice(&bytes);
        framed.push(0);
        if let Ok(Some(id)) = Doc::new(&framed).unwrap().first() {
            let mut out = Vec::new();
            encode(id, &mut out);
            prop_assert!(!out.is_empty());
        }
    }
}
