//! What is forgotten, and what must not be.

use std::ops::ControlFlow;

use bson::doc;

use super::*;

fn set(id: i32, n: i32) -> Op {
    let diff = doc! {"$v": 2, "diff": {"u": {"n": n}}};
    Op { o2: Some(bytes(doc! {"_id": id})), ..Op::new(OpKind::Update, NS, diff) }
}

fn large(id: i32, n: i32) -> Document {
    doc! {"_id": id, "n": n, "body": "b".repeat(500)}
}

/// Returns how many versions and records of deletions the store holds, once it is compacted.
fn held(history: &History) -> (usize, usize) {
    history.flush().unwrap();
    history.db.compact_range(None::<&[u8]>, None::<&[u8]>);
    let mut numbers = history.db.raw_iterator_opt({
        let mut options = rocksdb::ReadOptions::default();
        options.set_total_order_seek(true);
        options
    });
    let (mut versions, mut deletions) = (0, 0);
    numbers.seek_to_first();
    while let Some(key) = numbers.key() {
        versions += usize::from(crate::key::is_version(key));
        deletions += usize::from(key.starts_with(crate::key::DELETED));
        numbers.next();
    }
    (versions, deletions)
}

/// A document that changes every second from 30 to 129, and one that is replaced in each of them.
fn busy() -> Fixture {
    let fixture = Fixture::with_base(&[large(1, 0), large(2, 0)]);
    let units = (30..130).map(|second| {
        let n = second as i32;
        (second, vec![set(1, n), Op::replace(2, large(2, n))])
    });
    fixture.run(&units.collect::<Vec<_>>(), 200);
    fixture
}

#[test]
fn times_from_the_horizon_on_read_as_before_and_earlier_times_are_refused() {
    let fixture = busy();
    let seconds = [100, 101, 129, 150, 200];
    let before: Vec<_> = seconds.iter().map(|at| fixture.scan(*at, NS)).collect();
    let all = held(&fixture.history).0;
    assert_eq!(all, 202);
    assert_eq!(fixture.history.forget_before(ts(100)).unwrap(), ts(100));
    let (left, _) = held(&fixture.history);
    assert!(left <= 29 + 65 + 29 + 2, "{left} of {all} versions");
    let after: Vec<_> = seconds.iter().map(|at| fixture.scan(*at, NS)).collect();
    assert_eq!(after, before);
    for second in [20, 99] {
        let error = fixture.history.reader_at(ts(second)).unwrap_err().to_string();
        assert!(error.contains("the oldest time that is kept is 100,1"), "{error}");
    }
    assert_eq!(fixture.history.generations()[0].window(), Some((ts(100), ts(200))));
}

#[test]
fn the_horizon_survives_a_crash_and_never_moves_back_or_past_the_end() {
    let fixture = busy();
    assert_eq!(fixture.history.forget_before(ts(100)).unwrap(), ts(100));
    let fixture = fixture.killed();
    assert_eq!(fixture.history.horizon(), ts(100));
    assert!(fixture.history.reader_at(ts(99)).is_err());
    assert_eq!(fixture.history.forget_before(ts(50)).unwrap(), ts(100));
    assert_eq!(fixture.history.forget_before(ts(5000)).unwrap(), ts(200));
    assert_eq!(fixture.get(200, NS, 1), Some(large(1, 129)));
}

#[test]
fn a_time_that_is_held_stays_readable_between_two_views() {
    let fixture = busy();
    let hold = fixture.history.hold(ts(100)).unwrap();
    assert_eq!(fixture.history.forget_before(ts(150)).unwrap(), ts(100));
    assert!(fixture.history.reader_at(ts(100)).is_ok());
    drop(hold);
    assert_eq!(fixture.history.forget_before(ts(150)).unwrap(), ts(150));
    assert!(fixture.history.hold(ts(100)).is_none());
}

#[test]
fn a_view_in_use_is_whole_until_it_is_dropped() {
    let fixture = busy();
    let view = fixture.history.reader_at(ts(40)).unwrap();
    let mut scan = view.scan(NS).unwrap();
    drop(view);
    assert_eq!(fixture.history.forget_before(ts(100)).unwrap(), ts(40));
    held(&fixture.history);
    assert_eq!(parsed(&scan.next().unwrap().unwrap()), large(1, 40));
    assert_eq!(parsed(&scan.next().unwrap().unwrap()), large(2, 40));
    assert!(fixture.history.reader_at(ts(39)).is_err());
    drop(scan);
    assert_eq!(fixture.history.forget_before(ts(100)).unwrap(), ts(100));
}

