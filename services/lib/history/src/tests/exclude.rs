//! Collections that are left out.

use bson::doc;
use hindsight_oplog::NamespacePattern;

use super::*;
use crate::{HistoryError, ReadError};

const LOGS: &str = "logs.hits";
const LOGS_UUID: [u8; 16] = [8; 16];

fn open(dir: &TempDir, excluded: Option<&[&str]>) -> Result<History, HistoryError> {
    let excluded = excluded.map(|all| all.iter().map(|it| NamespacePattern::parse(it)).collect());
    History::open(dir.path(), Settings { excluded, ..settings() })
}

/// A base of a collection that is kept and of one that is left out.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir, Some(&["logs.*"])).unwrap();
    let fixture = Fixture { dir, history };
    let kept = (CollectionState::new(UUID, NS), vec![doc! {"_id": 1}]);
    let left_out = (CollectionState::new(LOGS_UUID, LOGS), vec![doc! {"_id": 1}]);
    fixture.load(10, 20, &[kept, left_out]);
    fixture
}

fn is_excluded(fixture: &Fixture, seconds: u32, ns: &str) -> bool {
    let view = fixture.history.reader_at(ts(seconds)).unwrap();
    let scanned = view.scan(ns).err();
    let listed = view.collection(ns).is_some_and(|state| state.excluded);
    assert_eq!(matches!(scanned, Some(ReadError::Excluded { .. })), listed, "{ns}: {scanned:?}");
    listed
}

#[test]
fn writes_to_what_is_left_out_are_passed_over_under_every_name() {
    let fixture = fixture();
    let on = |op: Op, ns: &str| op.on(ns, LOGS_UUID);
    // None of these would be accepted elsewhere: the documents are missing, or exist.
    let odd = vec![
        on(Op::insert(doc! {"_id": 1}), LOGS),
        on(Op::delete(99), LOGS),
        on(Op::replace(98, doc! {"_id": 98}), LOGS),
    ];
    let rename =
        Op::command("logs", Some(LOGS_UUID), doc! {"renameCollection": LOGS, "to": "shop.hits"});
    let later = vec![on(Op::insert(doc! {"_id": 2}), "shop.hits"), Op::insert(doc! {"_id": 2})];
    fixture.run(&[(30, odd), (40, vec![rename]), (50, later)], 60);
    assert!(is_excluded(&fixture, 35, LOGS));
    assert!(is_excluded(&fixture, 55, "shop.hits"), "it keeps this through a rename");
    assert!(!is_excluded(&fixture, 55, NS));
    assert_eq!(fixture.scan(55, NS), [doc! {"_id": 1}, doc! {"_id": 2}]);
}

#[test]
fn a_collection_is_left_out_from_its_creation_on() {
    let fixture = fixture();
    let create = |ns: &str, uuid: u8| {
        let (database, name) = ns.split_once('.').unwrap();
        Op::command(database, Some([uuid; 16]), doc! {"create": name})
    };
    let rename = doc! {"renameCollection": "shop.new", "to": "logs.new"};
    let rename = Op::command("shop", Some([21; 16]), rename);
    let insert = Op::insert(doc! {"_id": 1}).on("logs.new", [21; 16]);
    let units = [
        (30, vec![create("logs.other", 20)]),
        (31, vec![create("shop.new", 21)]),
        (32, vec![rename]),
        (33, vec![insert]),
    ];
    fixture.run(&units, 40);
    assert!(is_excluded(&fixture, 40, "logs.other"));
    assert!(!is_excluded(&fixture, 40, "logs.new"), "all of it is known");
    assert_eq!(fixture.scan(40, "logs.new"), [doc! {"_id": 1}]);
}

#[test]
fn a_store_is_rebuilt_when_the_settings_change_unless_times_would_be_lost() {
    let fixture = fixture();
    fixture.run(&[], 60);
    let Fixture { dir, history } = fixture;
    drop(history);
    let history = open(&dir, None).unwrap();
    assert_eq!(history.generations().len(), 1, "as before");
    drop(history);
    let history = open(&dir, Some(&["logs.*"])).unwrap();
    assert_eq!(history.generations().len(), 1, "the same");
    history.forget_before(ts(50)).unwrap();
    drop(history);
    let refused = open(&dir, Some(&[])).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("leaves out logs.*, and the settings say nothing"), "{text}");

    let fixture = self::fixture();
    drop(fixture.history);
    let history = open(&fixture.dir, Some(&[])).unwrap();
    assert!(history.generations().is_empty() && history.excluded.is_empty());
}

#[test]
fn a_store_that_let_older_bases_go_is_not_emptied() {
    let fixture = fixture();
    fixture.run(&[], 60);
    fixture.history.rest_where_it_is().unwrap();
    let Fixture { dir, history } = fixture;
    drop(history);
    assert!(open(&dir, Some(&["other.*"])).is_err());
    assert_eq!(open(&dir, None).unwrap().generations().len(), 1);
}

#[test]
fn the_order_of_patterns_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir, Some(&["b.*", "a.x", "b.*"])).unwrap();
    let fixture = Fixture { dir, history };
    fixture.load(10, 20, &[]);
    fixture.run(&[], 60);
    let Fixture { dir, history } = fixture;
    drop(history);
    assert_eq!(open(&dir, Some(&["a.x", "b.*"])).unwrap().generations().len(), 1);
}

#[test]
fn a_store_that_is_being_emptied_is_not_taken_for_whole_after_a_crash() {
    let fixture = fixture();
    fixture.run(&[], 60);
    let whole = fixture.history.generations()[0].id;
    fixture.history.note_unfinished(whole).unwrap();
    let fixture = fixture.killed();
    assert!(fixture.history.generations().is_empty());
}
