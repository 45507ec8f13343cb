#![allow(clippy::unwrap_used)]

use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{RawArrayBuf, RawBson, RawDocumentBuf, rawdoc};

use super::*;

fn uuid(subtype: BinarySubtype) -> RawBson {
    RawBson::Binary(bson::Binary { subtype, bytes: vec![1; 16] })
}

fn entry(op: &str, ns: &str, o: RawDocumentBuf, more: RawDocumentBuf) -> Vec<u8> {
    let ts = RawBson::Timestamp(bson::Timestamp { time: 7, increment: 9 });
    let mut entry = rawdoc! { "ts": ts, "t": 1_i64, "op": op, "ns": ns, "o": o };
    for element in &more {
        let (name, value) = element.unwrap();
        entry.append(name, RawBson::from(value));
    }
    entry.into_bytes()
}

fn apply_ops(inner: Vec<RawDocumentBuf>) -> RawDocumentBuf {
    let array: RawArrayBuf = inner.into_iter().map(RawBson::Document).collect();
    rawdoc! { "applyOps": array }
}

fn inner(id: i32) -> RawDocumentBuf {
    rawdoc! {
        "op": "i", "ns": "shop.orders", "ui": uuid(BinarySubtype::Uuid), "o": { "_id": id },
        "stmtId": 1, "fieldOfTomorrow": 1,
    }
}

fn nested(depth: usize) -> RawDocumentBuf {
    let innermost = apply_ops(vec![inner(1)]);
    (1..depth).fold(innermost, |o, _| {
        apply_ops(vec![rawdoc! { "op": "c", "ns": "admin.$cmd", "o": o }, inner(2)])
    })
}

/// Returns kind, `_id` and `upsert` of each operation.
fn opened(bytes: &[u8]) -> Result<Vec<(OpKind, Option<i64>, bool)>, Malformed> {
    let mut all = Vec::new();
    Entry::parse(bytes)?.for_each_operation(&mut |operation| {
        let id = operation.document_id().and_then(Element::as_integer);
        all.push((operation.kind, id, operation.upsert));
        Ok::<(), Malformed>(())
    })?;
    Ok(all)
}

#[test]
fn apply_ops_is_opened_in_order() {
    let update = rawdoc! {
        "op": "u", "ns": "shop.orders", "o": { "$v": 2, "diff": {} }, "o2": { "_id": 3 }, "b": true,
    };
    let o = apply_ops(vec![
        inner(2),
        inner(1),
        inner(2),
        update,
        rawdoc! { "op": "n", "ns": "", "o": { "_id": 9 } },
        rawdoc! { "op": "opOfTomorrow", "ns": "shop.orders", "o": { "_id": 9 } },
        rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "create": "orders" } },
        rawdoc! { "op": "d", "ns": "shop.orders", "o": { "_id": 2, "shard": "key" } },
    ]);
    let expected = [
        (OpKind::Insert, Some(2), false),
        (OpKind::Insert, Some(1), false),
        (OpKind::Insert, Some(2), false),
        (OpKind::Update, Some(3), true),
        (OpKind::Noop, None, false),
        (OpKind::Unknown, None, false),
        (OpKind::Command, None, false),
        (OpKind::Delete, Some(2), false),
    ];
    assert_eq!(opened(&entry("c", "admin.$cmd", o, rawdoc! {})).unwrap(), expected);
    assert_eq!(opened(&entry("c", "admin.$cmd", apply_ops(vec![]), rawdoc! {})).unwrap(), []);
}

