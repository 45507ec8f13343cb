use std::ops::ControlFlow;

use bson::doc;
use hindsight_oplog::raw::Element;

use super::*;
use crate::{Cause, ReadError, Version};

#[test]
fn generations_do_not_leak_into_each_other() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "g": 1}, doc! {"_id": 2}]);
    fixture.run(&[(30, vec![Op::insert(doc! {"_id": 3})])], 40);
    fixture.load(100, 110, &[(CollectionState::new(UUID, NS), vec![doc! {"_id": 1, "g": 2}])]);
    let unread = fixture.history.reader_at(ts(105)).unwrap_err();
    assert!(unread.to_string().contains("the nearest before is 40,1"), "{unread}");
    fixture.run(&[(120, vec![Op::insert(doc! {"_id": 3, "again": true})])], 130);
    assert_eq!(fixture.scan(40, NS).len(), 3);
    assert_eq!(fixture.scan(110, NS), [doc! {"_id": 1, "g": 2}]);
    assert_eq!(fixture.scan(130, NS), [doc! {"_id": 1, "g": 2}, doc! {"_id": 3, "again": true}]);
    match fixture.history.reader_at(ts(70)).unwrap_err() {
        ReadError::OutOfWindow { nearest, .. } => {
            assert_eq!(nearest, [Some(ts(40)), Some(ts(110))]);
        }
        other => panic!("{other}"),
    }
    assert!(fixture.history.reader_at(ts(19)).is_err());
    assert!(fixture.history.reader_at(ts(131)).is_err());
}

#[test]
fn a_missing_collection_is_an_error_and_a_missing_document_is_not() {
    let fixture = Fixture::with_base(&[]);
    fixture.run(&[], 20);
    assert_eq!(fixture.get(20, NS, 1), None);
    let view = fixture.history.reader_at(ts(20)).unwrap();
    assert!(matches!(view.scan("shop.none"), Err(ReadError::NoSuchCollection { .. })));
    assert!(view.collection("shop.none").is_none());
    assert_eq!(view.collection(NS).unwrap().uuid, UUID);
}

/// Begins with each version, and finds what a walk from the very beginning finds from there on.
fn check_every_beginning(fixture: &Fixture, ns: &str, id: Element<'_>) {
    let from = |since| {
        let mut found = Vec::new();
        let mut visit = |v: Version<'_>| {
            found.push((v.generation, v.visible, v.document.map(parsed), v.cause));
            ControlFlow::Continue(())
        };
        fixture.history.versions_since(ns, id, since, &mut visit).unwrap();
        found
    };
    let all = from((0, Timestamp::ZERO));
    for version in &all {
        for since in [(version.0, version.1), (version.0, version.1.successor())] {
            let rest: Vec<_> = all.iter().filter(|it| (it.0, it.1) >= since).cloned().collect();
            assert_eq!(from(since), rest, "{since:?}");
        }
    }
}

fn versions(fixture: &Fixture, ns: &str, id: i32) -> Vec<(u32, Option<Document>, Cause)> {
    let key = bytes(doc! {"_id": id});
    let id = Doc::new(&key).unwrap().first().unwrap().unwrap();
    let mut versions = Vec::new();
    let mut visit = |v: Version<'_>| {
        versions.push((v.visible.seconds(), v.document.map(parsed), v.cause));
        ControlFlow::Continue(())
    };
    fixture.history.versions(ns, id, &mut visit).unwrap();
    let mut first = None;
    let mut one = |v: Version<'_>| {
        first = Some(v.visible.seconds());
        ControlFlow::Break(())
    };
    fixture.history.versions(ns, id, &mut one).unwrap();
    assert_eq!(first, versions.first().map(|version| version.0), "broken off after the first");
    check_every_beginning(fixture, ns, id);
    versions
}

#[test]
fn versions_follow_a_document_through_bases_and_names() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}, doc! {"_id": 2}]);
    let rename = doc! {"renameCollection": NS, "to": "shop.old", "stayTemp": false};
    fixture.run(
        &[
            (15, vec![Op::replace(2, doc! {"_id": 2, "n": 15})]),
            (18, vec![Op::replace(2, doc! {"_id": 2, "n": 18})]),
            (30, vec![Op::replace(1, doc! {"_id": 1, "n": 30})]),
            (40, vec![Op::delete(1)]),
            (50, vec![Op::insert(doc! {"_id": 1, "n": 50})]),
            (60, vec![Op::command("shop", Some(UUID), rename)]),
            (70, vec![Op::replace(1, doc! {"_id": 1, "n": 70})]),
        ],
        80,
    );
    assert_eq!(
        versions(&fixture, NS, 1),
        [
            (10, Some(doc! {"_id": 1}), Cause::Base),
            (30, Some(doc! {"_id": 1, "n": 30}), Cause::Entry),
            (40, None, Cause::Entry),
            (50, Some(doc! {"_id": 1, "n": 50}), Cause::Entry),
            (60, None, Cause::Unnamed),
        ]
    );
    assert_eq!(
        versions(&fixture, "shop.old", 1),
        [
            (60, Some(doc! {"_id": 1, "n": 50}), Cause::Named),
            (70, Some(doc! {"_id": 1, "n": 70}), Cause::Entry),
        ]
    );
    // Only the last version of the relaxed window counts.
    assert_eq!(
        versions(&fixture, NS, 2),
        [(18, Some(doc! {"_id": 2, "n": 18}), Cause::Entry), (60, None, Cause::Unnamed),]
    );
    assert_eq!(versions(&fixture, NS, 3), []);
}

