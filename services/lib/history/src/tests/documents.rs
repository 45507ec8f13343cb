use bson::{Bson, Decimal128, doc};
use hindsight_oplog::OpKind;

use super::*;

#[test]
fn each_time_shows_the_versions_in_force_then() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "n": 0}]);
    fixture.run(
        &[
            (30, vec![Op::replace(1, doc! {"_id": 1, "n": 1})]),
            (40, vec![Op::delete(1), Op::insert(doc! {"_id": 2})]),
            (50, vec![Op::insert(doc! {"_id": 1, "n": 2})]),
        ],
        60,
    );
    let n = |seconds| fixture.get(seconds, NS, 1).map(|document| document.get_i32("n").unwrap());
    assert_eq!(
        [20, 29, 30, 39, 40, 50, 60].map(n),
        [Some(0), Some(0), Some(1), Some(1), None, Some(2), Some(2)]
    );
    assert_eq!(fixture.get(39, NS, 2), None);
    assert_eq!(fixture.scan(40, NS), [doc! {"_id": 2}]);
    assert_eq!(fixture.scan(50, NS), [doc! {"_id": 1, "n": 2}, doc! {"_id": 2}]);
}

#[test]
fn a_transaction_shows_at_its_visible_time_and_its_last_write_wins() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let mut writer = fixture.history.writer().unwrap();
    apply(&mut writer, 30, &[Op::insert(doc! {"_id": 9})]).unwrap();
    // A transaction was prepared before second 25, so nothing is complete past that second.
    let open = Progress { applied: at(30), through: ts(24), oldest_open: Some(at(24)) };
    writer.commit(open).unwrap();
    assert!(fixture.history.reader_at(ts(25)).is_err());
    let ops = [
        Op::replace(1, doc! {"_id": 1, "n": 1}),
        Op::replace(1, doc! {"_id": 1, "n": 2}),
        Op::insert(doc! {"_id": 2}),
        Op::delete(2),
    ];
    writer.apply(ts(25), at(35), ops.iter().map(Op::view)).unwrap();
    writer.commit(Progress::at(at(35))).unwrap();
    assert_eq!(fixture.get(24, NS, 1), Some(doc! {"_id": 1}));
    assert_eq!(fixture.get(25, NS, 1), Some(doc! {"_id": 1, "n": 2}));
    assert_eq!(fixture.get(25, NS, 2), None);
    assert_eq!(fixture.get(25, NS, 9), None);
    let late = writer.apply(ts(30), at(36), [Op::delete(1).view()]);
    assert!(matches!(late, Err(ApplyError::OutOfOrder { .. })), "{late:?}");
}

#[test]
fn equal_ids_of_other_types_are_one_document() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1_i64, "from": "base"}]);
    let decimal: Decimal128 = "1.00".parse().unwrap();
    fixture.run(
        &[
            (30, vec![Op::replace(1.0, doc! {"_id": 1_i64, "n": 1})]),
            (40, vec![Op::delete(Bson::Decimal128(decimal))]),
        ],
        50,
    );
    assert_eq!(fixture.get(20, NS, 1), Some(doc! {"_id": 1_i64, "from": "base"}));
    assert_eq!(fixture.get(30, NS, 1), Some(doc! {"_id": 1_i64, "n": 1}));
    assert_eq!(fixture.get(40, NS, 1), None);
}

#[test]
fn the_relaxed_window_accepts_a_base_that_is_ahead_or_behind() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "ahead": true}]);
    let mut writer = fixture.history.writer().unwrap();
    apply(&mut writer, 12, &[Op::insert(doc! {"_id": 1})]).unwrap();
    apply(&mut writer, 13, &[Op::replace(2, doc! {"_id": 2})]).unwrap();
    apply(&mut writer, 14, &[Op::delete(3)]).unwrap();
    assert_eq!(writer.counts().relaxed, 2);
    writer.commit(Progress::at(at(14))).unwrap();
    let early = fixture.history.reader_at(ts(14)).unwrap_err().to_string();
    assert!(early.contains("holds none"), "{early}");
    writer.commit(Progress::at(at(20))).unwrap();
    assert_eq!(fixture.scan(20, NS), [doc! {"_id": 1}, doc! {"_id": 2}]);
}