#[test]
fn nested_apply_ops_is_opened_as_deep_as_the_server_does() {
    let two_deep = opened(&entry("c", "admin.$cmd", nested(2), rawdoc! {})).unwrap();
    assert_eq!(two_deep.iter().map(|(_, id, _)| id.unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(opened(&entry("c", "admin.$cmd", nested(MAX_NESTING), rawdoc! {})).is_ok());
    assert_eq!(
        opened(&entry("c", "admin.$cmd", nested(MAX_NESTING + 1), rawdoc! {})).unwrap_err(),
        Malformed("applyOps nested too deeply")
    );
}

#[test]
fn an_update_upserts_by_default_outside_transactions_only() {
    let update = |more: RawDocumentBuf| {
        let mut update = rawdoc! { "op": "u", "ns": "a.b", "o": {}, "o2": { "_id": 1 } };
        for element in &more {
            let (name, value) = element.unwrap();
            update.append(name, RawBson::from(value));
        }
        apply_ops(vec![update])
    };
    let mut never = update(rawdoc! {});
    never.append(cstr!("alwaysUpsert"), false);
    let txn = || rawdoc! { "txnNumber": 1_i64 };
    for (o, more, expected) in [
        (update(rawdoc! {}), rawdoc! {}, true),
        // As servers of 4.4 to 6.0 handle it: `b` can only add to the default.
        (update(rawdoc! { "b": false }), rawdoc! {}, true),
        (update(rawdoc! {}), txn(), false),
        (update(rawdoc! { "b": true }), txn(), true),
        (never, rawdoc! {}, false),
    ] {
        let bytes = entry("c", "admin.$cmd", o, more);
        assert_eq!(opened(&bytes).unwrap(), [(OpKind::Update, Some(1), expected)]);
    }
    let alone = rawdoc! { "o2": { "_id": 1 } };
    let bytes = entry("u", "a.b", rawdoc! {}, alone);
    assert_eq!(opened(&bytes).unwrap(), [(OpKind::Update, Some(1), false)]);
}

#[test]
fn what_apply_ops_cannot_hold_is_refused() {
    for (o, complaint) in [
        (rawdoc! { "applyOps": 1 }, "applyOps does not hold an array"),
        (rawdoc! { "applyOps": [1] }, "applyOps holds a non-document"),
        (rawdoc! { "applyOps": [{ "ns": "a.b", "o": {} }] }, "inner operation without op"),
        (rawdoc! { "applyOps": [{ "op": "i", "ns": "a.b" }] }, "inner operation without o"),
        // A grouped insert, which the server refuses too.
        (
            rawdoc! { "applyOps": [{ "op": "i", "ns": "a.b", "o": [{}] }] },
            "inner operation without o",
        ),
        (
            rawdoc! { "applyOps": [{ "op": "i", "ns": 1, "o": {} }] },
            "inner ns is not a UTF-8 string",
        ),
        (
            rawdoc! { "applyOps": [
                { "op": "i", "ns": "a.b", "o": {}, "ui": uuid(BinarySubtype::UuidOld) },
            ] },
            "inner ui is not a UUID",
        ),
    ] {
        assert_eq!(
            opened(&entry("c", "admin.$cmd", o, rawdoc! {})).unwrap_err(),
            Malformed(complaint)
        );
    }
}

#[test]
fn an_operation_that_is_refused_ends_the_walk() {
    let bytes = entry("c", "admin.$cmd", apply_ops(vec![inner(1), inner(2)]), rawdoc! {});
    let mut visited = 0;
    let result = Entry::parse(&bytes).unwrap().for_each_operation(&mut |_| {
        visited += 1;
        Err(Malformed("enough"))
    });
    assert_eq!((result, visited), (Err(Malformed("enough")), 1));
}

#[test]
fn a_command_is_named_by_its_first_field() {
    let command = |o: RawDocumentBuf| {
        let bytes = entry("c", "shop.$cmd", o, rawdoc! {});
        Entry::parse(&bytes).unwrap().command()
    };
    assert_eq!(command(rawdoc! { "drop": "a", "create": "b" }), Some(CommandKind::Drop));
    assert_eq!(command(rawdoc! { "comment": "x", "drop": "a" }), Some(CommandKind::Unknown));
    assert_eq!(command(rawdoc! {}), Some(CommandKind::Unknown));
    let insert = entry("i", "shop.orders", rawdoc! { "drop": "a" }, rawdoc! {});
    assert_eq!(Entry::parse(&insert).unwrap().command(), None);
}
