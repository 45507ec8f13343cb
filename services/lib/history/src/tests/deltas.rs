//! Versions that are stored as the updates they were.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bson::doc;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::value::{self, Stored};
use crate::{HistoryError, key};

fn set(id: i32, fields: Document) -> Op {
    let diff = doc! {"$v": 2, "diff": {"u": fields}};
    Op { o2: Some(bytes(doc! {"_id": id})), ..Op::new(OpKind::Update, NS, diff) }
}

fn large(id: i32) -> Document {
    doc! {"_id": id, "n": 0, "body": "b".repeat(3000)}
}

fn number(document: &Document, name: &str) -> i32 {
    document.get_i32(name).unwrap()
}

/// Returns every version of the store, whole documents as `true`, newest first within a document.
fn stored(history: &History) -> Vec<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    let mut versions = history.versions_of(1);
    while let Some((key, bytes)) = versions.item() {
        all.push((key.to_vec(), !value::is_delta(bytes)));
        versions.next();
    }
    all
}

/// Returns every version of a document, oldest first.
fn versions(history: &History, id: i32) -> Result<Vec<(u32, Option<Document>)>, HistoryError> {
    let key = bytes(doc! {"_id": id});
    let id = Doc::new(&key).unwrap().first().unwrap().unwrap();
    let mut found = Vec::new();
    history.versions(NS, id, &mut |version| {
        found.push((version.visible.seconds(), version.document.map(parsed)));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

#[test]
fn small_updates_are_stored_as_deltas_and_whole_documents_come_often_enough() {
    let fixture = Fixture::with_base(&[large(1)]);
    let units: Vec<_> = (30..330).map(|n| (n, vec![set(1, doc! {"n": n as i32})])).collect();
    fixture.run(&units, 400);
    let stored = stored(&fixture.history);
    assert_eq!(stored.len(), 301);
    let whole = stored.iter().filter(|(_, is_whole)| *is_whole).count();
    assert_eq!(whole, 1 + 300 / 65, "one of 65 versions is whole");
    for second in [30, 93, 94, 95, 200, 329] {
        let expected = doc! {"_id": 1, "n": second as i32, "body": "b".repeat(3000)};
        assert_eq!(fixture.get(second, NS, 1), Some(expected.clone()), "{second}");
        assert_eq!(fixture.scan(second, NS), [expected]);
    }
}

#[test]
fn deltas_longer_than_their_document_make_it_whole() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "s": "x".repeat(200)}]);
    let units: Vec<_> =
        (30..40).map(|n| (n, vec![set(1, doc! {"s": n.to_string().repeat(50)})])).collect();
    fixture.run(&units, 50);
    let whole: Vec<bool> = stored(&fixture.history).into_iter().map(|it| it.1).rev().collect();
    assert_eq!(whole[..5], [true, true, true, true, true], "{whole:?}");
}

#[test]
fn two_updates_at_one_time_leave_a_whole_document() {
    let fixture = Fixture::with_base(&[large(1)]);
    let twice = vec![set(1, doc! {"n": 1}), set(1, doc! {"m": 2})];
    fixture.run(&[(30, vec![set(1, doc! {"n": 9})]), (31, twice)], 40);
    let whole: Vec<bool> = stored(&fixture.history).into_iter().map(|it| it.1).collect();
    assert_eq!(whole, [true, false, true]);
    let document = fixture.get(31, NS, 1).unwrap();
    assert_eq!((number(&document, "n"), number(&document, "m")), (1, 2));
}

#[test]
fn an_update_at_the_time_of_the_base_leaves_a_whole_document() {
    let fixture = Fixture::with_base(&[large(1)]);
    // The transaction was prepared before the base's start, and goes on top of the base.
    let mut writer = fixture.history.writer().unwrap();
    writer.apply(ts(5), at(12), [set(1, doc! {"n": 7}).view()]).unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    drop(writer);
    assert_eq!(number(&fixture.get(20, NS, 1).unwrap(), "n"), 7);
    assert!(stored(&fixture.history).iter().all(|it| it.1));
}

#[test]
fn versions_in_capped_collections_are_whole() {
    let options = doc! {"capped": true, "size": 100_000};
    let state = CollectionState { options: bytes(options), ..CollectionState::new(UUID, NS) };
    let fixture = Fixture::with_state(state, &[large(1)]);
    fixture.run(&[(30, vec![set(1, doc! {"n": 1})])], 40);
    assert!(stored(&fixture.history).iter().all(|it| it.1));
    assert_eq!(number(&fixture.scan_natural(30, NS)[0], "n"), 1);
}

