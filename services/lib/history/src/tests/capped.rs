//! Capped collections of sources that do not log what they trim.

use bson::{Document, doc};

use super::*;

const VERSIONS: &str = "admin.system.version";
const VERSIONS_UUID: [u8; 16] = [8; 16];

/// A document of 100 bytes.
fn hundred(id: i32) -> Document {
    let filler = 100 - bytes(doc! {"_id": id, "f": ""}).len();
    doc! {"_id": id, "f": "x".repeat(filler)}
}

fn insert(id: i32) -> Op {
    Op::insert(hundred(id))
}

fn feature_version(version: &str) -> Document {
    doc! {"_id": "featureCompatibilityVersion", "version": version}
}

fn set_version(version: &str) -> Op {
    Op::replace("featureCompatibilityVersion", feature_version(version)).on(VERSIONS, VERSIONS_UUID)
}

/// A source of this version, with a capped collection that holds some documents.
fn source(version: &str, options: Document, ids: impl IntoIterator<Item = i32>) -> Fixture {
    let capped = CollectionState { options: bytes(options), ..CollectionState::new(UUID, NS) };
    let versions = CollectionState::new(VERSIONS_UUID, VERSIONS);
    let fixture = Fixture::empty();
    let documents = ids.into_iter().map(hundred).collect();
    fixture.load(10, 20, &[(capped, documents), (versions, vec![feature_version(version)])]);
    fixture
}

fn of_512_bytes() -> Document {
    doc! {"capped": true, "size": 512}
}

fn ids(fixture: &Fixture, seconds: u32) -> Vec<i32> {
    let documents = fixture.scan_natural(seconds, NS);
    documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

#[test]
fn the_oldest_go_when_an_insert_makes_it_too_large() {
    let fixture = source("4.4", of_512_bytes(), [9, 3, 5]);
    let big = doc! {"_id": 6, "f": "x".repeat(350)};
    fixture.run(
        &[
            (30, vec![insert(8), insert(1)]),
            (40, vec![insert(2)]),
            (50, vec![Op::insert(big)]),
            // Removed once and inserted again, so at the end.
            (60, vec![insert(9)]),
        ],
        70,
    );
    assert_eq!(ids(&fixture, 29), [9, 3, 5]);
    assert_eq!(ids(&fixture, 30), [9, 3, 5, 8, 1]);
    assert_eq!(ids(&fixture, 40), [3, 5, 8, 1, 2]);
    assert_eq!(ids(&fixture, 50), [2, 6]);
    assert_eq!(ids(&fixture, 60), [6, 9]);
    assert_eq!(fixture.get(39, NS, 9), Some(hundred(9)));
    assert_eq!(fixture.get(40, NS, 9), None);
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let options = doc! {"capped": true, "size": 4096, "max": 3};
    let fixture = source("4.2", options, [9, 3, 5]);
    fixture.run(&[(30, vec![insert(1)]), (40, vec![insert(2), insert(4)])], 70);
    assert_eq!(ids(&fixture, 30), [3, 5, 1]);
    assert_eq!(ids(&fixture, 40), [1, 2, 4]);
}

#[test]
fn size_is_rounded_up_as_servers_do_and_no_max_is_none() {
    let options = doc! {"capped": true, "size": 257, "max": 0};
    let fixture = source("4.4", options, [1, 2, 3, 4]);
    fixture.run(&[(30, vec![insert(5)]), (40, vec![insert(6)])], 70);
    assert_eq!(ids(&fixture, 30), [1, 2, 3, 4, 5]);
    assert_eq!(ids(&fixture, 40), [2, 3, 4, 5, 6]);
}

#[test]
fn from_5_0_on_only_the_log_removes_something() {
    let fixture = source("5.0", of_512_bytes(), 0..5);
    fixture.run(&[(30, vec![insert(5)]), (31, vec![Op::delete(0)])], 70);
    assert_eq!(ids(&fixture, 30), [0, 1, 2, 3, 4, 5]);
    assert_eq!(ids(&fixture, 31), [1, 2, 3, 4, 5]);
}

#[test]
fn a_change_of_the_feature_version_starts_and_stops_it() {
    let fixture = source("5.0", of_512_bytes(), 0..5);
    let mut writer = fixture.history.writer().unwrap();
    let units = [
        (30, vec![insert(5)]),
        (31, vec![set_version("4.4")]),
        // What is not committed counts, too.
        (32, vec![insert(6)]),
        (33, vec![set_version("5.0")]),
        (34, vec![insert(7), insert(8)]),
        (35, vec![Op::delete(2)]),
        (36, vec![set_version("4.4")]),
        (37, vec![insert(9)]),
    ];
    for (seconds, ops) in units {
        apply(&mut writer, seconds, &ops).unwrap();
    }
    writer.commit(Progress::at(at(40))).unwrap();
    assert_eq!(ids(&fixture, 31), [0, 1, 2, 3, 4, 5]);
    assert_eq!(ids(&fixture, 32), [2, 3, 4, 5, 6]);
    assert_eq!(ids(&fixture, 35), [3, 4, 5, 6, 7, 8]);
    assert_eq!(ids(&fixture, 37), [5, 6, 7, 8, 9]);
}

#[test]
fn it_comes_out_the_same_however_often_the_writer_begins_again() {
    let units = |version: &str| {
        let mut units: Vec<_> = (0..120).map(|id| (30 + 2 * id, vec![insert(id as i32)])).collect();
        units.insert(40, (109, vec![set_version("5.0")]));
        units.insert(60, (147, vec![set_version(version)]));
        units.insert(
            70,
            (165, vec![Op::command("shop", Some(UUID), doc! {"emptycapped": "orders"})]),
        );
        units
    };
    let at_once = source("4.4", of_512_bytes(), 500..503);
    at_once.run(&units("4.4"), 300);
    let step_by_step = source("4.4", of_512_bytes(), 500..503);
    for (seconds, ops) in units("4.4") {
        step_by_step.run(&[(seconds, ops)], seconds);
    }
    step_by_step.run(&[], 300);
    assert_eq!(ids(&at_once, 300), [115, 116, 117, 118, 119]);
    assert_eq!(at_once.history.digest().unwrap(), step_by_step.history.digest().unwrap());
}

#[test]
fn in_the_relaxed_window_the_base_may_be_ahead() {
    // The base saw 0 to 4 first, and 5 to 7 after the inserts that removed 0 to 2.
    let fixture = source("4.4", of_512_bytes(), 0..8);
    fixture.run(
        &[
            // Removed before the base was read.
            (11, vec![Op::replace(-1, hundred(-1))]),
            (12, vec![insert(5)]),
            (13, vec![insert(6), insert(7)]),
        ],
        20,
    );
    assert_eq!(ids(&fixture, 20), [3, 4, 5, 6, 7]);
}

#[test]
fn the_source_may_have_held_a_little_more_or_less() {
    let fixture = source("4.4", of_512_bytes(), 0..5);
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    // A failed insert removed 1 at the source.
    apply(&mut writer, 30, &[insert(1)]).unwrap();
    // The source still has 2.
    apply(&mut writer, 31, &[insert(6), insert(7)]).unwrap();
    apply(&mut writer, 32, &[Op::replace(2, hundred(2))]).unwrap();
    assert_eq!(writer.counts().tolerated, 2);
    writer.commit(Progress::at(at(40))).unwrap();
    assert_eq!(ids(&fixture, 30), [0, 2, 3, 4, 1]);
    assert_eq!(ids(&fixture, 40), [3, 4, 1, 6, 7]);
}
