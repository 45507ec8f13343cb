use bson::{RawDocumentBuf, rawdoc};

use super::*;

fn same(left: &RawDocumentBuf, right: &RawDocumentBuf) -> bool {
    let (left, right) = (Doc::new(left.as_bytes()), Doc::new(right.as_bytes()));
    let (left, right) = (left.expect("a document"), right.expect("a document"));
    same_definition(left, right, &[b"ns"]).expect("well formed")
}

#[test]
fn definitions_are_compared_by_meaning() {
    let spec = rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab" };
    assert!(same(&spec, &rawdoc! { "name": "ab", "v": 2_i64, "key": { "a": 1, "b": 1 } }));
    assert!(same(&spec, &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab", "ns": "x.y" }));
    assert!(!same(&spec, &rawdoc! { "v": 2, "key": { "b": 1, "a": 1 }, "name": "ab" }));
    assert!(!same(&spec, &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 } }));
    assert!(!same(
        &spec,
        &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab", "hidden": true }
    ));
    assert!(!same(&spec, &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "unique": true }));
}

fn made(options: &RawDocumentBuf, spec: &RawDocumentBuf) -> RawDocumentBuf {
    let (options, spec) = (Doc::new(options.as_bytes()), Doc::new(spec.as_bytes()));
    let made = create_index(options.expect("a document"), spec.expect("a document"));
    RawDocumentBuf::from_bytes(made.expect("well formed")).expect("a document")
}

#[test]
fn an_index_listed_without_a_collation_is_made_without_one() {
    let english = rawdoc! { "collation": { "locale": "en" } };
    let spec = rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
    let simple = rawdoc! {
        "v": 2, "key": { "a": 1 }, "name": "a_1", "collation": { "locale": "simple" },
    };
    assert_eq!(made(&english, &spec), simple);
    assert_eq!(made(&rawdoc! {}, &spec), spec, "there is nothing to inherit");
    let french = rawdoc! { "v": 2, "key": { "a": 1 }, "collation": { "locale": "fr" } };
    assert_eq!(made(&english, &french), french);
    let old = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a_1" };
    assert_eq!(made(&english, &old), old, "a server refuses it there");
}

#[test]
fn a_text_index_that_expires_documents_is_made_with_one_field() {
    let weights = rawdoc! { "a": 1, "b": 5 };
    let plain = rawdoc! {
        "v": 2, "key": { "_fts": "text", "_ftsx": 1 }, "name": "t", "weights": weights.clone(),
    };
    assert_eq!(made(&rawdoc! {}, &plain), plain);
    let expiring = rawdoc! {
        "v": 2, "key": { "_fts": "text", "_ftsx": 1 }, "name": "t", "weights": weights.clone(),
        "expireAfterSeconds": 10,
    };
    let given = rawdoc! {
        "v": 2, "key": { "a": "text" }, "name": "t", "weights": weights, "expireAfterSeconds": 10,
    };
    assert_eq!(made(&rawdoc! {}, &expiring), given);
}

#[test]
fn a_collection_names_its_id_index_or_has_it_made() {
    let create = |options: RawDocumentBuf, v: i32| {
        let id = rawdoc! { "v": v, "key": { "_id": 1 }, "name": "_id_" };
        let (options, id) = (Doc::new(options.as_bytes()), Doc::new(id.as_bytes()));
        let id = Some(id.expect("a document"));
        let made = create_collection("c", options.expect("a document"), id);
        RawDocumentBuf::from_bytes(made.expect("well formed")).expect("a document")
    };
    let id = rawdoc! { "v": 1, "key": { "_id": 1 }, "name": "_id_" };
    let auto = || rawdoc! { "autoIndexId": true };
    assert_eq!(create(auto(), 2), rawdoc! { "create": "c", "autoIndexId": true });
    assert_eq!(create(auto(), 1), rawdoc! { "create": "c", "idIndex": id });
}

#[test]
fn room_for_a_capped_collection_ends_where_the_server_ends() {
    let size = |size: i64| {
        let create = rawdoc! { "create": "c", "capped": true, "size": size, "max": 7 };
        let wide = with_room(Doc::new(create.as_bytes()).expect("a document"));
        let wide = RawDocumentBuf::from_bytes(wide.expect("well formed")).expect("a document");
        wide.get_i64("size").expect("a size")
    };
    assert_eq!(size(4096), 4096 + ROOM_BYTES);
    assert_eq!(size(MAX_CAPPED_BYTES - 5000), MAX_CAPPED_BYTES);
    assert_eq!(size(MAX_CAPPED_BYTES), MAX_CAPPED_BYTES);
}

#[test]
fn a_change_that_names_nothing_else_names_what_it_would_switch_off() {
    let options = rawdoc! { "capped": true, "size": 4096, "recordPreImages": true };
    let bounds = set_bounds("c", Doc::new(options.as_bytes()).expect("a document"));
    let expected = rawdoc! { "collMod": "c", "cappedSize": 4096_i64, "recordPreImages": true };
    assert_eq!(bounds.expect("well formed"), expected.into_bytes());
}

#[test]
fn only_the_ascending_index_on_id_alone_is_the_id_index() {
    let is = |raw: RawDocumentBuf| {
        is_id_index(Doc::new(raw.as_bytes()).expect("a document")).expect("well formed")
    };
    assert!(is(rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }));
    assert!(is(rawdoc! { "v": 1, "key": { "_id": 1.0 }, "name": "other" }));
    assert!(!is(rawdoc! { "key": { "_id": "hashed" }, "name": "_id_hashed" }));
    assert!(!is(rawdoc! { "key": { "_id": 1, "a": 1 }, "name": "both" }));
    assert!(!is(rawdoc! { "key": { "_id": 1 }, "name": "byid", "clustered": true }));
}
