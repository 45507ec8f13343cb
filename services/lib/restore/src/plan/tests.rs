use bson::{RawDocumentBuf, rawdoc};

use super::*;
use crate::tests::memory::collection;

const AT: Timestamp = Timestamp::new(50, 2);

fn planned(collections: Vec<CollectionState>, views: &[(&str, RawDocumentBuf)]) -> Plan {
    let mut documents = ViewDocuments::new();
    for (db, view) in views {
        documents.entry((*db).to_owned()).or_default().push(view.as_bytes().to_vec());
    }
    plan(AT, collections, &documents, true).expect("plans")
}

fn command(bytes: &[u8]) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(bytes.to_vec()).expect("a document")
}

#[test]
fn what_belongs_to_the_source_alone_is_skipped_with_its_reason() {
    let names = [
        ("local", "startup_log"),
        ("config", "transactions"),
        ("admin", "system.version"),
        ("admin", "system.keys"),
        ("admin", "pbmLog"),
        ("mongosync_reserved_for_internal_use", "state"),
        ("shop", "system.profile"),
        ("shop", "system.drop.1700000000i1t1.orders"),
    ];
    let mut collections: Vec<_> =
        names.iter().map(|(db, name)| collection(db, name, &rawdoc! {})).collect();
    for (db, name) in [("shop", "orders"), ("shop", "system.js"), ("admin", "inventory")] {
        collections.push(collection(db, name, &rawdoc! {}));
    }
    let plan = planned(collections, &[]);
    let written: Vec<_> = plan.namespaces().collect();
    assert_eq!(written, ["admin.inventory", "shop.orders", "shop.system.js"]);
    let mut skipped: Vec<_> = plan.skipped.iter().map(|skipped| skipped.ns.clone()).collect();
    let mut expected: Vec<_> = names.iter().map(|(db, name)| format!("{db}.{name}")).collect();
    skipped.sort();
    expected.sort();
    assert_eq!(skipped, expected);
    assert!(plan.skipped.iter().all(|skipped| !skipped.reason.is_empty()));
}

#[test]
fn options_and_the_id_index_pass_unchanged() {
    let collation = rawdoc! { "locale": "fr", "strength": 2 };
    let options = rawdoc! { "capped": true, "size": 4096, "collation": collation.clone() };
    let mut state = collection("shop", "log", &options);
    let id_index = rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_", "collation": collation };
    state.indexes = vec![id_index.as_bytes().to_vec()];
    let plan = planned(vec![state], &[]);
    let planned = &plan.collections[0];
    assert!(planned.ordered && planned.indexes.is_empty() && planned.expire.is_none());
    let create = command(&planned.create);
    let expected = rawdoc! {
        "create": "log", "capped": true, "size": 4096, "collation": { "locale": "fr", "strength": 2 },
        "idIndex": id_index,
    };
    assert_eq!(create, expected);
}

#[test]
fn bounds_can_be_set_after_loading() {
    let options = rawdoc! { "capped": true, "size": 4096, "max": 7_i64 };
    let states = vec![collection("shop", "log", &options), collection("shop", "all", &rawdoc! {})];
    let mut plan = planned(states, &[]);
    plan.load_before_bounds().unwrap();
    let all = plan.collections.iter().find(|planned| planned.state.name == "all").unwrap();
    assert!(all.bounds.is_none());
    let log = plan.collections.iter().find(|planned| planned.state.name == "log").unwrap();
    let create = command(&log.create);
    assert_eq!(create.get_i64("size").unwrap(), 4096 + (1_i64 << 40));
    assert!(create.get_bool("capped").unwrap() && create.get("max").unwrap().is_none());
    let bounds = command(log.bounds.as_ref().unwrap());
    assert_eq!(bounds, rawdoc! { "collMod": "log", "cappedSize": 4096_i64, "cappedMax": 7_i64 });
}

