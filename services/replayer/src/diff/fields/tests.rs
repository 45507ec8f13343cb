#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document, doc};
use proptest::prelude::*;

use super::*;

fn changed(before: &Document, after: &Document) -> Vec<String> {
    changed_fields(&before.to_vec().unwrap(), &after.to_vec().unwrap()).unwrap()
}

#[test]
fn fields_are_named_by_their_paths() {
    let before = doc! {"_id": 1, "a": 1, "b": {"c": 1, "d": {}}, "e": [1, {"f": 2}, 3], "g": 0};
    let cases = [
        (before.clone(), vec![]),
        (
            doc! {"_id": 1, "a": 1_i64, "b": {"c": 1, "d": {}}, "e": [1, {"f": 2}, 3], "g": 0},
            vec!["a"],
        ),
        (
            doc! {"_id": 1, "a": 1, "b": {"c": 2, "d": {"x": 1}}, "e": [1, {"f": 2}, 3], "g": 0},
            vec!["b.c", "b.d.x"],
        ),
        (doc! {"_id": 1, "a": 1, "b": 1, "e": [1, {"f": 9}], "g": 0}, vec!["b", "e.1.f", "e.2"]),
        (
            doc! {"_id": 1, "a": 1, "b": {"c": 1, "d": []}, "e": {"0": 1}, "h": 0},
            vec!["b.d", "e", "g", "h"],
        ),
    ];
    for (after, expected) in cases {
        assert_eq!(changed(&before, &after), expected, "{after}");
    }
}

#[test]
fn a_field_that_moved_is_named_and_no_other() {
    let before = doc! {"a": 1, "b": {"x": 1, "y": 2}, "c": 3, "d": 4};
    let moved = doc! {"b": {"x": 1, "y": 2}, "c": 3, "d": 4, "a": 1};
    assert_eq!(changed(&before, &moved), ["a"]);
    let within = doc! {"a": 1, "b": {"y": 2, "x": 1}, "c": 3, "d": 4};
    assert_eq!(changed(&before, &within).len(), 1);
    assert!(changed(&before, &within)[0].starts_with("b."));
    // A field that moved and changed inside is named as a whole.
    let both = doc! {"a": 1, "c": 3, "d": 4, "b": {"x": 9, "y": 2}};
    assert_eq!(changed(&before, &both), ["b"]);
    let with_more = doc! {"new": 0, "a": 1, "b": {"x": 1, "y": 2}, "d": 4};
    assert_eq!(changed(&before, &with_more), ["c", "new"], "what comes and goes moves nothing");
}

/// A document with these elements as they come, whatever their names.
fn raw(elements: &[(&[u8], i32)]) -> Vec<u8> {
    let mut document = hindsight_oplog::raw::DocWriter::new();
    for (name, value) in elements {
        document.value(kind::INT32, name, &value.to_le_bytes());
    }
    document.finish()
}

#[test]
fn names_that_come_twice_or_are_no_text_are_told() {
    let twice = raw(&[(b"a", 1), (b"a", 2)]);
    let fields = |before: &[u8], after: &[u8]| changed_fields(before, after).unwrap();
    assert_eq!(fields(&twice, &raw(&[(b"a", 1), (b"a", 3)])), ["a"]);
    assert_eq!(fields(&twice, &raw(&[(b"a", 1)])), ["a"]);
    assert_eq!(fields(&raw(&[(b"a", 1)]), &twice), ["a"]);
    assert_eq!(fields(&twice, &raw(&[(b"b", 0), (b"a", 1), (b"a", 2)])), ["b"]);
    assert_eq!(fields(&raw(&[(b"\xff", 1)]), &raw(&[(b"\xff", 2)])), ["\u{fffd}"]);
    assert_eq!(fields(&raw(&[(b"", 1)]), &raw(&[])), [""]);
    let array = |names: &[(&[u8], i32)]| {
        let mut document = hindsight_oplog::raw::DocWriter::new();
        document.value(kind::ARRAY, b"list", &raw(names));
        document.finish()
    };
    let odd = array(&[(b"x", 1), (b"y", 2)]);
    assert_eq!(fields(&array(&[(b"0", 1), (b"1", 2)]), &odd), ["list"], "the names alone");
    assert_eq!(fields(&array(&[(b"0", 1), (b"1", 3)]), &odd), ["list.1"]);
}

#[test]
fn the_answer_is_bounded() {
    let numbered = |value: i32, names: std::ops::Range<i32>| -> Document {
        names.map(|name| (name.to_string(), Bson::Int32(value))).collect()
    };
    assert_eq!(changed(&numbered(1, 0..1000), &numbered(2, 0..1000)).len(), MOST_PATHS);
    assert_eq!(changed(&numbered(1, 0..1000), &numbered(1, 1000..2000)).len(), MOST_PATHS);
    assert_eq!(changed(&numbered(1, 0..60_000), &numbered(1, 5..60_000)), ["0", "5"]);
    let deep = |value: i32| (0..200).fold(doc! {"x": value}, |inner, _| doc! {"d": inner});
    let path = &changed(&deep(1), &deep(2))[0];
    assert_eq!(path.matches('d').count(), MOST_DEPTH + 1);
    let long = "n".repeat(4000);
    let before = doc! {"a": {&long: 1}, &long: 1};
    let after = doc! {"a": {&long: 2}, &long: 2};
    assert_eq!(changed(&before, &after), ["a", &long[..MOST_PATH_BYTES]]);
}

fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        (0..3).prop_map(Bson::Int32),
        (0..3_i64).prop_map(Bson::Int64),
        Just(Bson::Null),
        "[ab]{0,2}".prop_map(Bson::String),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Bson::Array),
            any_fields(inner).prop_map(Bson::Document),
        ]
    })
}

/// Fields with few names, in any order.
fn any_fields(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec(("[a-e]", value), 0..6).prop_map(|fields| fields.into_iter().collect())
}

/// Finds what differs by the values alone. The order of fields does not count.
fn naive(before: &Bson, after: &Bson, path: &str, found: &mut BTreeSet<String>) {
    let parts = |value: &Bson| -> Option<BTreeMap<String, Bson>> {
        match value {
            Bson::Document(document) => {
                Some(document.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            Bson::Array(array) => {
                let numbered = array.iter().enumerate();
                Some(numbered.map(|(at, value)| (at.to_string(), value.clone())).collect())
            }
            _ => None,
        }
    };
    let is_alike = before.element_type() == after.element_type();
    match (parts(before), parts(after)) {
        (Some(before), Some(after)) if is_alike => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match (before.get(name), after.get(name)) {
                    (Some(before), Some(after)) => naive(before, after, &path, found),
                    _ => drop(found.insert(path)),
                }
            }
        }
        _ if before == after && is_alike => {}
        _ => drop(found.insert(path.to_owned())),
    }
}

/// Sorts the fields at every level, so that nothing can have moved.
fn sorted(value: Bson) -> Bson {
    match value {
        Bson::Document(document) => {
            let fields: BTreeMap<String, Bson> = document.into_iter().collect();
            Bson::Document(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Bson::Array(array) => Bson::Array(array.into_iter().map(sorted).collect()),
        value => value,
    }
}

/// Returns the top-level fields whose names are not in `dropped`, with null for those in `hidden`.
fn without(document: &Document, dropped: &BTreeSet<&str>, hidden: &BTreeSet<&str>) -> Vec<u8> {
    let kept = document.iter().filter(|(name, _)| !dropped.contains(name.as_str()));
    let shown = kept.map(|(name, value)| {
        let is_hidden = hidden.contains(name.as_str());
        (name.clone(), if is_hidden { Bson::Null } else { value.clone() })
    });
    shown.collect::<Document>().to_vec().unwrap()
}

proptest! {
    #[test]
    fn without_moves_it_is_what_the_values_say(
        before in any_fields(any_value()), after in any_fields(any_value()),
    ) {
        let sort = |document| match sorted(Bson::Document(document)) {
            Bson::Document(document) => document,
            _ => unreachable!(),
        };
        let (before, after) = (sort(before), sort(after));
        let mut expected = BTreeSet::new();
        naive(&Bson::Document(before.clone()), &Bson::Document(after.clone()), "", &mut expected);
        let found = changed(&before, &after);
        prop_assert_eq!(found.len(), expected.len(), "each once");
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    /// Nothing is left out: without the named fields, the documents are the same to the byte. And
    /// no field is named without a reason: its value differs, or its place does.
    #[test]
    fn what_is_not_named_is_the_same(
        before in any_fields(any_value()), after in any_fields(any_value()),
    ) {
        let found = changed(&before, &after);
        prop_assert_eq!(found.is_empty(), before.to_vec().unwrap() == after.to_vec().unwrap());
        let inside = found.iter().filter_map(|path| path.split_once('.'));
        let inside: BTreeSet<&str> = inside.map(|(name, _)| name).collect();
        let whole = found.iter().map(String::as_str).filter(|path| !path.contains('.'));
        let whole: BTreeSet<&str> = whole.collect();
        let rest = |document| without(document, &whole, &inside);
        prop_assert_eq!(rest(&before), rest(&after));
        for name in &whole {
            let mut others = whole.clone();
            others.remove(name);
            let rest = |document| without(document, &others, &inside);
            prop_assert_ne!(rest(&before), rest(&after), "{} could have stayed unnamed", name);
        }
        for name in &inside {
            prop_assert!(!whole.contains(name));
            prop_assert_ne!(before.get(name), after.get(name));
        }
    }

    /// Whatever the bytes are, the result is paths or an error.
    #[test]
    fn hostile_bytes_do_no_harm(
        before in any_fields(any_value()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let before = before.to_vec().unwrap();
        let mut after = before.clone();
        for (at, byte) in flips {
            let at = at.index(after.len());
            after[at] = byte;
        }
        for (one, other) in [(&before, &after), (&after, &before), (&after, &noise), (&noise, &noise)] {
            if let Ok(paths) = changed_fields(one, other) {
                prop_assert!(paths.len() <= MOST_PATHS);
                prop_assert_eq!(paths.is_empty(), one == other);
            }
        }
        prop_assert!(changed_fields(&before, &before).unwrap().is_empty());
        prop_assert!(changed_fields(b"", &before).is_err());
    }
}
