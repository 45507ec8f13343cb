#![allow(clippy::unwrap_used)]

use bson::{RawArrayBuf, RawBson, RawDocumentBuf, rawdoc};

use super::*;
use crate::raw::kind;

mod differ;
mod malformed;
mod modifiers;
mod operators;

fn doc(bytes: &RawDocumentBuf) -> Doc<'_> {
    Doc::new(bytes.as_bytes()).unwrap()
}

fn delta(diff: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! {"$v": 2_i32, "diff": diff}
}

fn apply(pre: &RawDocumentBuf, o: &RawDocumentBuf) -> Result<RawDocumentBuf, UpdateError> {
    let post = Update::parse(doc(o))?.apply(doc(pre))?;
    Doc::new(&post)?.validate()?;
    Ok(RawDocumentBuf::from_bytes(post).expect("the result is a document"))
}

/// Applies an update twice. The second time must change nothing.
#[track_caller]
fn check(pre: RawDocumentBuf, o: RawDocumentBuf, post: RawDocumentBuf) {
    let once = apply(&pre, &o).unwrap_or_else(|error| panic!("{pre:?} with {o:?}: {error}"));
    assert_eq!(once, post, "{pre:?} with {o:?}");
    assert_eq!(apply(&once, &o).unwrap(), post, "a second time, {o:?}");
}

#[track_caller]
fn check_delta(pre: RawDocumentBuf, diff: RawDocumentBuf, post: RawDocumentBuf) {
    check(pre, delta(diff), post);
}

/// The numbered examples of the reference, for plain fields.
#[test]
fn worked_examples_of_fields() {
    check_delta(
        rawdoc! {"_id": 1, "a": 1, "b": 2},
        rawdoc! {"u": {"a": 9}},
        rawdoc! {"_id": 1, "a": 9, "b": 2},
    );
    check_delta(
        rawdoc! {"_id": 1, "a": 1, "b": 2},
        rawdoc! {"i": {"a": 9}},
        rawdoc! {"_id": 1, "b": 2, "a": 9},
    );
    check_delta(
        rawdoc! {"_id": 1, "a": 1},
        rawdoc! {"u": {"z": 1}, "i": {"y": 2}},
        rawdoc! {"_id": 1, "a": 1, "z": 1, "y": 2},
    );
    check_delta(
        rawdoc! {"_id": 1, "a": 1, "b": 2, "c": 3},
        rawdoc! {"d": {"b": false}, "i": {"n": 4}},
        rawdoc! {"_id": 1, "a": 1, "c": 3, "n": 4},
    );
    check_delta(
        rawdoc! {"_id": 1, "o": {"x": 1, "y": 2}},
        rawdoc! {"so": {"d": {"x": false}, "u": {"y": 5}}},
        rawdoc! {"_id": 1, "o": {"y": 5}},
    );
    check_delta(
        rawdoc! {"_id": 1, "o": 7},
        rawdoc! {"so": {"u": {"y": 5}}},
        rawdoc! {"_id": 1, "o": null},
    );
    check_delta(rawdoc! {"_id": 1}, rawdoc! {"so": {"u": {"y": 5}}}, rawdoc! {"_id": 1});
    check_delta(
        rawdoc! {"_id": 1, "a.b": 1, "a": {"b": 2}},
        rawdoc! {"u": {"a.b": 3}},
        rawdoc! {"_id": 1, "a.b": 3, "a": {"b": 2}},
    );
    check_delta(
        rawdoc! {"_id": 1, "": {"x": 1}},
        rawdoc! {"s": {"u": {"x": 2}}},
        rawdoc! {"_id": 1, "": {"x": 2}},
    );
}

/// The numbered examples of the reference, for arrays.
#[test]
fn worked_examples_of_arrays() {
    check_delta(
        rawdoc! {"_id": 1, "v": [1, 2, 3, 4]},
        rawdoc! {"sv": {"a": true, "l": 2, "u0": 9}},
        rawdoc! {"_id": 1, "v": [9, 2]},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": [1]},
        rawdoc! {"sv": {"a": true, "u3": 4}},
        rawdoc! {"_id": 1, "v": [1, null, null, 4]},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": [1]},
        rawdoc! {"sv": {"a": true, "s2": {"u": {"k": 1}}}},
        rawdoc! {"_id": 1, "v": [1, null, null]},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": {"k": 1}},
        rawdoc! {"sv": {"a": true, "u0": 4}},
        rawdoc! {"_id": 1, "v": null},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": [{"k": 1, "m": 2}, 5]},
        rawdoc! {"sv": {"a": true, "s0": {"d": {"m": false}}, "u1": 6}},
        rawdoc! {"_id": 1, "v": [{"k": 1}, 6]},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": [1, 2, 3]},
        rawdoc! {"sv": {"a": true, "l": 5}},
        rawdoc! {"_id": 1, "v": [1, 2, 3, null, null]},
    );
}

