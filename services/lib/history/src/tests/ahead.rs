//! What is read ahead spares the writer a look, and changes no result.

use bson::doc;

use super::*;
use crate::Ahead;

/// Reads ahead for these operations.
fn ahead(history: &History, ops: &[Op]) -> Ahead {
    let mut ahead = history.look_ahead().expect("a writer was started");
    for op in ops {
        ahead.want(&op.view()).unwrap();
    }
    ahead.read().unwrap()
}

fn set(id: i32, n: i32) -> Op {
    let o = doc! {"$v": 2, "diff": {"u": {"n": n}}};
    Op::new(OpKind::Update, NS, o).with_o2(doc! {"_id": id})
}

/// Commits inserts until the writer has forgotten everything that it remembered.
fn forget_all(writer: &mut Writer<'_>, from: u32) {
    for second in from..from + 4 {
        let filler = doc! {"_id": 1_000_000 + second as i32, "f": "x".repeat(3_000)};
        apply(writer, second, &[Op::insert(filler)]).unwrap();
        writer.commit(Progress::at(at(second))).unwrap();
    }
}

#[test]
fn what_was_read_ahead_is_used() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "n": 0}, doc! {"_id": 2, "n": 0}]);
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    let ops = [set(1, 7), Op::delete(2), Op::insert(doc! {"_id": -5})];
    writer.use_ahead(Some(ahead(&fixture.history, &ops)));
    apply(&mut writer, 21, &ops).unwrap();
    assert_eq!(writer.counts().ahead, 3);
    writer.commit(Progress::at(at(21))).unwrap();
    drop(writer);
    assert_eq!(fixture.get(21, NS, 1), Some(doc! {"_id": 1, "n": 7}));
    assert_eq!(fixture.get(21, NS, 2), None);
    assert_eq!(fixture.get(21, NS, -5), Some(doc! {"_id": -5}));
}

#[test]
fn what_is_remembered_or_new_is_not_read() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "n": 0}, doc! {"_id": 2, "n": 0}]);
    assert!(fixture.history.look_ahead().is_none(), "before a writer");
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    apply(&mut writer, 21, &[set(1, 1)]).unwrap();
    writer.commit(Progress::at(at(21))).unwrap();
    let greater = Op::insert(doc! {"_id": 3});
    assert_eq!(ahead(&fixture.history, &[set(1, 2), greater.clone(), greater]).documents.len(), 1);
    assert_eq!(ahead(&fixture.history, &[set(1, 2), set(2, 2), set(2, 3)]).documents.len(), 1);
    forget_all(&mut writer, 22);
    assert_eq!(ahead(&fixture.history, &[set(1, 2)]).documents.len(), 1);
}

/// The document is written after it was read ahead, and forgotten again before its next write.
#[test]
fn what_is_older_than_what_was_forgotten_is_not_used() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "n": 0, "other": 0}]);
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    let old = ahead(&fixture.history, &[set(1, 1)]);
    let same = ahead(&fixture.history, &[set(1, 1)]);
    writer.use_ahead(Some(old));
    let other = doc! {"$v": 2, "diff": {"u": {"other": 5}}};
    let other = Op::new(OpKind::Update, NS, other).with_o2(doc! {"_id": 1});
    apply(&mut writer, 21, &[other]).unwrap();
    writer.commit(Progress::at(at(21))).unwrap();
    forget_all(&mut writer, 22);
    let used = writer.counts().ahead;
    apply(&mut writer, 30, &[set(1, 7)]).unwrap();
    writer.commit(Progress::at(at(30))).unwrap();
    forget_all(&mut writer, 31);
    writer.use_ahead(Some(same));
    apply(&mut writer, 40, &[set(1, 8)]).unwrap();
    writer.commit(Progress::at(at(40))).unwrap();
    assert_eq!(writer.counts().ahead, used);
    drop(writer);
    assert_eq!(fixture.get(30, NS, 1), Some(doc! {"_id": 1, "n": 7, "other": 5}));
    assert_eq!(fixture.get(40, NS, 1), Some(doc! {"_id": 1, "n": 8, "other": 5}));
}

#[test]
fn a_new_writer_uses_nothing_that_was_read_before_it_began() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1, "n": 0}]);
    let mut writer = fixture.history.writer().unwrap();
    writer.commit(Progress::at(at(20))).unwrap();
    let old = ahead(&fixture.history, &[set(1, 1)]);
    drop(writer);
    let mut writer = fixture.history.writer().unwrap();
    writer.use_ahead(Some(old));
    apply(&mut writer, 21, &[set(1, 1)]).unwrap();
    assert_eq!(writer.counts().ahead, 0);
}

/// Random writes to few documents, with and without reading ahead: the stores are equal.
#[test]
fn what_is_read_ahead_changes_no_result() {
    let documents: Vec<_> =
        (0..40).map(|id| doc! {"_id": id, "n": 0, "f": "x".repeat(60)}).collect();
    let digest = |reads_ahead: bool| {
        let fixture = Fixture::with_base(&documents);
        let mut writer = fixture.history.writer().unwrap();
        writer.commit(Progress::at(at(20))).unwrap();
        let mut next = None;
        for batch in 0..60 {
            let ops = writes_of(batch);
            writer.use_ahead(next.take());
            if reads_ahead {
                next = Some(ahead(&fixture.history, &writes_of(batch + 1)));
            }
            for (place, op) in ops.into_iter().enumerate() {
                apply(&mut writer, 100 + batch * 100 + place as u32, &[op]).unwrap();
            }
            writer.commit_behind(Progress::at(at(199 + batch * 100))).unwrap();
        }
        assert_eq!(writer.counts().ahead > 300, reads_ahead, "{:?}", writer.counts());
        writer.flush().unwrap();
        drop(writer);
        fixture.history.digest().unwrap()
    };
    assert_eq!(digest(true), digest(false));
}

/// Updates of random documents, and inserts with ids in no order.
fn writes_of(batch: u32) -> Vec<Op> {
    let write = |place: u32| {
        let at = batch * 30 + place;
        let mixed = i64::from(at) * 7_919 % 1_000_003;
        match place % 3 {
            0 => Op::insert(doc! {"_id": 100_i64 + mixed, "n": 0}),
            _ => set((mixed % 40) as i32, at as i32),
        }
    };
    (0..30).map(write).collect()
}
