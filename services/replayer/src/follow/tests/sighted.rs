//! Sightings of the catalog in the log.

use bson::{Document, doc};
use hindsight_form::index_name;
use hindsight_history::{Digest, Settings};
use hindsight_restore::Snapshot;
use hindsight_segment::CatalogSighting;

use super::super::shapes::{COLLECTION, noop};
use super::stage::{Stage, command, optime};
use super::*;
use crate::HistorySnapshot;

fn spec(name: &str) -> Document {
    doc! {"v": 2, "key": {name: 1}, "name": name}
}

/// The collection of the base with these indexes, as listed between two ticks.
fn sighted(from: u32, to: u32, indexes: &[&str]) -> CatalogSighting {
    let all = std::iter::once("_id_").chain(indexes.iter().copied());
    CatalogSighting {
        uuid: COLLECTION,
        ns: "shop.things".to_owned(),
        seen_from: optime(from).ts,
        seen_to: optime(to).ts,
        members: vec!["a:1".to_owned(), "b:1".to_owned()],
        options: doc! {}.to_vec().unwrap(),
        indexes: all.map(|name| spec(name).to_vec().unwrap()).collect(),
    }
}

fn create(index: &str) -> Document {
    command(doc! {"createIndexes": "things", "v": 2, "key": {index: 1}, "name": index})
}

/// The names of the indexes at a tick.
fn indexes(stage: &Stage, tick: u32) -> Vec<String> {
    let view = stage.follower.history.reader_at(optime(tick).ts).unwrap();
    let state = view.collection("shop.things").expect("it is there");
    state.indexes.iter().map(|spec| index_name(spec)).collect()
}

/// The digest of a history that is built anew from base and log.
fn rebuilt(stage: &Stage) -> Digest {
    let settings = Settings { cache_bytes: 1 << 20, ..Settings::default() };
    let follower = Follower {
        log: Arc::clone(&stage.follower.log),
        index: Arc::clone(&stage.follower.index),
        history: Arc::new(History::open(&stage.path("another"), settings).unwrap()),
        bases: stage.follower.bases.clone(),
        board: Board::default(),
        runtime: stage.follower.runtime.clone(),
    };
    follower.catch_up().unwrap();
    follower.history.digest().unwrap()
}

#[test]
fn an_index_that_no_entry_made_is_there_from_the_end_of_its_segment_on() {
    let mut stage = Stage::new();
    stage.append_with(&[(5, noop()), (7, noop())], &[sighted(4, 6, &["rolled"])]);
    stage.append(&[(9, noop())]);
    stage.follower.catch_up().unwrap();
    assert_eq!(indexes(&stage, 6), Vec::<String>::new());
    assert_eq!(indexes(&stage, 7), ["rolled"]);
    assert_eq!(indexes(&stage, 9), ["rolled"]);
    let observed = stage.follower.history.observed();
    let [observed] = &observed[..] else { panic!("{observed:?}") };
    assert_eq!((observed.at, observed.taken_up), (optime(7).ts, true));
    assert_eq!(observed.differences, ["index rolled is on the members, and no entry made it"]);
    for (tick, words) in [(6, "make up for it by hand"), (9, "as members of the source were seen")]
    {
        let snapshot = HistorySnapshot::new(Arc::clone(&stage.follower.history), optime(tick).ts);
        let warnings = snapshot.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("shop.things: index rolled"), "{warnings:?}");
        assert!(warnings[0].contains(words), "{warnings:?}");
    }
    assert_eq!(rebuilt(&stage), stage.follower.history.digest().unwrap());
}

#[test]
fn what_was_taken_up_is_there_after_a_restart_and_not_taken_up_twice() {
    let mut stage = Stage::new();
    stage.append_with(&[(5, noop())], &[sighted(4, 4, &["rolled"])]);
    stage.follower.catch_up().unwrap();
    let before = stage.follower.history.observed();
    // Opening the writer again reads the catalog from the store.
    stage.append_with(&[(8, noop())], &[sighted(6, 7, &["rolled"])]);
    stage.follower.catch_up().unwrap();
    assert_eq!(stage.follower.history.observed(), before, "it is as the members list it by now");
    assert_eq!(indexes(&stage, 8), ["rolled"]);
    stage.append(&[(9, command(doc! {"dropIndexes": "things", "index": "rolled"}))]);
    stage.follower.catch_up().unwrap();
    assert_eq!(indexes(&stage, 9), Vec::<String>::new());
    assert_eq!(rebuilt(&stage), stage.follower.history.digest().unwrap());
}

#[test]
fn a_listing_is_passed_over_when_an_entry_changed_the_collection_meanwhile() {
    let mut stage = Stage::new();
    // This was listed before the entry at tick 6 dropped the index.
    stage.append(&[(5, create("a"))]);
    let drop = || command(doc! {"dropIndexes": "things", "index": "a"});
    stage.append_with(&[(6, drop()), (7, noop())], &[sighted(5, 5, &["a"])]);
    // This was listed while the index was made again, on a member that was ahead of the log.
    stage.append_with(&[(8, noop()), (9, noop())], &[sighted(8, 10, &["a"])]);
    stage.append(&[(10, create("a"))]);
    stage.follower.catch_up().unwrap();
    assert_eq!(indexes(&stage, 5), ["a"]);
    assert_eq!(indexes(&stage, 7), Vec::<String>::new());
    assert_eq!(indexes(&stage, 9), Vec::<String>::new());
    assert_eq!(indexes(&stage, 10), ["a"]);
    assert_eq!(stage.follower.history.observed(), []);
}

#[test]
fn an_index_that_the_entries_made_and_the_members_lost_is_gone() {
    let mut stage = Stage::new();
    stage.append(&[(5, create("a")), (6, create("b"))]);
    stage.append_with(&[(9, noop())], &[sighted(7, 8, &["b"])]);
    stage.follower.catch_up().unwrap();
    assert_eq!(indexes(&stage, 6), ["a", "b"]);
    assert_eq!(indexes(&stage, 9), ["b"]);
}

#[test]
fn options_that_cannot_be_taken_up_are_told_once_and_change_nothing() {
    let mut stage = Stage::new();
    let mut capped = sighted(4, 4, &["rolled"]);
    capped.options = doc! {"capped": true, "size": 4096}.to_vec().unwrap();
    stage.append_with(&[(5, noop())], &[capped.clone()]);
    stage.append_with(&[(6, noop())], &[capped]);
    stage.follower.catch_up().unwrap();
    assert_eq!(indexes(&stage, 6), Vec::<String>::new());
    let observed = stage.follower.history.observed();
    assert_eq!(observed.len(), 1, "{observed:?}");
    assert!(!observed[0].taken_up);
    assert_eq!(observed[0].differences[0], "the options differ: capped, size");
}

#[test]
fn a_sighting_of_a_collection_that_is_gone_is_passed_over() {
    let mut stage = Stage::new();
    stage.append(&[(5, command(doc! {"drop": "things"}))]);
    stage.append_with(&[(6, noop())], &[sighted(4, 4, &["rolled"])]);
    stage.follower.catch_up().unwrap();
    assert_eq!(stage.follower.history.observed(), []);
}
