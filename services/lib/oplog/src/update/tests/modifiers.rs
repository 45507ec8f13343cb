//! `$set` and `$unset` of MongoDB 4.4 and earlier.

use proptest::prelude::*;

use super::*;

#[test]
fn fields_are_set_where_they_stand_and_removed() {
    check(
        rawdoc! {"_id": 1, "a": 1, "b": {"x": 1, "y": 2}, "c": 3},
        rawdoc! {
            "$v": 1, "$set": {"a": "new", "b.y": 5},
            "$unset": {"c": true, "b.x": true, "no.such": true},
        },
        rawdoc! {"_id": 1, "a": "new", "b": {"y": 5}},
    );
}

#[test]
fn new_fields_come_in_sorted_order() {
    check(
        rawdoc! {"_id": 1, "m": 0},
        rawdoc! {"$set": {"z": 1, "b.q": 2, "a": 3, "b.c": 4}},
        rawdoc! {"_id": 1, "m": 0, "a": 3, "b": {"c": 4, "q": 2}, "z": 1},
    );
    // Name by name: "a" and everything below it come before "a-b", although '-' sorts before '.'.
    check(
        rawdoc! {"_id": 1},
        rawdoc! {"$set": {"a-b": 1, "a.b": 2}},
        rawdoc! {"_id": 1, "a": {"b": 2}, "a-b": 1},
    );
}

/// 4.4 sorts numbers as text, and 5.0 by value. Each logs them in its own order.
#[test]
fn numeric_names_keep_the_order_of_the_server_that_logged_them() {
    check(
        rawdoc! {"_id": 1},
        rawdoc! {"$v": 1, "$set": {"10": 1, "2": 2}},
        rawdoc! {"_id": 1, "10": 1, "2": 2},
    );
    check(
        rawdoc! {"_id": 1, "x": {}},
        rawdoc! {"$v": 1, "$set": {"2": 2, "10": 1, "x.3": 3, "x.20": 4}},
        rawdoc! {"_id": 1, "x": {"3": 3, "20": 4}, "2": 2, "10": 1},
    );
}

#[test]
fn numbers_are_indexes_in_arrays_and_names_elsewhere() {
    check(
        rawdoc! {"_id": 1, "v": [1, {"k": 1}], "d": {}},
        rawdoc! {"$set": {"v.0": 9, "v.1.k": 2, "v.4": 5, "d.0": 1, "n.0.x": 2, "v.6.y.z": 7}},
        rawdoc! {
            "_id": 1, "v": [9, {"k": 2}, null, null, 5, null, {"y": {"z": 7}}],
            "d": {"0": 1}, "n": {"0": {"x": 2}},
        },
    );
    let elements: Vec<i32> = (0..12).collect();
    let pre = RawArrayBuf::from_iter(elements.iter().map(|n| RawBson::Int32(*n)));
    let post = RawArrayBuf::from_iter(
        elements.iter().map(|n| RawBson::Int32(if *n == 10 || *n == 2 { -1 } else { *n })),
    );
    check(
        rawdoc! {"_id": 1, "v": pre},
        rawdoc! {"$set": {"v.10": -1, "v.2": -1}},
        rawdoc! {"_id": 1, "v": post},
    );
}

#[test]
fn removed_array_elements_become_null() {
    check(
        rawdoc! {"_id": 1, "v": [1, {"k": 1, "m": 2}, 3]},
        rawdoc! {"$unset": {"v.0": true, "v.1.k": true, "v.9": true, "v.8.k": true}},
        rawdoc! {"_id": 1, "v": [null, {"m": 2}, 3]},
    );
}

#[test]
fn paths_that_lead_nowhere_are_ignored() {
    check(
        rawdoc! {"_id": 1, "a": 5, "v": [1], "n": null},
        rawdoc! {
            "$set": {"a.b": 1, "v.x": 2, "v.0.y": 3, "n.z": 4, "c": 1},
            "$unset": {"a.q": true},
        },
        rawdoc! {"_id": 1, "a": 5, "v": [1], "n": null, "c": 1},
    );
}

