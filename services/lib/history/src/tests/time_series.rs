//! The mark of buckets that may hold mixed types. The commands that set it are as 5.0.4, 6.0.5,
//! 6.0.27 and 7.0.28 log them.

use bson::{Document, doc};

use super::*;

const VERSIONS: &str = "admin.system.version";
const VERSIONS_UUID: [u8; 16] = [8; 16];
const ORDINARY: [u8; 16] = [9; 16];
const FEATURE_VERSION: &str = "featureCompatibilityVersion";

fn version(fields: Document) -> Document {
    let mut document = doc! {"_id": FEATURE_VERSION};
    document.extend(fields);
    document
}

fn set_version(fields: Document) -> Op {
    Op::replace(FEATURE_VERSION, version(fields)).on(VERSIONS, VERSIONS_UUID)
}

fn series() -> Document {
    doc! {"clusteredIndex": true, "timeseries": {"timeField": "t"}}
}

fn marked(mark: bool) -> Document {
    let config = format!("app_metadata=(timeseriesBucketsMayHaveMixedSchemaData={mark})");
    let mut options = doc! {"storageEngine": {"wiredTiger": {"configString": config}}};
    options.extend(series());
    options
}

fn coll_mod() -> Op {
    Op::command("shop", Some(UUID), doc! {"collMod": "system.buckets.orders"})
}

fn coll_mod_with_mark(mark: bool) -> Op {
    let told = doc! {
        "collectionOptions_old": {},
        "backwardsIncompatibleCollModParameters": {"timeseriesBucketsMayHaveMixedSchemaData": mark},
    };
    Op { o2: Some(bytes(told)), ..coll_mod() }
}

fn source(feature_version: &str) -> Fixture {
    let fixture = Fixture::empty();
    let buckets = CollectionState { options: bytes(series()), ..CollectionState::new(UUID, NS) };
    let versions = CollectionState::new(VERSIONS_UUID, VERSIONS);
    let ordinary = CollectionState::new(ORDINARY, "shop.ordinary");
    let version = version(doc! {"version": feature_version});
    fixture.load(10, 20, &[(buckets, vec![]), (ordinary, vec![]), (versions, vec![version])]);
    fixture
}

fn options(fixture: &Fixture, seconds: u32, ns: &str) -> Document {
    parsed(&fixture.history.reader_at(ts(seconds)).unwrap().collection(ns).unwrap().options)
}

#[test]
fn going_from_5_0_to_6_0_marks_every_time_series() {
    let fixture = source("5.0");
    let ordinary = Op::command("shop", Some(ORDINARY), doc! {"collMod": "ordinary"});
    fixture.run(
        &[
            (30, vec![coll_mod()]),
            (40, vec![set_version(doc! {"version": "5.0", "targetVersion": "6.0"})]),
            (50, vec![coll_mod(), ordinary]),
            (60, vec![set_version(doc! {"version": "6.0"})]),
            (
                70,
                vec![set_version(
                    doc! {"version": "5.0", "targetVersion": "5.0", "previousVersion": "6.0"},
                )],
            ),
            (80, vec![coll_mod()]),
        ],
        90,
    );
    assert_eq!(options(&fixture, 49, NS), series());
    for seconds in [50, 60, 90] {
        assert_eq!(options(&fixture, seconds, NS), marked(true));
    }
    assert_eq!(options(&fixture, 90, "shop.ordinary"), doc! {});
}

#[test]
fn other_changes_of_version_mark_nothing() {
    let fixture = source("6.0");
    fixture.run(
        &[
            (30, vec![coll_mod()]),
            (40, vec![set_version(doc! {"version": "6.0", "targetVersion": "7.0"})]),
            (50, vec![coll_mod()]),
            (60, vec![set_version(doc! {"version": "7.0"})]),
            (
                70,
                vec![set_version(
                    doc! {"version": "6.0", "targetVersion": "6.0", "previousVersion": "7.0"},
                )],
            ),
            (80, vec![coll_mod()]),
        ],
        90,
    );
    assert_eq!(options(&fixture, 90, NS), series());
}

#[test]
fn a_coll_mod_tells_the_mark_in_its_second_document_alone() {
    let fixture = source("6.0");
    fixture.run(
        &[
            (30, vec![coll_mod_with_mark(true)]),
            (40, vec![coll_mod()]),
            (50, vec![coll_mod_with_mark(false)]),
        ],
        60,
    );
    assert_eq!(options(&fixture, 29, NS), series());
    assert_eq!(options(&fixture, 40, NS), marked(true));
    assert_eq!(options(&fixture, 60, NS), marked(false));
}
