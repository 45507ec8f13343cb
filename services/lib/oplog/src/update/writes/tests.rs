#![allow(clippy::unwrap_used)]

use bson::{RawDocumentBuf, rawdoc};
use proptest::prelude::*;

use super::*;

fn writes(o: &RawDocumentBuf, path: &str) -> bool {
    let update = Update::parse(Doc::new(o.as_bytes()).unwrap()).unwrap();
    update.writes(&FieldPath::parse(path).unwrap()).unwrap()
}

fn check(o: &RawDocumentBuf, written: &[&str], others: &[&str]) {
    for path in written {
        assert!(writes(o, path), "{path} is written by {o:?}");
    }
    for path in others {
        assert!(!writes(o, path), "{path} is not written by {o:?}");
    }
}

#[test]
fn a_replacement_writes_every_field() {
    check(&rawdoc! {"_id": 1, "a": 2}, &["a", "b.c", "_id"], &[]);
}

#[test]
fn a_delta_writes_what_it_names_and_what_holds_or_is_held_by_it() {
    let diff = rawdoc! {
        "d": {"gone": false}, "u": {"status": 1}, "i": {"new": {"x": 1}}, "b": {"column": {
            "o": 1, "d": bson::Binary { subtype: bson::spec::BinarySubtype::Column, bytes: vec![1] }
        }},
        "scustomer": {"u": {"name": "Ann"}, "sto": {"d": {"street": false}}},
    };
    let o = rawdoc! {"$v": 2, "diff": diff};
    let written = ["gone", "status", "new", "new.x.y", "column", "customer", "customer.name"];
    check(&o, &written, &["statu", "status2", "customer.age", "name", "to", "to.street", "diff"]);
    check(
        &o,
        &["customer.to", "customer.to.street", "customer.to.street.no"],
        &["customer.to.city"],
    );
}

#[test]
fn an_array_is_entered_by_place_and_without_one() {
    let items = rawdoc! {"a": true, "u1": 9, "s3": {"u": {"price": 5}}, "s4": {"a": true, "u0": 1}};
    let o = rawdoc! {"$v": 2, "diff": {"sitems": items}};
    check(&o, &["items", "items.1", "items.1.any", "items.3", "items.3.price"], &["items.0"]);
    check(&o, &["items.4.0", "items.4"], &["items.3.name", "items.4.1", "items.31"]);
    // Element 1 was replaced as a whole, and may have held anything.
    check(&o, &["items.price", "items.name"], &["price", "item"]);
    let items =
        rawdoc! {"a": true, "s3": {"u": {"price": 5}}, "s4": {"a": true, "s0": {"u": {"x": 1}}}};
    let o = rawdoc! {"$v": 2, "diff": {"sitems": items}};
    check(&o, &["items.price", "items.4.0.x", "items.4.x"], &["items.name", "items.x"]);
    let o = rawdoc! {"$v": 2, "diff": {"sitems": {"a": true, "l": 2}}};
    check(&o, &["items", "items.2", "items.7.price", "items.price"], &["items.1", "items.0.price"]);
}

#[test]
fn names_with_dots_and_digits_are_met_by_their_names() {
    let o = rawdoc! {"$v": 2, "diff": {"u": {"a.b": 1}, "sc.d": {"u": {"0": 1}}}};
    check(&o, &["a.b", "a.b.c", "c.d", "c.d.0"], &["a", "a.c", "c.d.1", "c"]);
}

#[test]
fn operators_of_4_4_write_their_paths() {
    let o = rawdoc! {"$v": 1, "$set": {"a.b": 1, "items.3.price": 2, "m.0.1.x": 3}, "$unset": {"c": true}};
    check(&o, &["a", "a.b", "a.b.c", "c", "c.d"], &["a.c", "b", "price", "cc"]);
    check(&o, &["items", "items.3", "items.3.price", "items.price"], &["items.name", "items.4"]);
    check(&o, &["m.0.1", "m.0.x", "m.0.1.x.y"], &["m.x", "m.1"]);
    check(&rawdoc! {"$set": {"a.0": 1}}, &["a.b", "a.0.b"], &["a.1"]);
    check(&rawdoc! {"$inc": {"n": 1}}, &["n"], &["m"]);
}

#[test]
fn what_breaks_the_grammar_cannot_be_told() {
    for diff in [
        rawdoc! {"x": {"a": 1}},
        rawdoc! {"u": 1},
        rawdoc! {"sa": {"a": false, "u0": 1}},
        rawdoc! {"sa": {"a": true, "x0": 1}},
        rawdoc! {"sa": {}},
    ] {
        let o = rawdoc! {"$v": 2, "diff": diff};
        let update = Update::parse(Doc::new(o.as_bytes()).unwrap()).unwrap();
        assert!(update.writes(&FieldPath::parse("a.b").unwrap()).is_err(), "{o:?}");
    }
    let o = rawdoc! {"$set": 1};
    let update = Update::parse(Doc::new(o.as_bytes()).unwrap()).unwrap();
    assert!(update.writes(&FieldPath::parse("a").unwrap()).is_err());
}

#[test]
fn only_paths_are_paths() {
    for text in ["", ".", "a.", ".a", "a..b", "a\0", &vec!["a"; 257].join(".")] {
        assert!(FieldPath::parse(text).is_err(), "{text:?}");
    }
    assert!(FieldPath::parse(&vec!["a"; 256].join(".")).is_ok());
}

