#![allow(clippy::unwrap_used)]
//! The parts of a copy that need no server. With one, see the end-to-end tests.

use hindsight_oplog::raw::Doc;
use hindsight_oplog::{OpTime, Timestamp};
use mongodb::bson::{self, Bson, Document, doc};

use super::catalog::{collection, is_finished, scan_command};
use super::error::{CopyErrorKind, Reaction, reaction_to_code};
use super::reply::{Batch, Hello, entry_optime, operation_time, unfinished_chain};
use super::{CopyError, CopySettings};

fn bytes(document: Document) -> Vec<u8> {
    bson::serialize_to_vec(&document).unwrap()
}

fn with<T>(document: Document, read: impl FnOnce(Doc<'_>) -> T) -> T {
    read(Doc::new(&bytes(document)).unwrap())
}

fn ts(time: u32, increment: u32) -> Bson {
    Bson::Timestamp(bson::Timestamp { time, increment })
}

fn uuid(byte: u8) -> Bson {
    Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![byte; 16] })
}

#[test]
fn batches_are_read_raw() {
    let reply = doc! {
        "cursor": { "firstBatch": [{ "_id": 1 }, { "_id": 2, "a": [1] }], "id": 7_i64, "ns": "a.b" },
        "ok": 1.0,
        "operationTime": ts(100, 3),
    };
    with(reply, |reply| {
        let batch = Batch::read(reply).unwrap();
        assert!(!batch.is_last);
        let documents: Vec<_> =
            batch.documents().map(|found| found.unwrap().as_bytes().to_vec()).collect();
        assert_eq!(documents, [bytes(doc! { "_id": 1 }), bytes(doc! { "_id": 2, "a": [1] })]);
        assert_eq!(operation_time(reply), Some(Timestamp::new(100, 3)));
    });
    let last = doc! { "cursor": { "id": 0_i64, "ns": "a.b", "nextBatch": [] }, "ok": 1.0 };
    with(last, |reply| {
        let batch = Batch::read(reply).unwrap();
        assert!(batch.is_last);
        assert_eq!(batch.documents().count(), 0);
        assert_eq!(operation_time(reply), None);
    });
    for unreadable in [
        doc! { "ok": 1.0 },
        doc! { "cursor": { "id": 0_i64 } },
        doc! { "cursor": { "firstBatch": [] } },
        doc! { "cursor": { "firstBatch": 1, "id": 0_i64 } },
    ] {
        with(unreadable, |reply| assert!(Batch::read(reply).is_err()));
    }
    let numbers = doc! { "cursor": { "firstBatch": [1], "id": 0_i64 } };
    with(numbers, |reply| assert!(Batch::read(reply).unwrap().documents().any(|d| d.is_err())));
}

fn hello() -> Document {
    doc! {
        "topologyVersion": { "processId": bson::oid::ObjectId::from_bytes([1; 12]), "counter": 6_i64 },
        "setName": "rs0",
        "isWritablePrimary": false,
        "secondary": true,
        "me": "localhost:27018",
        "lastWrite": {
            "opTime": { "ts": ts(100, 9), "t": 2_i64 },
            "majorityOpTime": { "ts": ts(100, 8), "t": 2_i64 },
        },
        "localTime": bson::DateTime::from_millis(100_500),
    }
}

#[test]
fn hello_tells_positions_and_state() {
    let first = with(hello(), |reply| Hello::read(reply).unwrap());
    assert_eq!(first.set_name.as_deref(), Some("rs0"));
    assert_eq!(first.member(), "localhost:27018");
    assert!(first.is_readable && !first.is_mongos);
    assert_eq!(first.last_applied, OpTime::new(100, 9, 2));
    assert_eq!(first.majority, OpTime::new(100, 8, 2));
    assert_eq!(first.local_time_ms, 100_500);
    let again = with(hello(), |reply| Hello::read(reply).unwrap());
    assert_eq!(first.incarnation, again.incarnation);
}

#[test]
fn another_state_process_or_member_is_another_incarnation() {
    let first = with(hello(), |reply| Hello::read(reply).unwrap()).incarnation;
    let process = bson::oid::ObjectId::from_bytes([1; 12]);
    let other_process = bson::oid::ObjectId::from_bytes([2; 12]);
    for change in [
        doc! { "topologyVersion": { "processId": process, "counter": 7_i64 } },
        doc! { "topologyVersion": { "processId": other_process, "counter": 6_i64 } },
        doc! { "me": "localhost:27019" },
    ] {
        let mut changed = hello();
        changed.extend(change);
        let changed = with(changed, |reply| Hello::read(reply).unwrap()).incarnation;
        assert_ne!(first, changed);
    }
}

#[test]
fn a_server_that_is_no_readable_member_is_recognised() {
    let mongos = with(doc! { "msg": "isdbgrid" }, |reply| Hello::read(reply).unwrap());
    assert!(mongos.is_mongos && mongos.set_name.is_none());
    let recovering = doc! { "setName": "rs0", "isWritablePrimary": false, "secondary": false };
    let recovering = with(recovering, |reply| Hello::read(reply).unwrap());
    assert!(!recovering.is_readable);
    assert_eq!(recovering.majority, OpTime::NONE);
}

