//! What servers from 8.1 to 9.0 write. No such server was available: the entries are made by hand
//! from the server's source, and the options and definitions that they must make were read from
//! 6.0.27.

use bson::{Bson, Document, doc};

use super::*;

const VIEWS: [u8; 16] = [3; 16];
const BUCKETS: &str = "shop.system.buckets.w";

fn collation() -> Document {
    doc! {"locale": "en", "strength": 2}
}

fn validator() -> Document {
    let bound = || doc! {"bsonType": "object", "required": ["t"], "properties": {"t": {"bsonType": "date"}}};
    doc! {"$jsonSchema": {
        "bsonType": "object", "required": ["_id", "control", "data"],
        "properties": {
            "_id": {"bsonType": "objectId"},
            "control": {
                "bsonType": "object", "required": ["version", "min", "max"],
                "properties": {
                    "version": {"bsonType": "number"}, "min": bound(), "max": bound(),
                    "closed": {"bsonType": "bool"}, "count": {"bsonType": "number", "minimum": 1},
                },
                "additionalProperties": false,
            },
            "data": {"bsonType": "object"}, "meta": {},
        },
        "additionalProperties": false,
    }}
}

fn options(validator: Option<Document>) -> Document {
    let mut options = Document::new();
    options.extend(validator.map(|it| ("validator".to_owned(), Bson::Document(it))));
    options.extend(doc! {
        "collation": collation(), "clusteredIndex": true,
        "timeseries": {
            "timeField": "t", "metaField": "m", "granularity": "seconds",
            "bucketMaxSpanSeconds": 3600,
        },
    });
    options
}

fn view() -> Document {
    let unpack = doc! {"timeField": "t", "metaField": "m", "bucketMaxSpanSeconds": 3600};
    doc! {
        "_id": "shop.w", "viewOn": "system.buckets.w",
        "pipeline": [{"$_internalUnpackBucket": unpack}], "collation": collation(),
    }
}

fn convert(fields: Document) -> Op {
    let mut o = doc! {"upgradeDowngradeViewlessTimeseries": "w"};
    o.extend(fields);
    Op::command("shop", Some(UUID), o)
}

fn collection(at: u32, fixture: &Fixture, ns: &str) -> Option<(Vec<u8>, [u8; 16])> {
    let view = fixture.history.reader_at(ts(at)).unwrap();
    view.collection(ns).map(|state| (state.options.clone(), state.uuid))
}

fn timeseries() -> Fixture {
    let fixture = Fixture::empty();
    let buckets = CollectionState {
        options: bytes(options(Some(validator()))),
        ..CollectionState::new(UUID, BUCKETS)
    };
    let views = CollectionState::new(VIEWS, "shop.system.views");
    let other = doc! {"_id": "shop.v", "viewOn": "c", "pipeline": []};
    fixture.load(10, 20, &[(buckets, vec![doc! {"_id": 1}]), (views, vec![view(), other])]);
    fixture
}

#[test]
fn a_time_series_collection_survives_the_upgrade_and_the_downgrade() {
    let fixture = timeseries();
    let on = |ns: &str, id: i32| Op::insert(doc! {"_id": id}).on(ns, UUID);
    fixture.run(
        &[
            (30, vec![convert(doc! {"isUpgrade": true})]),
            (35, vec![on("shop.w", 2)]),
            (40, vec![convert(doc! {"isUpgrade": false})]),
            (45, vec![on(BUCKETS, 3)]),
        ],
        50,
    );
    let legacy = Some((bytes(options(Some(validator()))), UUID));
    let viewless = Some((bytes(options(None)), UUID));
    let definition = |at| fixture.get(at, "shop.system.views", "shop.w").map(bytes);
    for at in [29, 45] {
        assert_eq!(collection(at, &fixture, BUCKETS), legacy, "{at}");
        assert_eq!(collection(at, &fixture, "shop.w"), None, "{at}");
        assert_eq!(definition(at), Some(bytes(view())), "{at}");
    }
    assert_eq!(collection(39, &fixture, "shop.w"), viewless);
    assert_eq!(collection(39, &fixture, BUCKETS), None);
    assert_eq!(definition(39), None);
    assert_eq!(fixture.scan(39, "shop.w"), [doc! {"_id": 1}, doc! {"_id": 2}]);
    assert_eq!(fixture.scan(45, BUCKETS).len(), 3);
    assert!(fixture.get(39, "shop.system.views", "shop.v").is_some());
}