#[test]
fn a_diff_is_followed_no_deeper_than_the_path() {
    let mut diff = rawdoc! {"u": {"a": 1}};
    for _ in 0..3000 {
        diff = rawdoc! {"sa": diff};
    }
    let o = rawdoc! {"$v": 2, "diff": diff};
    check(&o, &[&vec!["a"; 256].join(".")], &["b", "a.b"]);
}

/// A value of nested fields and elements, to be compared before and after an update.
fn any_value(depth: u32) -> BoxedStrategy<bson::Bson> {
    let leaf = (0..3i32).prop_map(bson::Bson::Int32);
    if depth == 0 {
        return leaf.boxed();
    }
    let names = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let fields =
        (names, prop::collection::vec(any_value(depth - 1), 3)).prop_map(|(names, values)| {
            let fields = names.into_iter().map(str::to_owned).zip(values);
            bson::Bson::Document(fields.collect())
        });
    let array = prop::collection::vec(any_value(depth - 1), 0..4).prop_map(bson::Bson::Array);
    prop_oneof![1 => leaf, 3 => fields, 2 => array].boxed()
}

/// A delta that may be meant for such a value.
fn any_diff(depth: u32) -> BoxedStrategy<bson::Document> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let set =
        (name.clone(), any_value(1)).prop_map(|(name, value)| bson::doc! {"u": {name: value}});
    let unset = name.clone().prop_map(|name| bson::doc! {"d": {name: false}});
    if depth == 0 {
        return prop_oneof![set, unset].boxed();
    }
    let sub =
        (name, any_sub(depth - 1)).prop_map(|(name, sub)| bson::doc! {format!("s{name}"): sub});
    prop_oneof![1 => set, 1 => unset, 4 => sub].boxed()
}

fn any_sub(depth: u32) -> BoxedStrategy<bson::Document> {
    let update = (0..4u32, any_value(1))
        .prop_map(|(place, value)| bson::doc! {"a": true, format!("u{place}"): value});
    let cut = (0..3i32).prop_map(|length| bson::doc! {"a": true, "l": length});
    let inner = (0..4u32, any_diff(depth.saturating_sub(1)))
        .prop_map(|(place, diff)| bson::doc! {"a": true, format!("s{place}"): diff});
    prop_oneof![3 => any_diff(depth), 1 => update, 1 => cut, 2 => inner].boxed()
}

/// Finds all values to which a path leads, by the rules of the query language.
fn values_at<'b>(value: &'b bson::Bson, path: &[&str], found: &mut Vec<&'b bson::Bson>) {
    let Some((name, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    match value {
        bson::Bson::Document(doc) => {
            if let Some(inner) = doc.get(*name) {
                values_at(inner, rest, found);
            }
        }
        bson::Bson::Array(elements) => match name.parse::<usize>() {
            Ok(place) => {
                if let Some(inner) = elements.get(place) {
                    values_at(inner, rest, found);
                }
            }
            Err(_) => {
                for inner in elements.iter().filter(|inner| inner.as_document().is_some()) {
                    values_at(inner, path, found);
                }
            }
        },
        _ => {}
    }
}

/// Operators as a user's `applyOps` may hold them.
#[test]
fn a_rename_writes_both_names_and_every_element_is_any_of_them() {
    let renamed = rawdoc! {"$rename": {"a": "b.c"}};
    for (path, wanted) in [("a", true), ("b.c", true), ("b", true), ("b.d", false), ("c", false)] {
        assert_eq!(writes(&renamed, path), wanted, "{path}");
    }
    let each = rawdoc! {"$inc": {"v.$[].k": 1}};
    for (path, wanted) in
        [("v.k", true), ("v.3.k", true), ("v.3", true), ("v.m", false), ("k", false)]
    {
        assert_eq!(writes(&each, path), wanted, "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Whatever document a delta is applied to, a path whose values change is a path that the delta
    /// writes. The test leaves out what makes nulls: places beyond the end of an array, and diffs
    /// that do not fit the document, as happens when an entry is applied again over a later state.
    #[test]
    fn a_change_is_never_denied(
        value in any_value(3), diff in any_diff(3),
        path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "0", "1"]), 1..4),
    ) {
        let mut document = bson::doc! {"_id": 1};
        document.extend(value.as_document().cloned().unwrap_or_default());
        let before = RawDocumentBuf::try_from(&document).unwrap();
        let o = RawDocumentBuf::try_from(&bson::doc! {"$v": 2, "diff": diff}).unwrap();
        let update = Update::parse(Doc::new(o.as_bytes()).unwrap()).unwrap();
        let Ok(after) = update.apply(Doc::new(before.as_bytes()).unwrap()) else { return Ok(()) };
        let after = bson::deserialize_from_slice::<bson::Document>(&after).unwrap();
        let (before, after) = (bson::Bson::Document(document), bson::Bson::Document(after));
        let (mut old, mut new) = (Vec::new(), Vec::new());
        values_at(&before, &path, &mut old);
        values_at(&after, &path, &mut new);
        if old != new && !holds_null(&after) {
            let text = path.join(".");
            prop_assert!(writes(&o, &text), "{} changed by {:?}: {:?}, {:?}", text, o, before, after);
        }
    }
}

fn holds_null(value: &bson::Bson) -> bool {
    match value {
        bson::Bson::Null => true,
        bson::Bson::Document(doc) => doc.values().any(holds_null),
        bson::Bson::Array(elements) => elements.iter().any(holds_null),
        _ => false,
    }
}