#[test]
fn what_deletes_documents_is_kept_for_the_end_and_told() {
    let clustered = rawdoc! {
        "clusteredIndex": { "v": 2, "key": { "_id": 1 }, "name": "byid", "unique": true },
        "expireAfterSeconds": 3600_i64,
    };
    let mut state = collection("shop", "sessions", &clustered);
    let ttl = rawdoc! { "v": 2, "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 5 };
    let plain = rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "ns": "shop.sessions" };
    let shown =
        rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "byid", "unique": true, "clustered": true };
    state.indexes = [&shown, &ttl, &plain].map(|raw| raw.as_bytes().to_vec()).into();
    let plan = planned(vec![state], &[]);
    let planned = &plan.collections[0];
    assert!(!command(&planned.create).iter().any(|field| {
        let name = field.expect("well formed").0.as_str();
        name == "expireAfterSeconds" || name == "idIndex"
    }));
    let modify = planned.expire.as_deref().map(command).expect("expires");
    assert_eq!(modify, rawdoc! { "collMod": "sessions", "expireAfterSeconds": 3600_i64 });
    assert_eq!(planned.expiring_indexes, [ttl.as_bytes().to_vec()]);
    let plain = rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
    assert_eq!(planned.indexes, [plain.as_bytes().to_vec()], "without the old field ns");
    assert!(plan.warnings[0].contains("shop.sessions"), "{:?}", plan.warnings);
    assert!(plan.warnings[0].contains("ttlMonitorEnabled"), "{:?}", plan.warnings);
}

#[test]
fn a_view_is_made_by_its_document() {
    let view = rawdoc! { "_id": "shop.v", "viewOn": "orders", "pipeline": [{ "$match": {} }] };
    let states = vec![collection("shop", "system.views", &rawdoc! {})];
    let plan = planned(states, &[("shop", view)]);
    assert!(plan.collections.is_empty() && plan.skipped.is_empty());
    assert_eq!(plan.view_databases, ["shop"]);
    let create = plan.views[0].create.as_deref().map(command).expect("a command of its own");
    assert_eq!(
        create,
        rawdoc! { "create": "v", "viewOn": "orders", "pipeline": [{ "$match": {} }] }
    );
}

#[test]
fn a_time_series_is_made_through_its_view() {
    let time_series = rawdoc! { "timeField": "t", "granularity": "seconds" };
    let options = rawdoc! {
        "storageEngine": { "wiredTiger": {} }, "indexOptionDefaults": { "storageEngine": {} },
        "validator": {}, "clusteredIndex": true, "expireAfterSeconds": 60_i64,
        "timeseries": time_series.clone(),
    };
    let buckets = |name: &str| {
        let mut buckets = collection("iot", name, &options);
        buckets.indexes.clear();
        buckets
    };
    let view = rawdoc! { "_id": "iot.temp", "viewOn": "system.buckets.temp", "pipeline": [] };
    let plan = planned(vec![buckets("system.buckets.temp")], &[("iot", view.clone())]);
    let expected = rawdoc! {
        "create": "temp", "storageEngine": { "wiredTiger": {} },
        "indexOptionDefaults": { "storageEngine": {} }, "timeseries": time_series.clone(),
    };
    let planned_buckets = &plan.collections[0];
    assert_eq!(command(&planned_buckets.create), expected);
    let expire = planned_buckets.expire.as_deref().map(command).expect("expires");
    assert_eq!(expire, rawdoc! { "collMod": "temp", "expireAfterSeconds": 60_i64 });
    assert!(plan.views[0].time_series && plan.views[0].create.is_none());

    let without_buckets = planned(Vec::new(), &[("iot", view.clone())]);
    assert!(without_buckets.views.is_empty());
    assert_eq!(without_buckets.skipped[0].ns, "iot.temp");
    let without_view = planned(vec![buckets("system.buckets.other")], &[("iot", view)]);
    let create = command(&without_view.collections[0].create);
    let expected = rawdoc! {
        "create": "system.buckets.other", "storageEngine": { "wiredTiger": {} },
        "indexOptionDefaults": { "storageEngine": {} }, "validator": {}, "clusteredIndex": true,
        "timeseries": time_series,
    };
    assert_eq!(create, expected);
}