#[test]
fn a_delta_without_its_version_is_corruption_and_no_document() {
    let fixture = Fixture::with_base(&[large(1)]);
    let units: Vec<_> = (30..40).map(|n| (n, vec![set(1, doc! {"n": n as i32})])).collect();
    fixture.run(&units, 50);
    let mut missing = stored(&fixture.history).remove(4).0;
    fixture.history.db.delete(&missing).unwrap();
    let key = bytes(doc! {"_id": 1});
    let id = Doc::new(&key).unwrap().first().unwrap().unwrap();
    for second in [36, 39] {
        let view = fixture.history.reader_at(ts(second)).unwrap();
        let error = view.get(NS, id).unwrap_err().to_string();
        assert!(error.contains("a delta without the version"), "{error}");
        assert!(view.scan(NS).unwrap().next().unwrap().is_err());
    }
    assert!(versions(&fixture.history, 1).is_err());
    assert_eq!(number(&fixture.get(34, NS, 1).unwrap(), "n"), 34);

    // Nor is a delta read on another version of the same document.
    let other = Timestamp::new(34, 2);
    missing.truncate(missing.len() - key::TIME_LENGTH);
    key::push_time(&mut missing, other);
    let mut whole = Vec::new();
    value::push_document(&mut whole, &bytes(large(1)), None);
    fixture.history.db.put(&missing, &whole).unwrap();
    let view = fixture.history.reader_at(ts(39)).unwrap();
    assert!(view.get(NS, id).is_err());
}

/// Random inserts, updates and deletes of a few documents, against a model of all versions.
#[test]
fn every_version_of_random_changes_is_what_was_written() {
    let mut random = SmallRng::seed_from_u64(11);
    let base: Vec<_> = (0..5).map(large).collect();
    let mut fixture = Fixture::with_base(&base);
    let mut now: BTreeMap<i32, Document> = (0..).zip(base).collect();
    let mut all = BTreeMap::from([(20, now.clone())]);
    for round in 0..6_u32 {
        let mut units = Vec::new();
        for second in 100 * (round + 1)..100 * (round + 1) + 90 {
            let mut ops = Vec::new();
            for _ in 0..random.random_range(1..4) {
                ops.push(change(&mut random, &mut now, second));
            }
            units.push((second, ops));
            all.insert(second, now.clone());
        }
        fixture.run(&units, 100 * (round + 1) + 95);
        if round % 2 == 0 {
            fixture.history.flush().unwrap();
            fixture = fixture.killed();
        }
    }
    let deltas = stored(&fixture.history).iter().filter(|it| !it.1).count();
    assert!(deltas > 300, "{deltas} deltas");
    for (second, documents) in &all {
        let scanned = fixture.scan(*second, NS);
        assert_eq!(scanned, documents.values().cloned().collect::<Vec<_>>(), "at {second}");
        for id in 0..8 {
            assert_eq!(fixture.get(*second, NS, id), documents.get(&id).cloned());
        }
    }
    for id in 0..8 {
        let expected = all.iter().map(|(second, now)| (*second, now.get(&id).cloned()));
        let mut expected: Vec<_> = expected.collect();
        expected.dedup_by(|later, earlier| later.1 == earlier.1);
        let expected: Vec<_> =
            expected.into_iter().skip_while(|(_, document)| document.is_none()).collect();
        let mut found = versions(&fixture.history, id).unwrap();
        found.dedup_by(|later, earlier| later.1 == earlier.1);
        let found: Vec<_> = found.into_iter().map(|(second, it)| (second.max(20), it)).collect();
        assert_eq!(found, expected, "versions of {id}");
    }
}

/// Changes one document, in the model too.
fn change(random: &mut SmallRng, now: &mut BTreeMap<i32, Document>, second: u32) -> Op {
    let id = random.random_range(0..8);
    let Some(document) = now.get_mut(&id) else {
        now.insert(id, large(id));
        return Op::insert(large(id));
    };
    match random.random_range(0..20) {
        0 => {
            now.remove(&id);
            Op::delete(id)
        }
        1 => {
            *document = doc! {"_id": id, "again": second, "body": "c".repeat(2000)};
            Op::replace(id, document.clone())
        }
        2 => {
            let modifier = doc! {"$v": 1, "$set": {"n": second}, "$unset": {"body": true}};
            document.insert("n", second);
            document.remove("body");
            Op { o2: Some(bytes(doc! {"_id": id})), ..Op::new(OpKind::Update, NS, modifier) }
        }
        _ => {
            document.insert("n", second);
            set(id, doc! {"n": second})
        }
    }
}

#[test]
fn a_delta_is_the_entry_s_own_update() {
    let fixture = Fixture::with_base(&[large(1)]);
    let op = set(1, doc! {"n": 5});
    fixture.run(&[(30, vec![op.clone()])], 40);
    let mut versions = fixture.history.versions_of(1);
    let value = versions.value().unwrap().to_vec();
    let Stored::Delta { update, chain } = value::parse(&value).unwrap() else {
        panic!("{value:?}")
    };
    assert_eq!(update.as_bytes(), op.o);
    assert_eq!((chain.previous, chain.deltas, chain.bytes as usize), (ts(10), 1, op.o.len()));
    versions.next();
    assert!(!value::is_delta(versions.value().unwrap()));
}