#[test]
fn a_conversion_that_a_base_holds_already_changes_nothing_more() {
    let fixture = Fixture::empty();
    let state =
        CollectionState { options: bytes(options(None)), ..CollectionState::new(UUID, "shop.w") };
    let views = CollectionState::new(VIEWS, "shop.system.views");
    fixture.load(10, 20, &[(state, vec![]), (views, vec![])]);
    fixture.run(&[(15, vec![convert(doc! {"isUpgrade": true})])], 30);
    assert_eq!(collection(30, &fixture, "shop.w"), Some((bytes(options(None)), UUID)));
}

#[test]
fn a_shard_without_the_view_is_converted_without_it() {
    let fixture = timeseries();
    fixture.run(&[(30, vec![convert(doc! {"isUpgrade": true})])], 31);
    let back = convert(doc! {"isUpgrade": false, "skipViewCreation": true});
    fixture.run(&[(40, vec![back])], 41);
    assert_eq!(fixture.get(41, "shop.system.views", "shop.w"), None);
    assert!(collection(41, &fixture, BUCKETS).is_some());
}

#[test]
fn a_conversion_that_does_not_fit_ends_the_history() {
    let plain = Fixture::with_state(CollectionState::new(UUID, "shop.w"), &[]);
    let error = plain.strict(convert(doc! {"isUpgrade": true}));
    assert!(matches!(error, Err(ApplyError::Inconsistent { .. })), "{error:?}");
    let error = timeseries().strict(convert(doc! {}));
    assert!(matches!(error, Err(ApplyError::Unsupported { .. })), "{error:?}");
}

#[test]
fn bookkeeping_of_newer_servers_changes_nothing() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let mut ops = vec![Op::new(OpKind::Bookkeeping, "", doc! {"k": 1_i64, "v": 2}).on("", None)];
    for o in [
        doc! {"initReplicatedFastCount": 1},
        doc! {"setAllowChunkOperations": "orders", "allow": true},
        doc! {"updateCollectionMetadata": "orders"},
        doc! {"invalidateCollectionMetadata": "orders", "forDroppedCollection": false},
        doc! {"createDatabaseMetadata": "shop"},
        doc! {"dropIdent": "collection-7"},
        doc! {"endOfTransaction": 1},
    ] {
        ops.push(Op::command("shop", None, o));
    }
    fixture.run(&[(30, ops)], 31);
    assert_eq!(fixture.scan(31, NS), [doc! {"_id": 1}]);
    assert_eq!(fixture.names(31), [NS]);
}

#[test]
fn a_validator_may_have_a_level_and_an_action_that_are_new() {
    let fixture = Fixture::with_base(&[]);
    let change = doc! {
        "collMod": "orders", "validator": {"x": 1}, "validationLevel": "constraint",
        "validationAction": "errorAndLog",
    };
    fixture.run(&[(30, vec![Op::command("shop", Some(UUID), change)])], 31);
    let wanted = doc! {
        "validator": {"x": 1}, "validationLevel": "constraint", "validationAction": "errorAndLog",
    };
    assert_eq!(collection(31, &fixture, NS).unwrap().0, bytes(wanted));
}

/// Unless the operator names it, an unknown command ends the history, and the error names it.
#[test]
fn what_is_unknown_is_skipped_only_by_name() {
    let unknown = || Op::command("shop", None, doc! {"newThing": "orders"});
    let error = Fixture::with_base(&[]).strict(unknown()).unwrap_err();
    assert!(matches!(&error, ApplyError::Unknown { name, .. } if name == "newThing"), "{error}");
    assert!(error.to_string().contains("it can be skipped"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let skipped = ["newThing", "xz"].map(str::to_owned).into();
    let history = History::open(dir.path(), Settings { skipped, ..settings() }).unwrap();
    let fixture = Fixture { dir, history };
    fixture.load(10, 20, &[(CollectionState::new(UUID, NS), vec![])]);
    let operation = Op { code: b"xz", ..Op::new(OpKind::Unknown, NS, doc! {"k": 1}) };
    fixture.run(&[(30, vec![unknown(), operation.clone(), unknown()])], 31);
    let counts: Vec<_> = fixture.history.skipped().into_iter().collect();
    assert_eq!(counts, [("newThing".to_owned(), 2), ("xz".to_owned(), 1)]);
    let mut writer = fixture.history.writer().unwrap();
    let other = Op { code: b"xy", ..operation };
    let error = apply(&mut writer, 40, &[other]).unwrap_err().to_string();
    assert!(error.contains("\"xy\""), "{error}");
}