#[test]
fn a_transaction_prepared_before_the_base_goes_on_top_of_it() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "n": 0}]);
    let mut writer = fixture.history.writer().unwrap();
    let op = Op::replace(1, doc! {"_id": 1, "n": 1});
    assert_eq!(apply(&mut writer, 9, std::slice::from_ref(&op)).unwrap(), Applied::Already);
    writer.apply(ts(9), at(25), [op.view()]).unwrap();
    writer.commit(Progress::at(at(25))).unwrap();
    assert_eq!(fixture.get(20, NS, 1), Some(doc! {"_id": 1, "n": 1}));
}

#[test]
fn strict_mode_refuses_what_does_not_fit() {
    let base = [doc! {"_id": 1}];
    let refused = |op: Op| {
        let error = Fixture::with_base(&base).strict(op).unwrap_err();
        assert!(matches!(error, ApplyError::Inconsistent { at: stop, .. } if stop == at(21)));
        error.to_string()
    };
    let cases = [
        (Op::insert(doc! {"_id": 1.0}), "inserts a document that exists"),
        (Op::replace(2, doc! {"_id": 2}), "updates a document that is missing"),
        (Op::delete(2), "deletes a document that is missing"),
        (Op::insert(doc! {"_id": 2}).on("a.b", [9; 16]), "neither in the base nor created"),
        (Op::insert(doc! {"_id": 2}).on("a.b", None), "no UUID, and no collection of that name"),
    ];
    for (op, reason) in cases {
        let error = refused(op);
        assert!(error.contains(reason) && error.contains("21,1"), "{error}");
    }
    let upsert = Op::replace(2, doc! {"_id": 2}).upsert();
    assert_eq!(Fixture::with_base(&base).strict(upsert).unwrap(), Applied::Done);
    let by_name = Op::delete(1).on(NS, None);
    assert_eq!(Fixture::with_base(&base).strict(by_name).unwrap(), Applied::Done);
}

#[test]
fn unlogged_and_capped_collections_may_miss_what_is_deleted() {
    for ns in ["config.transactions", "config.image_collection", "config.system.preimages"] {
        let op = Op::delete(5).on(ns, [3; 16]);
        assert_eq!(Fixture::with_base(&[]).strict(op).unwrap(), Applied::Done, "{ns}");
    }
    let error = Fixture::with_base(&[]).strict(Op::delete(5).on("config.system.sessions", [3; 16]));
    assert!(error.is_err());
    let capped = Fixture::with_state(capped(), &[]);
    assert_eq!(capped.strict(Op::delete(5)).unwrap(), Applied::Done);
}

#[test]
fn a_refused_unit_leaves_nothing_and_ends_the_history_before_it() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let mut writer = fixture.history.writer().unwrap();
    apply(&mut writer, 30, &[Op::insert(doc! {"_id": 2})]).unwrap();
    let create = Op::command("shop", Some([8; 16]), doc! {"create": "x"});
    let unit = [Op::insert(doc! {"_id": 3}), create, Op::delete(77)];
    assert!(apply(&mut writer, 31, &unit).is_err());
    let stopped = apply(&mut writer, 32, &[Op::delete(1)]);
    assert!(matches!(stopped, Err(ApplyError::Stopped { at: stop }) if stop == at(31)));
    assert!(matches!(writer.commit(Progress::at(at(31))), Err(ApplyError::Stopped { .. })));
    writer.commit(Progress { through: ts(30), ..Progress::at(at(30)) }).unwrap();
    assert_eq!(fixture.scan(30, NS), [doc! {"_id": 1}, doc! {"_id": 2}]);
    assert_eq!(fixture.names(30), [NS]);
    drop(writer);
    // It does not stay in memory for the next writer, either.
    fixture.run(&[(31, vec![Op::insert(doc! {"_id": 3})])], 32);
    assert_eq!(fixture.names(32), [NS]);
    let fixture = fixture.killed();
    assert_eq!(fixture.history.writer().unwrap().generation().applied(), None);
}

#[test]
fn unknown_operations_are_refused_and_noops_are_not() {
    let fixture = Fixture::with_base(&[]);
    let noop = Op::new(OpKind::Noop, "", doc! {"msg": "periodic noop"});
    assert_eq!(fixture.strict(noop).unwrap(), Applied::Done);
    let unknown = Op::new(OpKind::Unknown, NS, doc! {"k": 1});
    let error = Fixture::with_base(&[]).strict(unknown);
    assert!(matches!(error, Err(ApplyError::Unknown { at: stop, .. }) if stop == at(21)));
    let no_id = Op::new(OpKind::Insert, NS, doc! {"k": 1});
    let error = Fixture::with_base(&[]).strict(no_id);
    assert!(matches!(error, Err(ApplyError::Unsupported { .. })));
}