#[test]
fn arrays_nest_in_arrays_and_mismatches_become_null() {
    check_delta(
        rawdoc! {"_id": 1, "v": [[1, 2, 3], {"k": 1}, 5]},
        rawdoc! {"sv": {
            "a": true, "s0": {"a": true, "l": 1},
            "s1": {"a": true, "u0": 1}, "s2": {"u": {"k": 2}},
        }},
        rawdoc! {"_id": 1, "v": [[1], null, null]},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": [1, 2]},
        rawdoc! {"sv": {"u": {"x": 1}}, "sw": {"a": true}},
        rawdoc! {"_id": 1, "v": null},
    );
    check_delta(
        rawdoc! {"_id": 1, "v": [1]},
        rawdoc! {"sv": {"a": true, "l": 0}},
        rawdoc! {"_id": 1, "v": []},
    );
    let hundred: RawArrayBuf = (0..120).map(|n| RawBson::Int32(n % 7)).collect();
    let mut longer = hundred.clone();
    longer.push(null());
    longer.push(1);
    check_delta(
        rawdoc! {"_id": 1, "v": hundred},
        rawdoc! {"sv": {"a": true, "u121": 1}},
        rawdoc! {"_id": 1, "v": longer},
    );
}

fn null() -> RawBson {
    RawBson::Null
}

/// Elements of an array are renumbered, whatever their names were.
#[test]
fn array_elements_get_their_names_back() {
    let mut writer = DocWriter::new();
    writer.int32(b"_id", 1).open(kind::ARRAY, b"v");
    writer.int32(b"0", 1).int32(b"", 2).int32(b"7", 3).int32(b"3", 4).close();
    let pre = RawDocumentBuf::from_bytes(writer.finish()).unwrap();
    check_delta(pre, rawdoc! {"sv": {"a": true, "u1": 9}}, rawdoc! {"_id": 1, "v": [1, 9, 3, 4]});
}

/// The server looks up each field as it comes: when a name occurs twice, both fields are changed.
#[test]
fn duplicate_names_are_each_changed() {
    let twice = |first: i32, second: i32| {
        let mut writer = DocWriter::new();
        writer.int32(b"_id", 1).int32(b"a", first).int32(b"b", 0).int32(b"a", second);
        RawDocumentBuf::from_bytes(writer.finish()).unwrap()
    };
    check_delta(twice(1, 2), rawdoc! {"u": {"a": 9}}, twice(9, 9));
    check_delta(twice(1, 2), rawdoc! {"d": {"a": false}}, rawdoc! {"_id": 1, "b": 0});
    check_delta(twice(1, 2), rawdoc! {"i": {"a": 9}}, rawdoc! {"_id": 1, "b": 0, "a": 9});
    check_delta(twice(1, 2), rawdoc! {"i": {"c": 9}}, {
        let mut writer = DocWriter::new();
        writer.int32(b"_id", 1).int32(b"a", 1).int32(b"b", 0).int32(b"a", 2).int32(b"c", 9);
        RawDocumentBuf::from_bytes(writer.finish()).unwrap()
    });
}

fn column(bytes: &[u8]) -> bson::Binary {
    bson::Binary { subtype: bson::spec::BinarySubtype::Column, bytes: bytes.to_vec() }
}

#[test]
fn binary_patches_splice_columns() {
    let patch = |offset: i32| rawdoc! {"b": {"c": {"o": offset, "d": column(b"XY")}}};
    let pre = || rawdoc! {"_id": 1, "c": column(b"abcd"), "n": 1};
    check_delta(pre(), patch(1), rawdoc! {"_id": 1, "c": column(b"aXY"), "n": 1});
    check_delta(pre(), patch(4), rawdoc! {"_id": 1, "c": column(b"abcdXY"), "n": 1});
    check_delta(pre(), patch(5), pre());
    check_delta(rawdoc! {"_id": 1, "n": 1}, patch(0), rawdoc! {"_id": 1, "n": 1});
    let generic = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1] };
    for wrong in [rawdoc! {"_id": 1, "c": 5}, rawdoc! {"_id": 1, "c": generic}] {
        assert_eq!(apply(&wrong, &delta(patch(0))), Err(UpdateError::NotAColumn("c".into())));
    }
}

#[test]
fn many_changes_are_found_by_name() {
    let mut pre = rawdoc! {"_id": 1};
    let mut post = rawdoc! {"_id": 1};
    let (mut deletes, mut updates, mut inserts) = (rawdoc! {}, rawdoc! {}, rawdoc! {});
    let name = |n: i32| bson::raw::CString::try_from(format!("field{n}")).unwrap();
    for n in 0..900 {
        pre.append(name(n), n);
        match n % 3 {
            0 => deletes.append(name(n), false),
            1 => updates.append(name(n), -n),
            _ => {}
        }
        if n % 3 != 0 {
            post.append(name(n), if n % 3 == 1 { -n } else { n });
        }
    }
    for n in 900..1000 {
        inserts.append(name(n), n);
        post.append(name(n), n);
    }
    check_delta(pre, rawdoc! {"d": deletes, "u": updates, "i": inserts}, post);
}

