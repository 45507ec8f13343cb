use bson::doc;

use super::*;
use crate::{Cause, HistoryError, ReadError, Touched};

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

fn versions(fixture: &Fixture, ns: &str, id: i32) -> Vec<(u32, Option<Document>, Cause)> {
    let key = bytes(doc! {"_id": id});
    let id = Doc::new(&key).unwrap().first().unwrap().unwrap();
    let versions = fixture.history.versions(ns, id).unwrap();
    versions
        .into_iter()
        .map(|v| (v.visible.seconds(), v.document.map(|bytes| parsed(&bytes)), v.cause))
        .collect()
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
    // Of the relaxed window only the last version counts.
    assert_eq!(
        versions(&fixture, NS, 2),
        [(18, Some(doc! {"_id": 2, "n": 18}), Cause::Entry), (60, None, Cause::Unnamed),]
    );
    assert_eq!(versions(&fixture, NS, 3), []);
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
fn touched_tells_each_document_once_with_its_final_state() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}, doc! {"_id": 2}, doc! {"_id": 3}]);
    fixture.run(
        &[
            (30, vec![Op::replace(1, doc! {"_id": 1, "n": 1})]),
            (40, vec![Op::replace(1, doc! {"_id": 1, "n": 2}), Op::delete(2)]),
            (50, vec![Op::replace(1, doc! {"_id": 1, "n": 3}), Op::insert(doc! {"_id": 4})]),
        ],
        60,
    );
    let touched = |from, to| {
        let mut found = Vec::new();
        let visit = |touched: Touched| {
            assert_eq!((touched.uuid, touched.ns.as_str()), (UUID, NS));
            found.push(touched.document.map(|bytes| parsed(&bytes)));
            Ok::<_, HistoryError>(())
        };
        fixture.history.touched(1, ts(from), ts(to), visit).unwrap();
        found
    };
    assert_eq!(touched(29, 49), [Some(doc! {"_id": 1, "n": 2}), None]);
    assert_eq!(touched(40, 50), [Some(doc! {"_id": 1, "n": 3}), Some(doc! {"_id": 4})]);
    assert_eq!(touched(50, 60), []);
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