#[test]
fn a_chain_that_goes_on_is_told_from_all_else() {
    let part = |previous: Bson| {
        doc! { "op": "c", "o": { "applyOps": [], "partialTxn": true }, "prevOpTime": previous }
    };
    let none = doc! { "ts": ts(0, 0), "t": -1_i64 };
    let before = doc! { "ts": ts(99, 1), "t": 2_i64 };
    let chain = |entry: Document| with(entry, |entry| unfinished_chain(entry).unwrap());
    assert_eq!(chain(part(none.clone().into())), Some(OpTime::NONE));
    assert_eq!(chain(part(before.clone().into())), Some(OpTime::new(99, 1, 2)));
    // The last part: nothing of the chain comes after it.
    let last = doc! { "applyOps": [], "count": 5_i64 };
    assert_eq!(chain(doc! { "op": "c", "o": last, "prevOpTime": before.clone() }), None);
    let prepared = doc! { "applyOps": [], "prepare": true };
    assert_eq!(chain(doc! { "op": "c", "o": prepared, "prevOpTime": none }), None);
    // A retryable insert has a previous optime, too.
    assert_eq!(chain(doc! { "op": "i", "o": { "_id": 1 }, "prevOpTime": before }), None);
    let entry = doc! { "ts": ts(7, 8), "t": 3_i64, "op": "n" };
    assert_eq!(with(entry, |entry| entry_optime(entry).unwrap()), OpTime::new(7, 8, 3));
    assert!(with(doc! { "ts": ts(7, 8) }, |entry| entry_optime(entry).is_err()));
}

#[test]
fn the_catalog_keeps_raw_options_and_leaves_out_views() {
    let options = doc! { "validator": { "$or": [{ "a": 1 }] }, "capped": true };
    let id_index = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
    let listed = doc! {
        "name": "orders",
        "type": "collection",
        "options": options.clone(),
        "info": { "readOnly": false, "uuid": uuid(7) },
        "idIndex": id_index.clone(),
    };
    let info = with(listed, |listed| collection("shop", listed).unwrap().unwrap());
    assert_eq!((info.db.as_str(), info.name.as_str()), ("shop", "orders"));
    assert_eq!(info.uuid, [7; 16]);
    assert_eq!(info.options, bytes(options));
    assert_eq!(info.id_index, Some(bytes(id_index)));

    let unlisted = |name: &str, kind: &str, info: Document| {
        let listed = doc! { "name": name, "type": kind, "options": {}, "info": info };
        with(listed, |listed| collection("shop", listed))
    };
    assert_eq!(unlisted("v", "view", doc! { "readOnly": true }).unwrap(), None);
    assert_eq!(unlisted("weather", "timeseries", doc! { "readOnly": false }).unwrap(), None);
    assert_eq!(unlisted("system.profile", "collection", doc! { "uuid": uuid(1) }).unwrap(), None);
    let buckets = unlisted("system.buckets.weather", "collection", doc! { "uuid": uuid(2) });
    assert_eq!(buckets.unwrap().unwrap().id_index, None);

    // What we do not know how to copy is refused, not passed over.
    for (kind, info) in
        [("collection", doc! { "readOnly": false }), ("something new", doc! { "uuid": uuid(1) })]
    {
        let error = unlisted("odd", kind, info).unwrap_err();
        assert_eq!(error.kind(), CopyErrorKind::Refused);
        assert!(error.to_string().contains("shop.odd"), "{error}");
    }
}

/// Made by hand after the sources of 9.0.
#[test]
fn a_time_series_without_a_view_is_read_as_buckets() {
    let listed = |kind: &str| {
        let options = doc! { "timeseries": { "timeField": "t" } };
        let info = doc! { "readOnly": false, "uuid": uuid(7) };
        let listed = doc! { "name": "weather", "type": kind, "options": options, "info": info };
        with(listed, |listed| collection("shop", listed).unwrap().unwrap())
    };
    let scan = |kind: &str| {
        let info = listed(kind);
        assert_eq!(info.kind, kind);
        Document::try_from(scan_command(&info, Timestamp::new(100, 9))).unwrap()
    };
    assert_eq!(scan("timeseries").get("rawData"), Some(&Bson::Boolean(true)));
    assert_eq!(scan("collection").get("rawData"), None);
}

#[test]
fn indexes_in_the_making_are_left_out() {
    let spec = doc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
    assert!(with(spec.clone(), |listed| is_finished(listed).unwrap()));
    let building = doc! { "spec": spec, "buildUUID": uuid(1) };
    assert!(!with(building, |listed| is_finished(listed).unwrap()));
}

#[test]
fn scans_name_the_uuid_and_read_committed_data_after_the_look_ups() {
    let listed = doc! { "name": "orders", "type": "collection", "info": { "uuid": uuid(7) } };
    let info = with(listed, |listed| collection("shop", listed).unwrap().unwrap());
    let by_uuid = Document::try_from(scan_command(&info, Timestamp::new(100, 9))).unwrap();
    assert_eq!(by_uuid.get("find"), Some(&uuid(7)));
    let read_concern = doc! { "level": "majority", "afterClusterTime": ts(100, 9) };
    assert_eq!(by_uuid.get_document("readConcern").unwrap(), &read_concern);
}

#[test]
fn errors_say_what_to_do() {
    for lost_cursor in [43, 136, 175, 237] {
        assert_eq!(reaction_to_code(lost_cursor), Reaction::Retry);
    }
    assert_eq!(reaction_to_code(26), Reaction::Vanished);
    assert_eq!(reaction_to_code(13), Reaction::Forbidden);
    for hopeless in [18, 59, 72, 9, 12345] {
        assert_eq!(reaction_to_code(hopeless), Reaction::Stop);
    }
    let cut_short = CopyError::Unsettled("the cursor was cut short".to_owned());
    assert_eq!(cut_short.reaction(), Reaction::Retry);
    assert_eq!(CopyError::Cancelled.kind(), CopyErrorKind::Cancelled);
    let full = hindsight_base::Error::DiskFull {
        action: "write",
        path: "/data".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    };
    assert_eq!(CopyError::from(full).kind(), CopyErrorKind::DiskFull);
    assert!(CopySettings::default().parallel_scans > 0);
}
