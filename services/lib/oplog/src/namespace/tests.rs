#![allow(clippy::unwrap_used)]

use bson::{RawDocumentBuf, rawdoc};

use super::*;
use crate::Entry;

/// Returns the full names of what an entry is about.
fn names(op: &str, ns: &str, o: RawDocumentBuf) -> Vec<String> {
    let ts = bson::RawBson::Timestamp(bson::Timestamp { time: 7, increment: 9 });
    let bytes = rawdoc! { "ts": ts, "op": op, "ns": ns, "o": o }.into_bytes();
    let entry = Entry::parse(&bytes).unwrap();
    entry.operation().namespaces().iter().map(|namespace| namespace.to_string()).collect()
}

fn command_on(command: &str, collection: &str) -> RawDocumentBuf {
    let mut o = RawDocumentBuf::new();
    o.append(bson::raw::CString::try_from(command).unwrap(), collection);
    o
}

#[test]
fn documents_are_in_the_collection_of_their_ns() {
    for op in ["i", "u", "d", "n", "opOfTomorrow"] {
        assert_eq!(names(op, "shop.orders.2026", rawdoc! { "_id": 1 }), ["shop.orders.2026"]);
    }
    assert_eq!(names("n", "", rawdoc! { "msg": "periodic noop" }), [""; 0]);
    assert_eq!(names("xi", "shop.$cmd", rawdoc! { "ik": 1 }), ["shop"]);
}

#[test]
fn commands_name_their_collection() {
    for command in [
        "create",
        "drop",
        "collMod",
        "createIndexes",
        "startIndexBuild",
        "commitIndexBuild",
        "abortIndexBuild",
        "dropIndexes",
        "deleteIndex",
        "emptycapped",
        "convertToCapped",
        "dbCheck",
        "commandOfTomorrow",
    ] {
        let o = command_on(command, "shop.orders");
        assert_eq!(names("c", "shop.$cmd", o), ["shop.shop.orders"], "{command}");
    }
    assert_eq!(names("c", "shop.$cmd", rawdoc! { "dropDatabase": 1 }), ["shop"]);
    let import = || rawdoc! { "importCollection": "shop.orders" };
    assert_eq!(names("c", "shop.$cmd", import()), ["shop.orders"]);
    assert_eq!(names("c", "other.$cmd", import()), ["other.shop.orders"]);
}

#[test]
fn a_rename_names_both() {
    let rename = rawdoc! { "renameCollection": "shop.a.b", "to": "archive.c", "stayTemp": false };
    assert_eq!(names("c", "shop.$cmd", rename), ["shop.a.b", "archive.c"]);
    let unreadable = rawdoc! { "renameCollection": "shop.a", "to": 1 };
    assert_eq!(names("c", "shop.$cmd", unreadable), ["shop"]);
}

#[test]
fn the_first_field_and_the_new_name_are_read_each_by_itself() {
    let read = |o: RawDocumentBuf| {
        let ts = bson::RawBson::Timestamp(bson::Timestamp { time: 7, increment: 9 });
        let bytes = rawdoc! { "ts": ts, "op": "c", "ns": "shop.$cmd", "o": o }.into_bytes();
        let operation = Entry::parse(&bytes).unwrap().operation();
        let named = operation.named().map(|named| named.full_name().into_owned());
        (named, operation.renamed_to().map(str::to_owned))
    };
    let pair =
        |named: Option<&str>, to: Option<&str>| (named.map(str::to_owned), to.map(str::to_owned));
    let rename = rawdoc! { "renameCollection": "shop.a", "to": "b.c" };
    assert_eq!(read(rename), pair(Some("shop.a"), Some("b.c")));
    assert_eq!(read(rawdoc! { "renameCollection": "shop.a" }), pair(Some("shop.a"), None));
    assert_eq!(read(rawdoc! { "renameCollection": 1, "to": "b.c" }), pair(None, Some("b.c")));
    assert_eq!(read(rawdoc! { "drop": "a", "to": "b.c" }), pair(Some("shop.a"), None));
    assert_eq!(read(rawdoc! { "drop": "" }), pair(Some("shop."), None));
    assert_eq!(read(rawdoc! { "dropDatabase": "a" }), pair(None, None));
    assert_eq!(read(rawdoc! { "applyOps": "a" }), pair(None, None));
}

#[test]
fn a_rename_drops_what_its_uuid_says() {
    let drops = |o: RawDocumentBuf| {
        let ts = bson::RawBson::Timestamp(bson::Timestamp { time: 7, increment: 9 });
        let bytes = rawdoc! { "ts": ts, "op": "c", "ns": "shop.$cmd", "o": o }.into_bytes();
        Entry::parse(&bytes).unwrap().operation().drops_target()
    };
    let uuid = || bson::Binary::from(bson::Uuid::from_bytes([7; 16]));
    assert!(drops(rawdoc! { "renameCollection": "a.b", "to": "a.c", "dropTarget": uuid() }));
    assert!(drops(rawdoc! { "renameCollection": "a.b", "to": "a.c", "dropTarget": true }));
    assert!(!drops(rawdoc! { "renameCollection": "a.b", "to": "a.c", "dropTarget": false }));
    assert!(!drops(rawdoc! { "renameCollection": "a.b", "to": "a.c", "stayTemp": false }));
    assert!(!drops(rawdoc! { "drop": "b", "dropTarget": uuid() }));
}

#[test]
fn what_names_no_collection_concerns_the_database_or_nothing() {
    assert_eq!(names("c", "shop.$cmd", rawdoc! { "commandOfTomorrow": 1 }), ["shop"]);
    assert_eq!(names("c", "shop.$cmd", rawdoc! { "drop": "" }), ["shop"]);
    assert_eq!(names("c", "shop.$cmd", rawdoc! {}), ["shop"]);
    for command in ["applyOps", "commitTransaction", "abortTransaction"] {
        assert_eq!(names("c", "admin.$cmd", command_on(command, "orders")), [""; 0]);
    }
}

#[test]
fn names_of_documents_are_borrowed_and_equal_those_of_commands() {
    let written = Namespace::parse("shop.orders.2026");
    assert_eq!((written.database, written.collection), ("shop", "orders.2026"));
    assert!(matches!(written.full_name(), Cow::Borrowed("shop.orders.2026")));
    let joined = Namespace { database: "shop", collection: "orders.2026", full: None };
    assert_eq!(written, joined);
    assert_eq!(joined.full_name(), "shop.orders.2026");
    assert!(Namespace::parse("shop").is_database() && !written.is_database());
}