/// The state is made by hand, after the sources of 9.0.
#[test]
fn a_time_series_without_a_view_is_made_by_its_name() {
    let time_series = rawdoc! { "timeField": "t", "granularity": "seconds" };
    let options = rawdoc! {
        "clusteredIndex": true, "expireAfterSeconds": 60_i64, "timeseries": time_series.clone(),
    };
    let plan = planned(vec![collection("iot", "temp", &options)], &[]);
    let planned = &plan.collections[0];
    assert!(planned.raw_data && planned.time_series.is_some());
    let create = command(&planned.create);
    assert_eq!(create, rawdoc! { "create": "temp", "timeseries": time_series });
    let expire = planned.expire.as_deref().map(command).expect("expires");
    assert_eq!(expire, rawdoc! { "collMod": "temp", "expireAfterSeconds": 60_i64 });
}

#[test]
fn a_view_that_contradicts_its_buckets_is_told() {
    let options = rawdoc! { "timeseries": { "timeField": "t", "bucketMaxSpanSeconds": 3600 } };
    let view = |span: i32| {
        let unpack = rawdoc! { "timeField": "t", "bucketMaxSpanSeconds": span };
        rawdoc! {
            "_id": "iot.w", "viewOn": "system.buckets.w",
            "pipeline": [{ "$_internalUnpackBucket": unpack }],
        }
    };
    let warnings = |span| {
        let buckets = collection("iot", "system.buckets.w", &options);
        planned(vec![buckets], &[("iot", view(span))]).warnings
    };
    assert_eq!(warnings(3600), Vec::<String>::new());
    let told = warnings(86_400);
    assert!(told.len() == 1 && told[0].contains("iot.w") && told[0].contains("86400"), "{told:?}");
}

#[test]
fn users_and_roles_are_restored_or_skipped_as_asked() {
    let states = || {
        ["system.users", "system.roles"].map(|name| collection("admin", name, &rawdoc! {})).into()
    };
    assert_eq!(planned(states(), &[]).authorization.len(), 2);
    let without = plan(AT, states(), &ViewDocuments::new(), false).expect("plans");
    assert!(without.authorization.is_empty());
    assert_eq!(without.skipped.len(), 2);
}

#[test]
fn garbage_in_the_catalog_is_named() {
    let mut bad_index = collection("shop", "orders", &rawdoc! {});
    bad_index.indexes.push(vec![1, 2, 3]);
    let mut bad_options = collection("shop", "orders", &rawdoc! {});
    bad_options.options = vec![0xff; 12];
    for state in [bad_index, bad_options] {
        let (namespace, _) =
            plan(AT, vec![state], &ViewDocuments::new(), true).expect_err("garbage");
        assert_eq!(namespace, "shop.orders");
    }
    for view in [
        rawdoc! { "_id": 1, "viewOn": "a" },
        rawdoc! { "_id": "other.v", "viewOn": "a" },
        rawdoc! { "_id": "shop.v" },
    ] {
        let documents = [("shop".to_owned(), vec![view.into_bytes()])].into();
        let (namespace, _) = plan(AT, Vec::new(), &documents, true).expect_err("no view");
        assert_eq!(namespace, "shop.system.views");
    }
}

#[test]
fn views_in_a_circle_are_refused_and_chains_are_not() {
    let view = |name: &str, on: &str| {
        let id = format!("shop.{name}");
        ("shop", rawdoc! { "_id": id, "viewOn": on, "pipeline": [] })
    };
    let chain = [view("a", "b"), view("b", "orders"), view("c", "b"), view("d", "d2")];
    assert_eq!(planned(Vec::new(), &chain).unfit, Vec::<String>::new());
    let circle = [view("a", "b"), view("b", "c"), view("c", "a"), view("d", "a"), view("e", "x")];
    let unfit = planned(Vec::new(), &circle).unfit;
    assert_eq!(unfit.len(), 1);
    assert!(unfit[0].starts_with("shop.a, shop.b, shop.c, shop.d: these views"), "{unfit:?}");
    let itself = planned(Vec::new(), &[view("a", "a")]).unfit;
    assert!(itself[0].starts_with("shop.a: "), "{itself:?}");
}