#[test]
fn the_states_of_a_name_tell_its_collations() {
    let fixture = Fixture::with_base(&[]);
    let command = |uuid, o| Op::command("shop", Some([uuid; 16]), o);
    let create =
        |uuid, collation: Document| command(uuid, doc! {"create": "words", "collation": collation});
    fixture.run(
        &[
            (30, vec![create(8, doc! {"locale": "simple"})]),
            (40, vec![command(8, doc! {"drop": "words"})]),
            (50, vec![create(9, doc! {"locale": "fr", "strength": 1})]),
        ],
        60,
    );
    let states = fixture.history.states_named("shop.words");
    assert_eq!(states.len(), 2);
    let collations = states.iter().filter_map(|state| state.collation());
    let collations: Vec<Document> = collations.map(|it| parsed(it.as_bytes())).collect();
    assert_eq!(collations, [doc! {"locale": "fr", "strength": 1}]);
    assert!(fixture.history.states_named(NS).iter().all(|state| state.collation().is_none()));
}

#[test]
fn uncommitted_versions_do_not_show() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    let other = Op::command("shop", Some([8; 16]), doc! {"create": "other"});
    apply(&mut writer, 30, &[Op::delete(1), other]).unwrap();
    assert!(fixture.history.reader_at(ts(30)).is_err());
    writer.commit(Progress { through: ts(29), ..Progress::at(at(30)) }).unwrap();
    assert_eq!(versions(&fixture, NS, 1).len(), 1);
    assert_eq!(fixture.names(29), [NS]);
    assert_eq!(fixture.scan(29, NS).len(), 1);
    writer.commit(Progress::at(at(30))).unwrap();
    assert_eq!(versions(&fixture, NS, 1).len(), 2);
    assert_eq!(fixture.names(30), [NS, "shop.other"]);
}

#[test]
fn scans_pass_over_many_versions_either_side() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}, doc! {"_id": 2}, doc! {"_id": 3}]);
    let units: Vec<_> = (30..90_u32)
        .map(|second| (second, vec![Op::replace(2, doc! {"_id": 2, "n": i64::from(second)})]))
        .collect();
    fixture.run(&units, 100);
    for second in [20, 30, 31, 45, 60, 88, 89, 100] {
        let scanned = fixture.scan(second, NS);
        assert_eq!(scanned.len(), 3, "{second}");
        let n = scanned[1].get("n").and_then(Bson::as_i64);
        assert_eq!(n, (second >= 30).then(|| i64::from(second.min(89))), "{second}");
    }
}

fn id_key(id: impl Into<Bson>) -> Vec<u8> {
    let document = bytes(doc! {"_id": id.into()});
    let mut key = Vec::new();
    hindsight_oplog::id_key::encode(
        Doc::new(&document).unwrap().first().unwrap().unwrap(),
        &mut key,
    );
    key
}

fn after(view: &crate::View<'_>, id_key: Option<&[u8]>) -> Vec<Document> {
    view.scan_after(NS, id_key).unwrap().map(|bytes| parsed(&bytes.unwrap())).collect()
}

#[test]
fn a_scan_goes_on_after_any_id_there_or_not() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}, doc! {"_id": 3}, doc! {"_id": "a"}]);
    let mut units: Vec<_> = (30..60_u32)
        .map(|second| (second, vec![Op::replace(3, doc! {"_id": 3, "n": i64::from(second)})]))
        .collect();
    units.push((60, vec![Op::delete(1), Op::insert(doc! {"_id": "ab"})]));
    fixture.run(&units, 70);
    let view = fixture.history.reader_at(ts(70)).unwrap();
    let all = fixture.scan(70, NS);
    assert_eq!(all, [doc! {"_id": 3, "n": 59_i64}, doc! {"_id": "a"}, doc! {"_id": "ab"}]);
    let cases = [
        (id_key(1), 0),
        (id_key(2), 0),
        (id_key(3), 1),
        (id_key(3.0), 1),
        (id_key(4), 1),
        (id_key("a"), 2),
        (id_key("aa"), 2),
        (id_key("ab"), 3),
        (id_key(true), 3),
        (vec![0], 0),
        (vec![0xff; 40], 3),
    ];
    assert_eq!(after(&view, None), all);
    for (key, expected) in &cases {
        assert_eq!(after(&view, Some(key)), all[*expected..], "{key:?}");
    }
    // These are not keys of ids, and they cause no panic.
    after(&view, Some(b""));
    assert_eq!(view.get_by_key(NS, b"").unwrap(), None);
    assert_eq!(view.get_by_key(NS, &[0xff; 40]).unwrap(), None);
}

