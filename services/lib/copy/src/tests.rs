#![allow(clippy::unwrap_used)]
//! The parts of a copy that need no server. The end-to-end tests cover the rest.

use bson::{Bson, Document, doc};
use hindsight_mongo::Failure;
use hindsight_oplog::raw::Doc;
use hindsight_oplog::{Entry, OpTime, Timestamp};

use super::catalog::{collection, is_finished, scan_command};
use super::error::{CopyErrorKind, Reaction};
use super::reply::unfinished_chain;
use super::start::entry;
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
fn a_chain_that_goes_on_is_told_from_all_else() {
    let none = doc! { "ts": ts(0, 0), "t": -1_i64 };
    let before = doc! { "ts": ts(99, 1), "t": 2_i64 };
    let chain = |op: &str, o: Document, previous: &Document| {
        let entry = doc! { "ts": ts(100, 1), "op": op, "o": o, "prevOpTime": previous };
        unfinished_chain(&Entry::parse(&bytes(entry)).unwrap()).unwrap()
    };
    let part = || doc! { "applyOps": [], "partialTxn": true };
    assert_eq!(chain("c", part(), &none), Some(OpTime::NONE));
    assert_eq!(chain("c", part(), &before), Some(OpTime::new(99, 1, 2)));
    // A previous part whose term is not known is a previous part all the same.
    assert_eq!(chain("c", part(), &doc! { "ts": ts(99, 1) }), Some(OpTime::new(99, 1, -1)));
    // The last part: nothing of the chain comes after it.
    assert_eq!(chain("c", doc! { "applyOps": [], "count": 0_i64 }, &before), None);
    assert_eq!(chain("c", doc! { "applyOps": [], "prepare": true }, &none), None);
    // A retryable insert has a previous optime too.
    assert_eq!(chain("i", doc! { "_id": 1 }, &before), None);
}

/// The entry that initiates a set has no term, and may be the top of the oplog.
#[test]
fn a_copy_can_start_at_an_entry_without_a_term() {
    let note = doc! { "msg": "initiating set" };
    let top = bytes(doc! { "ts": ts(7, 1), "op": "n", "ns": "", "o": note });
    assert_eq!(entry("read the top", &top).unwrap().optime, OpTime::new(7, 1, -1));
    let without_ts = bytes(doc! { "t": 1_i64, "op": "n", "o": {} });
    assert!(entry("read the top", &without_ts).is_err());
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

    // What this version cannot copy is refused, not skipped.
    for (kind, info) in
        [("collection", doc! { "readOnly": false }), ("something new", doc! { "uuid": uuid(1) })]
    {
        let error = unlisted("odd", kind, info).unwrap_err();
        assert_eq!(error.kind(), CopyErrorKind::Refused);
        assert!(error.to_string().contains("shop.odd"), "{error}");
    }
}

/// The listings are made by hand after the sources of 9.0.
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
    let server = |code| CopyError::server("copy a.b")(Failure::from_server(code, "Name", "text"));
    for lost_cursor in [43, 136, 175, 237] {
        assert_eq!(server(lost_cursor).reaction(), Reaction::Retry);
    }
    assert_eq!(server(26).reaction(), Reaction::Vanished);
    for hopeless in [13, 18, 59, 72, 9, 12345] {
        assert_eq!(server(hopeless).reaction(), Reaction::Stop);
    }
    assert_eq!(server(26).kind(), CopyErrorKind::Retry);
    assert_eq!(server(13).kind(), CopyErrorKind::Refused);
    assert!(server(13).to_string().contains("clusterMonitor"), "{}", server(13));
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
