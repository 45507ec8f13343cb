#![allow(clippy::unwrap_used)]

use bson::spec::BinarySubtype;
use bson::{RawBson, RawDocumentBuf, rawdoc};
use proptest::prelude::*;

use super::*;
use crate::OpKind;

fn ts(time: u32, increment: u32) -> RawBson {
    RawBson::Timestamp(bson::Timestamp { time, increment })
}

fn binary(subtype: BinarySubtype, length: usize) -> RawBson {
    RawBson::Binary(bson::Binary { subtype, bytes: vec![0xab; length] })
}

fn uuid() -> RawBson {
    binary(BinarySubtype::Uuid, 16)
}

/// The smallest valid entry, with more fields.
fn with(more: RawDocumentBuf) -> RawDocumentBuf {
    let mut entry = rawdoc! { "ts": ts(7, 9), "op": "n", "o": {} };
    for element in &more {
        let (name, value) = element.unwrap();
        entry.append(name, RawBson::from(value));
    }
    entry
}

/// As MongoDB 6.0 writes a retryable update.
fn update() -> RawDocumentBuf {
    rawdoc! {
        "lsid": { "id": uuid(), "uid": binary(BinarySubtype::Generic, 32) },
        "txnNumber": 3_i64, "op": "u", "ns": "shop.orders", "ui": uuid(),
        "o": { "$v": 2_i32, "diff": { "u": { "price": 2.5 } } }, "o2": { "_id": 1_i32 },
        "stmtId": 0_i32, "ts": ts(1_795_000_000, 42), "t": 5_i64, "v": 2_i64,
        "wall": bson::DateTime::from_millis(1_795_000_000_123),
        "prevOpTime": { "ts": ts(0, 0), "t": -1_i64 },
    }
}

/// As MongoDB 6.0 writes the last entry of a large transaction of an internal session.
fn transaction() -> RawDocumentBuf {
    rawdoc! {
        "lsid": {
            "id": uuid(), "uid": binary(BinarySubtype::Generic, 32),
            "txnNumber": 3_i64, "txnUUID": uuid(),
        },
        "txnNumber": 0_i64, "txnRetryCounter": 1_i32, "op": "c", "ns": "admin.$cmd",
        "o": {
            "applyOps": [
                { "op": "i", "ns": "shop.orders", "ui": uuid(), "o": { "_id": 1_i32 } },
                { "op": "d", "ns": "shop.orders", "ui": uuid(), "o": { "_id": 1_i32 } },
            ],
            "count": 9_i64,
        },
        "ts": ts(1_795_000_000, 43), "t": 5_i64, "v": 2_i64, "multiOpType": 0_i32,
        "wall": bson::DateTime::from_millis(1_795_000_000_124),
        "prevOpTime": { "ts": ts(1_795_000_000, 40), "t": 5_i64 },
    }
}

#[test]
fn reads_the_envelope_of_an_update() {
    let document = update();
    let entry = Entry::parse(document.as_bytes()).unwrap();
    assert_eq!(entry.doc.as_bytes(), document.as_bytes());
    assert_eq!(entry.optime, OpTime::new(1_795_000_000, 42, 5));
    assert_eq!((entry.op, entry.ns, entry.ui), (&b"u"[..], "shop.orders", Some([0xab; 16])));
    assert_eq!(entry.o.as_bytes(), document.get_document("o").unwrap().as_bytes());
    assert_eq!(entry.o2.unwrap().as_bytes(), document.get_document("o2").unwrap().as_bytes());
    assert_eq!(entry.wall_ms, Some(1_795_000_000_123));
    assert_eq!(entry.lsid.unwrap().as_bytes(), document.get_document("lsid").unwrap().as_bytes());
    assert_eq!((entry.txn_number, entry.txn_retry_counter), (Some(3), None));
    assert_eq!(entry.prev_optime, Some(OpTime::NONE));
    assert_eq!((entry.multi_op_type, entry.upsert), (None, false));
}

#[test]
fn reads_the_envelope_of_a_transaction() {
    let document = transaction();
    let entry = Entry::parse(document.as_bytes()).unwrap();
    assert_eq!((entry.txn_number, entry.txn_retry_counter), (Some(0), Some(1)));
    assert_eq!(entry.prev_optime, Some(OpTime::new(1_795_000_000, 40, 5)));
    assert_eq!(entry.multi_op_type, Some(0));
    assert_eq!(entry.ui, None);
}

#[test]
fn the_least_is_ts_op_and_o() {
    let document = with(rawdoc! {});
    let entry = Entry::parse(document.as_bytes()).unwrap();
    assert_eq!(entry.optime, OpTime::new(7, 9, -1));
    assert_eq!((entry.ns, entry.ui, entry.wall_ms), ("", None, None));
    assert!(entry.o2.is_none() && entry.lsid.is_none() && entry.prev_optime.is_none());
    for incomplete in [
        rawdoc! { "op": "n", "o": {} },
        rawdoc! { "ts": ts(7, 9), "o": {} },
        rawdoc! { "ts": ts(7, 9), "op": "", "o": {} },
        rawdoc! { "ts": ts(7, 9), "op": "n" },
        rawdoc! {},
    ] {
        assert_eq!(
            Entry::parse(incomplete.as_bytes()).unwrap_err(),
            Malformed("entry without ts, op or o")
        );
    }
}

#[test]
fn an_op_of_tomorrow_is_unknown_and_no_error() {
    for op in ["xi", "kmx", "db", "operation of tomorrow"] {
        let document = rawdoc! { "ts": ts(7, 9), "op": op, "o": { "k": 1 } };
        let entry = Entry::parse(document.as_bytes()).unwrap();
        assert_eq!(entry.operation().kind, OpKind::Unknown);
        assert_eq!(entry.op, op.as_bytes());
    }
}