#[test]
fn of_a_name_that_occurs_twice_the_first_is_changed() {
    let twice = |first: i32| {
        let mut writer = DocWriter::new();
        writer.int32(b"_id", 1).int32(b"a", first).int32(b"a", 2);
        RawDocumentBuf::from_bytes(writer.finish()).unwrap()
    };
    check(twice(1), rawdoc! {"$set": {"a": 9}}, twice(9));
}

#[test]
fn what_the_oplog_never_held_is_refused() {
    let pre = rawdoc! {"_id": 1, "v": [1]};
    for (o, reason) in [
        (rawdoc! {"$inc": {"a": 1}}, "unknown operator"),
        (rawdoc! {"$v": 1, "lsid": {}, "$set": {"a": 1}}, "unknown operator"),
        (rawdoc! {"$set": 1}, "operator is not a document"),
        (rawdoc! {"$set": {"a..b": 1}}, "path has an empty name"),
        (rawdoc! {"$set": {"": 1}}, "path has an empty name"),
        (rawdoc! {"$set": {"v.$": 1}}, "path has a positional operator"),
        (rawdoc! {"$set": {"v.$[x].y": 1}}, "path has a positional operator"),
        (rawdoc! {"$set": {"a": 1, "a.b": 1}}, "path conflicts with another"),
        (rawdoc! {"$set": {"a": 1}, "$unset": {"a": 1}}, "path conflicts with another"),
        (rawdoc! {"$set": {"v.01": 1, "v.1": 1}}, "two names of one array element"),
        (rawdoc! {"$set": {"v.1500002": 1}}, "index is too far beyond its array"),
    ] {
        match apply(&pre, &o) {
            Err(UpdateError::InvalidModifier { reason: found, .. }) => assert_eq!(found, reason),
            other => panic!("{o:?}: {other:?}"),
        }
    }
    let mut long = DocWriter::new();
    long.open(kind::DOCUMENT, b"$set").int32("a.".repeat(100_000).as_bytes(), 1).close();
    let long = RawDocumentBuf::from_bytes(long.finish()).unwrap();
    assert!(matches!(apply(&pre, &long), Err(UpdateError::InvalidModifier { .. })));
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "0", "1", "3"]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join("."))
}

fn value() -> impl Strategy<Value = RawBson> {
    let leaf = prop_oneof![any::<i32>().prop_map(RawBson::Int32), Just(RawBson::Null)];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| RawBson::Array(RawArrayBuf::from_iter(values))),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(document),
        ]
    })
}

fn document(fields: std::collections::BTreeMap<String, RawBson>) -> RawBson {
    let mut document = RawDocumentBuf::new();
    for (name, value) in fields {
        document.append(bson::raw::CString::try_from(name).unwrap(), value);
    }
    RawBson::Document(document)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Setting everything in any order of paths gives the same document as setting one path at a
    /// time.
    #[test]
    fn paths_do_not_influence_each_other(
        start in value(),
        paths in prop::collection::btree_map(path(), any::<i32>(), 1..5),
        is_set in any::<bool>(),
    ) {
        let operator = if is_set { "$set" } else { "$unset" };
        let one = |path: &str, value: i32| {
            let mut fields = RawDocumentBuf::new();
            fields.append(bson::raw::CString::try_from(format!("x.{path}")).unwrap(), value);
            let mut o = RawDocumentBuf::new();
            o.append(bson::raw::CString::try_from(operator).unwrap(), fields);
            o
        };
        let pre = rawdoc! {"_id": 1, "x": start};
        let mut fields = RawDocumentBuf::new();
        let mut step_by_step = pre.clone();
        for (path, value) in &paths {
            fields.append(bson::raw::CString::try_from(format!("x.{path}")).unwrap(), *value);
            step_by_step = apply(&step_by_step, &one(path, *value)).unwrap();
        }
        let mut together = RawDocumentBuf::new();
        together.append(bson::raw::CString::try_from(operator).unwrap(), fields);
        match apply(&pre, &together) {
            Ok(post) => {
                prop_assert_eq!(&apply(&post, &together).unwrap(), &post);
                prop_assert_eq!(post, step_by_step);
            }
            Err(error) => prop_assert!(error.to_string().contains("conflict"), "{}", error),
        }
    }
}