#[test]
fn replacements_are_taken_whole() {
    let replacement = rawdoc! {"_id": 1, "$v": 2, "diff": {"u": {"a": 1}}};
    check(rawdoc! {"_id": 1, "z": 1}, replacement.clone(), replacement);
    check(rawdoc! {"_id": 1}, rawdoc! {"_id": 1}, rawdoc! {"_id": 1});
}

/// The server stores `_id` first, wherever the update has it.
#[test]
fn id_comes_first() {
    let post = rawdoc! {"_id": 1, "a": 2, "b": 3};
    check(rawdoc! {"_id": 1}, rawdoc! {"a": 2, "_id": 1, "b": 3}, post);
    let post = rawdoc! {"_id": 1, "a": 2};
    check_delta(rawdoc! {"_id": 1, "a": 2}, rawdoc! {"i": {"_id": 1}}, post);
}

#[test]
fn id_keeps_its_value_but_may_change_its_type() {
    let pre = rawdoc! {"_id": 1, "a": 1};
    for same in [rawdoc! {"_id": 1.0, "a": 2}, rawdoc! {"_id": 1_i64, "a": 2}] {
        check(pre.clone(), same.clone(), same);
    }
    let retyped = delta(rawdoc! {"u": {"_id": 1.0}});
    check(pre.clone(), retyped, rawdoc! {"_id": 1.0, "a": 1});
    for changes in [
        rawdoc! {"_id": 2, "a": 1},
        delta(rawdoc! {"u": {"_id": 2}}),
        delta(rawdoc! {"d": {"_id": false}}),
        delta(rawdoc! {"s_id": {"u": {"x": 2}}}),
        rawdoc! {"$set": {"_id": 2}},
        rawdoc! {"$unset": {"_id": true}},
    ] {
        assert_eq!(apply(&pre, &changes), Err(UpdateError::IdChanged), "{changes:?}");
    }
    assert_eq!(apply(&rawdoc! {"a": 1}, &rawdoc! {"_id": 1}), Err(UpdateError::IdChanged));
}

#[test]
fn a_missing_document_becomes_a_stub() {
    let stub = |o: RawDocumentBuf| {
        let o2 = rawdoc! {"_id": 7_i64, "shard": "x"};
        let id = doc(&o2).first().unwrap().unwrap();
        let stub = Update::parse(doc(&o)).unwrap().apply_to_missing(id).unwrap();
        RawDocumentBuf::from_bytes(stub).unwrap()
    };
    let diff = rawdoc! {"d": {"x": false}, "u": {"a": 1}, "i": {"b": 2}, "sc": {"u": {"y": 1}}};
    assert_eq!(stub(delta(diff)), rawdoc! {"_id": 7_i64, "a": 1, "b": 2});
    let operators = rawdoc! {"$v": 1, "$set": {"a.b": 1}, "$unset": {"c": true}};
    assert_eq!(stub(operators), rawdoc! {"_id": 7_i64, "a": {"b": 1}});
    assert_eq!(stub(rawdoc! {"_id": 7_i64, "z": 1}), rawdoc! {"_id": 7_i64, "z": 1});
}

#[test]
fn forms_are_told_apart() {
    let form = |o: &RawDocumentBuf| {
        Update::parse(doc(o)).map(|update| match update {
            Update::Replacement(_) => "replacement",
            Update::Delta(_) => "delta",
            Update::Modifier(_) => "modifier",
        })
    };
    assert_eq!(form(&rawdoc! {"$v": 2, "diff": {}, "_id": 1}), Ok("replacement"));
    assert_eq!(form(&rawdoc! {"$v": 2_i64, "diff": {}}), Ok("delta"));
    assert_eq!(form(&rawdoc! {"diff": {}, "$v": 2}), Ok("delta"));
    assert_eq!(form(&rawdoc! {"$v": 1, "$set": {"a": 1}}), Ok("modifier"));
    assert_eq!(form(&rawdoc! {"$set": {"a": 1}}), Ok("modifier"));
    for unknown in [
        rawdoc! {},
        rawdoc! {"a": 1},
        rawdoc! {"$v": 3, "diff": {}},
        rawdoc! {"$v": "2", "diff": {}},
        rawdoc! {"$v": 2},
        rawdoc! {"$v": 2, "diff": [1]},
        rawdoc! {"$v": 0, "$set": {"a": 1}},
    ] {
        assert!(matches!(form(&unknown), Err(UpdateError::UnknownForm(_))), "{unknown:?}");
    }
}
