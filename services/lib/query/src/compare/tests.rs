use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Decimal128, JavaScriptCodeWithScope, RawDocumentBuf, Regex, bson, doc};
use proptest::prelude::*;

use super::*;

fn order(a: &Bson, b: &Bson) -> Ordering {
    let document = RawDocumentBuf::try_from(&doc! {"a": a, "b": b}).unwrap();
    let get = |name| document.get(name).unwrap().unwrap();
    compare(get("a"), get("b"))
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

fn regex(pattern: &str, options: &str) -> Bson {
    let (pattern, options) = (pattern.try_into().unwrap(), options.try_into().unwrap());
    Bson::RegularExpression(Regex { pattern, options })
}

fn scoped(code: &str, scope: bson::Document) -> Bson {
    Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: code.into(), scope })
}

fn binary(subtype: BinarySubtype, bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype, bytes: bytes.to_vec() })
}

/// Values in ascending order, with equal values in one group.
fn ascending() -> Vec<Vec<Bson>> {
    vec![
        vec![Bson::MinKey],
        vec![Bson::Undefined],
        vec![Bson::Null],
        vec![bson!(f64::NAN), bson!(-f64::NAN), decimal("NaN")],
        vec![bson!(f64::NEG_INFINITY), decimal("-Infinity")],
        vec![bson!(i64::MIN), bson!(-9_223_372_036_854_775_808.0)],
        vec![bson!(-1), bson!(-1.0), decimal("-1.0")],
        vec![bson!(-0.5), decimal("-0.5")],
        vec![bson!(0), bson!(0.0), bson!(-0.0), decimal("-0"), decimal("0E+3")],
        vec![bson!(5e-324)],
        vec![decimal("0.1")],
        vec![bson!(0.1)],
        vec![bson!(1), bson!(1_i64), bson!(1.0), decimal("1.00")],
        vec![bson!(1.5), decimal("1.5")],
        vec![bson!(9_007_199_254_740_992_i64), bson!(9_007_199_254_740_992.0)],
        vec![bson!(9_007_199_254_740_993_i64), decimal("9007199254740993")],
        vec![bson!(i64::MAX), decimal("9223372036854775807")],
        vec![bson!(9_223_372_036_854_775_808.0), decimal("9223372036854775808")],
        vec![bson!(f64::INFINITY), decimal("Infinity")],
        vec![bson!(""), Bson::Symbol(String::new())],
        vec![bson!("a"), Bson::Symbol("a".into())],
        vec![bson!("a\0")],
        vec![bson!("é")],
        vec![bson!({})],
        // The type of a field comes before its name, and both before its value.
        vec![bson!({"z": 1}), bson!({"z": 1.0})],
        vec![bson!({"z": 1, "a": 1})],
        vec![bson!({"z": 2})],
        vec![bson!({"a": "x"})],
        vec![bson!({"b": "a"})],
        vec![bson!([])],
        vec![bson!([1])],
        vec![bson!([1, 1])],
        vec![bson!([2])],
        vec![binary(BinarySubtype::Function, b"")],
        vec![binary(BinarySubtype::Generic, b"b")],
        vec![binary(BinarySubtype::Function, b"a")],
        vec![binary(BinarySubtype::Generic, b"aa")],
        vec![binary(BinarySubtype::Generic, &[1; 255])],
        vec![binary(BinarySubtype::Generic, &[0; 256])],
        vec![Bson::ObjectId(bson::oid::ObjectId::from_bytes([1; 12]))],
        vec![bson!(false)],
        vec![bson!(true)],
        vec![Bson::DateTime(bson::DateTime::from_millis(-1))],
        vec![Bson::DateTime(bson::DateTime::from_millis(1))],
        vec![Bson::Timestamp(bson::Timestamp { time: 1, increment: 9 })],
        vec![Bson::Timestamp(bson::Timestamp { time: u32::MAX, increment: 1 })],
        vec![regex("a", "")],
        vec![regex("a", "i")],
        vec![regex("ab", "")],
        vec![Bson::JavaScriptCode("b".into())],
        vec![scoped("a", doc! {"x": 2})],
        vec![scoped("b", doc! {"x": 1})],
        vec![Bson::MaxKey],
    ]
}

#[test]
fn values_of_all_types_stand_in_one_order() {
    let groups = ascending();
    for (at, group) in groups.iter().enumerate() {
        for (other_at, other_group) in groups.iter().enumerate() {
            for (a, b) in group.iter().flat_map(|a| other_group.iter().map(move |b| (a, b))) {
                assert_eq!(order(a, b), at.cmp(&other_at), "{a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn nesting_beyond_every_document_is_no_danger() {
    let mut deep = Bson::Null;
    for _ in 0..2_000 {
        deep = Bson::Array(vec![deep]);
    }
    assert_eq!(order(&deep, &deep), Ordering::Equal);
}

proptest! {
    #[test]
    fn integers_and_doubles_compare_as_their_keys_do(a: i64, b: f64, near in -2_i64..3) {
        // The neighbours of a double that is an integer are compared, too.
        let neighbour = (b as i64).saturating_add(near);
        for integer in [a, neighbour] {
            let (integer, double) = (integer.to_le_bytes(), b.to_le_bytes());
            let integer = Value { kind: kind::INT64, bytes: &integer };
            let double = Value { kind: kind::DOUBLE, bytes: &double };
            let expected = compare_by_key(integer, double);
            prop_assert_eq!(compare_values(integer, double), expected);
            prop_assert_eq!(compare_values(double, integer), expected.reverse());
        }
    }
}