#[test]
fn old_and_new_fields_are_passed_over_and_kept() {
    let document = with(rawdoc! {
        "h": -1_234_567_i64, "v": 2_i32, "fieldOfTomorrow": { "a": [1, 2] }, "rid": 5_i64,
        "stmtId": [1, 2], "versionContext": {}, "": RawBson::Undefined, "h": "twice",
    });
    let entry = Entry::parse(document.as_bytes()).unwrap();
    assert_eq!(entry.doc.as_bytes(), document.as_bytes());
    assert_eq!(entry.doc.get(b"h").unwrap().unwrap().as_integer(), Some(-1_234_567));
}

#[test]
fn numbers_are_read_in_any_width() {
    for (term, version) in [
        (RawBson::Int32(5), RawBson::Int32(2)),
        (RawBson::Int64(5), RawBson::Int64(2)),
        (RawBson::Double(5.0), RawBson::Double(2.0)),
    ] {
        let document = with(rawdoc! {
            "t": term.clone(), "v": version, "txnNumber": term.clone(),
            "prevOpTime": { "ts": ts(7, 8), "t": term },
        });
        let entry = Entry::parse(document.as_bytes()).unwrap();
        assert_eq!((entry.optime.term, entry.txn_number), (5, Some(5)));
        assert_eq!(entry.prev_optime, Some(OpTime::new(7, 8, 5)));
    }
}

#[test]
fn a_lost_term_is_no_term() {
    for lost in [RawBson::Null, RawBson::String("5".into())] {
        let document = with(rawdoc! {
            "t": lost.clone(), "prevOpTime": { "ts": ts(7, 8), "t": lost },
        });
        let entry = Entry::parse(document.as_bytes()).unwrap();
        assert_eq!(entry.optime, OpTime::new(7, 9, -1));
        assert_eq!(entry.prev_optime, Some(OpTime::new(7, 8, -1)));
    }
}

#[test]
fn null_is_absent() {
    const NULL: RawBson = RawBson::Null;
    let document = with(rawdoc! {
        "t": NULL, "ui": NULL, "o2": NULL, "wall": NULL, "lsid": NULL, "txnNumber": NULL,
        "txnRetryCounter": NULL, "prevOpTime": NULL, "multiOpType": NULL, "b": NULL,
    });
    let entry = Entry::parse(document.as_bytes()).unwrap();
    assert!(entry.ui.is_none() && entry.lsid.is_none() && entry.prev_optime.is_none());
    assert!(entry.txn_number.is_none() && entry.multi_op_type.is_none());
}

/// If these fields were treated as absent, the entry would be another one.
#[test]
fn identity_of_another_type_is_refused() {
    for wrong in [
        rawdoc! { "ui": binary(BinarySubtype::UuidOld, 16) },
        rawdoc! { "ui": binary(BinarySubtype::Uuid, 15) },
        rawdoc! { "ui": "0f8fad5b-d9cb-469f-a165-70867728950e" },
        rawdoc! { "lsid": "session" },
        rawdoc! { "txnNumber": "3" },
        rawdoc! { "txnNumber": 2.5 },
        rawdoc! { "txnRetryCounter": true },
        rawdoc! { "prevOpTime": ts(7, 8) },
        rawdoc! { "prevOpTime": { "t": 5_i64 } },
        rawdoc! { "prevOpTime": { "ts": 8_i64, "t": 5_i64 } },
        rawdoc! { "multiOpType": "1" },
        rawdoc! { "ns": 1 },
        rawdoc! { "op": 1 },
        rawdoc! { "ts": bson::DateTime::from_millis(7) },
        rawdoc! { "o": [] },
    ] {
        let error = Entry::parse(with(wrong.clone()).as_bytes()).unwrap_err();
        let field = wrong.iter().next().unwrap().unwrap().0.to_string();
        assert!(error.0.contains(&format!("entry's {field} ")), "{field}: {error}");
    }
}

#[test]
fn a_name_that_is_not_utf_8_stops_nobody() {
    let document = with(rawdoc! { "ns": "shop.xyz" });
    let mut bytes = document.as_bytes().to_vec();
    let at = bytes.windows(3).position(|window| window == b"xyz").unwrap();
    bytes[at] = 0xff;
    let entry = Entry::parse(&bytes).unwrap();
    assert_eq!((entry.ns, entry.doc.as_bytes()), ("", &bytes[..]));
}

#[test]
fn other_fields_of_another_type_are_absent() {
    let document = with(rawdoc! { "o2": 1, "wall": 1, "b": "yes" });
    let entry = Entry::parse(document.as_bytes()).unwrap();
    assert!(entry.o2.is_none() && entry.wall_ms.is_none() && !entry.upsert);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bytes are changed, removed and inserted, in the lengths too. The entry is read or refused,
    /// and opened or refused.
    #[test]
    fn damaged_entries_are_read_without_panic(
        which in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..12),
        keep_length in any::<bool>(),
    ) {
        let mut bytes = [update(), transaction()][which].as_bytes().to_vec();
        for (at, value, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes.insert(at, value),
                1 if bytes.len() > 1 => { bytes.remove(at); }
                _ => bytes[at] = value,
            }
        }
        if keep_length && bytes.len() >= 5 {
            // So that more than the outermost check is reached.
            let length = i32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes[..4].copy_from_slice(&length);
            *bytes.last_mut().unwrap() = 0;
        }
        if let Ok(entry) = Entry::parse(&bytes) {
            prop_assert_eq!(entry.doc.as_bytes(), &bytes[..]);
            let _ = entry.for_each_operation::<Malformed>(&mut |operation| {
                let _ = (operation.document_id(), operation.namespaces().iter().count());
                Ok(())
            });
        }
    }
}