#[test]
fn progress_moves_only_forward() {
    let fixture = Fixture::with_base(&[]);
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(30))).unwrap();
    assert!(writer.commit(Progress::at(at(29))).is_err());
    assert!(writer.commit(Progress { through: ts(29), ..Progress::at(at(31)) }).is_err());
    assert!(writer.commit(Progress { through: ts(32), ..Progress::at(at(31)) }).is_err());
    apply(&mut writer, 33, &[Op::insert(doc! {"_id": 1})]).unwrap();
    assert!(writer.commit(Progress::at(at(32))).is_err());
    writer.commit(Progress::at(at(33))).unwrap();
    assert_eq!(apply(&mut writer, 33, &[Op::insert(doc! {"_id": 1})]).unwrap(), Applied::Already);
    let other_term = OpTime::new(33, 1, 2);
    assert!(writer.apply(ts(33), other_term, []).is_err());
}

#[test]
fn there_is_one_writer() {
    let fixture = Fixture::empty();
    assert!(matches!(fixture.history.writer(), Err(crate::HistoryError::NoBase)));
    fixture.load(10, 20, &[]);
    let writer = fixture.history.writer().unwrap();
    assert!(matches!(fixture.history.writer(), Err(crate::HistoryError::Busy)));
    drop(writer);
    assert!(fixture.history.writer().is_ok());
}

#[test]
fn what_was_forgotten_is_found_in_the_store() {
    let fixture = Fixture::with_base(&[]);
    let mut writer = fixture.history.writer().unwrap();
    let filler = "x".repeat(100);
    for id in 0..500_u32 {
        let document = doc! {"_id": i64::from(id), "f": &filler};
        apply(&mut writer, 100 + id, &[Op::insert(document)]).unwrap();
        if id % 7 == 0 {
            writer.commit_behind(Progress::at(at(100 + id))).unwrap();
        }
    }
    for id in 0..500_u32 {
        let document = doc! {"_id": i64::from(id), "n": 1};
        apply(&mut writer, 1000 + id, &[Op::replace(i64::from(id), document)]).unwrap();
    }
    assert!(apply(&mut writer, 2000, &[Op::delete(499)]).is_ok());
    assert!(apply(&mut writer, 2001, &[Op::insert(doc! {"_id": 0})]).is_err());
    writer.commit(Progress::at(at(2000))).unwrap();
    assert_eq!(fixture.scan(999, NS).len(), 500);
    assert_eq!(fixture.scan(2000, NS).len(), 499);
    assert_eq!(fixture.get(1100, NS, 99), Some(doc! {"_id": 99_i64, "n": 1}));
    assert_eq!(fixture.get(1098, NS, 99).unwrap().get_str("f").unwrap(), filler);
}

pub(super) fn capped() -> CollectionState {
    let options = doc! {"capped": true, "size": 4096};
    CollectionState { options: bytes(options), ..CollectionState::new(UUID, NS) }
}

#[test]
fn capped_collections_keep_the_order_of_insertion() {
    let ids = |documents: Vec<Document>| -> Vec<i32> {
        documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
    };
    let base = [doc! {"_id": 9}, doc! {"_id": 3}, doc! {"_id": 5}];
    let fixture = Fixture::with_state(capped(), &base);
    fixture.run(
        &[
            // The base saw this insert already. The document gets the place of the entry, and so
            // does everything after it.
            (12, vec![Op::insert(doc! {"_id": 5})]),
            (30, vec![Op::insert(doc! {"_id": 4}), Op::insert(doc! {"_id": 1})]),
            (40, vec![Op::replace(3, doc! {"_id": 3, "n": 1})]),
            (50, vec![Op::delete(9)]),
            (60, vec![Op::insert(doc! {"_id": 9})]),
        ],
        70,
    );
    assert_eq!(ids(fixture.scan_natural(20, NS)), [9, 3, 5]);
    assert_eq!(ids(fixture.scan_natural(30, NS)), [9, 3, 5, 4, 1]);
    assert_eq!(ids(fixture.scan_natural(40, NS)), [9, 3, 5, 4, 1]);
    assert_eq!(ids(fixture.scan_natural(55, NS)), [3, 5, 4, 1]);
    assert_eq!(ids(fixture.scan_natural(60, NS)), [3, 5, 4, 1, 9]);
    assert_eq!(ids(fixture.scan(60, NS)), [1, 3, 4, 5, 9]);
}