#[test]
fn deleted_documents_and_dropped_collections_leave_nothing() {
    let fixture = Fixture::with_base(&[large(1, 0), large(2, 0), large(3, 0)]);
    let other = [8; 16];
    let create = Op::command("shop", Some(other), doc! {"create": "other"});
    let units = [
        (30, vec![Op::delete(1), set(2, 5), create]),
        (31, vec![Op::insert(large(9, 1)).on("shop.other", other)]),
        (40, vec![Op::delete(2), Op::insert(large(2, 7))]),
        (50, vec![Op::delete(2), Op::command("shop", Some(other), doc! {"drop": "other"})]),
        (60, vec![Op::insert(large(2, 9))]),
    ];
    fixture.run(&units, 100);
    assert_eq!(held(&fixture.history), (9, 3));
    fixture.history.forget_before(ts(45)).unwrap();
    assert_eq!(fixture.scan(45, NS), [large(2, 7), large(3, 0)]);
    assert_eq!(fixture.scan(45, "shop.other"), [large(9, 1)]);
    assert_eq!(held(&fixture.history), (5, 1));
    fixture.history.forget_before(ts(55)).unwrap();
    // Documents 2 and 3. The deletion of 2, and everything under the other collection, are gone.
    assert_eq!(held(&fixture.history), (2, 0));
    assert_eq!(fixture.scan(55, NS), [large(3, 0)]);
    assert_eq!(fixture.scan(60, NS), [large(2, 9), large(3, 0)]);
    assert_eq!(fixture.names(55), [NS]);
    let fixture = fixture.killed();
    assert_eq!(fixture.scan(60, NS), [large(2, 9), large(3, 0)]);
    // What was forgotten can come again.
    fixture.run(&[(110, vec![Op::insert(large(1, 3)), set(2, 1)])], 120);
    assert_eq!(fixture.scan(120, NS), [large(1, 3), large(2, 1), large(3, 0)]);
}

#[test]
fn a_generation_that_ended_before_the_horizon_is_forgotten_whole() {
    let fixture = busy();
    fixture.load(300, 310, &[(CollectionState::new(UUID, NS), vec![large(5, 0)])]);
    fixture.run(&[], 400);
    fixture.history.forget_before(ts(320)).unwrap();
    let windows: Vec<_> = fixture.history.generations().iter().map(|it| it.window()).collect();
    assert_eq!(windows, [Some((ts(320), ts(400)))]);
    assert_eq!(held(&fixture.history), (1, 0));
    assert_eq!(fixture.scan(320, NS), [large(5, 0)]);
}

#[test]
fn all_versions_that_are_left_are_walked() {
    let fixture = busy();
    fixture.history.forget_before(ts(100)).unwrap();
    held(&fixture.history);
    for id in [1, 2] {
        let key = bytes(doc! {"_id": id});
        let id = Doc::new(&key).unwrap().first().unwrap().unwrap();
        let mut seen = Vec::new();
        let mut visit = |version: crate::Version<'_>| {
            seen.push(version.document.map(|it| parsed(it).get_i32("n").unwrap()));
            ControlFlow::Continue(())
        };
        fixture.history.versions(NS, id, &mut visit).unwrap();
        assert_eq!(seen, (100..130).map(Some).collect::<Vec<_>>());
    }
}

#[test]
fn the_writer_goes_on_with_documents_whose_older_versions_are_gone() {
    let fixture = busy();
    fixture.history.forget_before(ts(200)).unwrap();
    held(&fixture.history);
    fixture.run(&[(210, vec![set(1, 7), set(2, 8)]), (211, vec![Op::delete(1)])], 220);
    assert_eq!(fixture.get(210, NS, 1), Some(large(1, 7)));
    assert_eq!(fixture.scan(211, NS), [large(2, 8)]);
    assert_eq!(fixture.get(200, NS, 2), Some(large(2, 129)));
}
