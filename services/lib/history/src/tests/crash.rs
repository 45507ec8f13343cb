use bson::doc;

use super::*;

/// Units that touch a few documents and the catalog again and again.
fn units() -> Vec<(u32, Vec<Op>)> {
    let mut units = Vec::new();
    for second in 30..130_u32 {
        let id = i64::from(second % 10);
        let ops = match second {
            30..40 => vec![Op::insert(doc! {"_id": id, "n": second})],
            70 => vec![Op::command("shop", Some([8; 16]), doc! {"create": "other"})],
            90 => vec![Op::command("shop", Some([8; 16]), doc! {"drop": "other"})],
            _ if second % 10 == 3 => {
                vec![Op::delete(id), Op::insert(doc! {"_id": id, "again": second})]
            }
            _ => vec![Op::replace(id, doc! {"_id": id, "n": second, "s": "x".repeat(200)})],
        };
        units.push((second, ops));
    }
    units
}

fn apply_all(history: &History, units: &[(u32, Vec<Op>)], commit_every: usize, flush_at: u32) {
    let mut writer = history.writer().unwrap();
    for (done, (second, ops)) in units.iter().enumerate() {
        if apply(&mut writer, *second, ops).unwrap() == Applied::Already {
            continue;
        }
        if done % commit_every == 0 {
            writer.commit_behind(Progress::at(at(*second))).unwrap();
        }
        if *second == flush_at {
            writer.commit(Progress::at(at(*second))).unwrap();
            writer.flush().unwrap();
        }
    }
    writer.commit(Progress::at(at(130))).unwrap();
}

#[test]
fn a_crash_goes_back_to_one_moment_and_applying_again_gives_the_same() {
    let units = units();
    let reference = Fixture::with_base(&[]);
    apply_all(&reference.history, &units, 1, 0);
    let expected = reference.history.digest().unwrap();

    let fixture = Fixture::with_base(&[]);
    apply_all(&fixture.history, &units, 7, 77);
    assert_eq!(fixture.history.digest().unwrap(), expected);
    // Nothing after second 77 was flushed.
    let fixture = fixture.killed();
    let generation = fixture.history.generations().pop().unwrap();
    assert_eq!(generation.applied(), Some(at(77)));
    assert!(fixture.history.reader_at(ts(78)).is_err());
    assert_eq!(fixture.names(77), [NS, "shop.other"]);
    assert_ne!(fixture.history.digest().unwrap(), expected);

    apply_all(&fixture.history, &units, 3, 0);
    assert_eq!(fixture.history.digest().unwrap(), expected);
    assert_eq!(fixture.names(100), [NS]);
}

#[test]
fn flushed_is_durable_and_readable_beside_the_writer() {
    let fixture = Fixture::with_base(&[]);
    apply_all(&fixture.history, &units(), 5, 0);
    fixture.history.flush().unwrap();
    let expected = fixture.history.digest().unwrap();
    let beside = History::open_read_only(fixture.dir.path(), settings()).unwrap();
    assert_eq!(beside.digest().unwrap(), expected);
    drop(beside);
    let fixture = fixture.killed();
    assert_eq!(fixture.history.digest().unwrap(), expected);
}

#[test]
fn every_change_of_a_value_or_a_state_changes_the_digest() {
    let digest = |document: Document, options: Document| {
        let state = CollectionState { options: bytes(options), ..CollectionState::new(UUID, NS) };
        Fixture::with_state(state, &[document]).history.digest().unwrap()
    };
    let first = digest(doc! {"_id": 1}, doc! {});
    assert_eq!(first, digest(doc! {"_id": 1}, doc! {}));
    assert_ne!(first, digest(doc! {"_id": 1_i64}, doc! {}));
    assert_ne!(first, digest(doc! {"_id": 2}, doc! {}));
    assert_ne!(first, digest(doc! {"_id": 1}, doc! {"temp": true}));
}

#[test]
fn a_base_not_loaded_to_its_end_leaves_nothing() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    fixture.run(&[], 25);
    let expected = fixture.history.digest().unwrap();
    let base = BaseInfo {
        name: "late".to_owned(),
        start: ts(50),
        exact_from: ts(60),
        server_version: None,
    };
    let mut load = fixture.history.begin_generation(base.clone()).unwrap();
    let number = load.collection(CollectionState::new(UUID, NS)).unwrap();
    load.put(number, &bytes(doc! {"_id": 5})).unwrap();
    assert!(load.put(number + 1, &bytes(doc! {"_id": 5})).is_err());
    assert!(load.put(number, &bytes(doc! {"x": 5})).is_err());
    assert!(load.collection(CollectionState::new(UUID, "a.b")).is_err());
    drop(load);
    assert_eq!(fixture.history.generations().len(), 1);
    fixture.history.flush().unwrap();
    let fixture = fixture.killed();
    assert_eq!(fixture.history.digest().unwrap(), expected);
    assert_eq!(fixture.history.generations().len(), 1);
    // Nothing of the unfinished load was written, so the next load gets the same number.
    let mut load = fixture.history.begin_generation(base).unwrap();
    assert_eq!(load.collection(CollectionState::new(UUID, NS)).unwrap(), number);
    load.finish().unwrap();
    fixture.run(&[], 60);
    assert_eq!(fixture.scan(60, NS), Vec::<Document>::new());
}

#[test]
fn a_foreign_directory_is_refused() {
    let fixture = Fixture::empty();
    let mut batch = rocksdb::WriteBatch::default();
    batch.put(crate::key::FORMAT, b"0");
    fixture.history.db.write(batch).unwrap();
    let path = fixture.dir.path().to_owned();
    let Fixture { dir, history } = fixture;
    drop(history);
    let error = History::open(&path, settings()).unwrap_err().to_string();
    assert!(error.contains("format \"0\"") && error.contains("delete its directory"), "{error}");
    drop(dir);
}

#[test]
fn a_store_of_an_earlier_version_is_emptied_to_be_rebuilt() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    fixture.history.db.put(crate::key::FORMAT, b"1").unwrap();
    fixture.history.flush().unwrap();
    let fixture = fixture.killed();
    assert_eq!(fixture.history.generations().len(), 0);
    fixture.load(10, 20, &[(CollectionState::new(UUID, NS), vec![doc! {"_id": 2}])]);
    fixture.run(&[], 30);
    assert_eq!(fixture.scan(30, NS), [doc! {"_id": 2}]);
}