#[test]
fn what_a_scan_lends_is_what_is_found_under_the_key() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}, doc! {"_id": 2}, doc! {"_id": "x"}]);
    fixture.run(&[(30, vec![Op::replace(2, doc! {"_id": 2, "n": 1}), Op::delete(1)])], 40);
    for (second, expected) in
        [(20, vec![id_key(1), id_key(2), id_key("x")]), (40, vec![id_key(2), id_key("x")])]
    {
        let view = fixture.history.reader_at(ts(second)).unwrap();
        let mut scan = view.scan(NS).unwrap();
        let mut lookup = view.lookup(NS).unwrap();
        let mut keys = Vec::new();
        while let Some(scanned) = scan.next_document().unwrap() {
            assert_eq!(lookup.get(scanned.id_key).unwrap(), Some(scanned.document));
            keys.push(scanned.id_key.to_vec());
        }
        assert_eq!(keys, expected);
        assert!(scan.next_document().unwrap().is_none(), "it stays at its end");
        let gone = lookup.get(&id_key(1)).unwrap().is_none();
        assert_eq!(gone, second == 40);
    }
}

#[test]
fn a_capped_scan_lends_the_document_without_its_order() {
    let mut state = CollectionState::new(UUID, NS);
    state.options = bytes(doc! {"capped": true, "size": 4096});
    let fixture = Fixture::with_state(state, &[doc! {"_id": 2}, doc! {"_id": 1}]);
    fixture.run(&[], 20);
    let view = fixture.history.reader_at(ts(20)).unwrap();
    let mut scan = view.scan(NS).unwrap();
    let first = scan.next_document().unwrap().unwrap();
    assert_eq!(parsed(first.document), doc! {"_id": 1});
    assert_eq!(fixture.scan_natural(20, NS), [doc! {"_id": 2}, doc! {"_id": 1}]);
}

/// Returns for every name whether it exists before and after, and the names of the collection if
/// both are the same collection.
fn pairs(fixture: &Fixture, from: u32, to: u32) -> Vec<(String, bool, bool, Option<Vec<String>>)> {
    let before = fixture.history.reader_at(ts(from)).unwrap();
    let after = fixture.history.reader_at(ts(to)).unwrap();
    let pairs = before.pair_with(&after).into_iter();
    pairs
        .map(|pair| {
            let same = pair.same.map(|same| same.names);
            (pair.ns, pair.before.is_some(), pair.after.is_some(), same)
        })
        .collect()
}

#[test]
fn a_pair_is_one_collection_only_if_its_number_is_the_same() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let rename = |from: &str, to: &str| {
        Op::command("shop", Some(UUID), doc! {"renameCollection": from, "to": to})
    };
    let create = |ui| {
        Op::command("shop", Some([ui; 16]), doc! {"create": "log", "capped": true, "size": 4096})
    };
    fixture.run(
        &[
            (30, vec![rename(NS, "shop.old")]),
            (40, vec![rename("shop.old", NS)]),
            (50, vec![create(8)]),
            (60, vec![Op::command("shop", Some([8; 16]), doc! {"emptycapped": "log"})]),
            (70, vec![Op::command("shop", Some([8; 16]), doc! {"drop": "log"})]),
            (80, vec![create(9)]),
        ],
        90,
    );
    let both = || Some(vec!["shop.old".to_owned(), NS.to_owned()]);
    let of = |ns: &str, before, after, same| (ns.to_owned(), before, after, same);
    assert_eq!(pairs(&fixture, 20, 45), [of(NS, true, true, both())]);
    assert_eq!(
        pairs(&fixture, 20, 35),
        [of("shop.old", false, true, None), of(NS, true, false, None)]
    );
    let log = |same| of("shop.log", true, true, same);
    assert_eq!(pairs(&fixture, 50, 59)[0], log(Some(vec!["shop.log".to_owned()])));
    assert_eq!(pairs(&fixture, 50, 60)[0], log(None), "emptied");
    assert_eq!(pairs(&fixture, 60, 90)[0], log(None), "dropped and made again");
    assert_eq!(pairs(&fixture, 60, 75)[0], of("shop.log", true, false, None));
    fixture.load(100, 110, &[(CollectionState::new(UUID, NS), vec![])]);
    fixture.run(&[], 110);
    assert_eq!(pairs(&fixture, 45, 110)[0], of(NS, true, true, None), "another base");
}
