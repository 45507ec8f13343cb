//! A generation that rests on a later base.

use bson::doc;

use super::*;
use crate::LaterBase;

fn later(exact_from: u32, capture_from: u32) -> LaterBase<'static> {
    LaterBase { name: "later", exact_from: ts(exact_from), capture_from: at(capture_from) }
}

#[test]
fn a_generation_rests_on_a_base_once_it_is_past_the_base() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let rests = |base| fixture.history.rest_on(&base).unwrap();
    assert!(!rests(later(15, 12)), "nothing was applied");
    fixture.run(&[(30, vec![Op::insert(doc! {"_id": 2})])], 40);
    assert!(!rests(later(41, 35)), "the base is exact from a later time on");
    assert_eq!(fixture.history.generations()[0].rests_on(), "b10");
    assert!(rests(later(40, 35)));
    assert!(rests(later(40, 35)), "again");
    assert_eq!(fixture.history.generations()[0].rests_on(), "later");
    assert_eq!(fixture.history.generations()[0].window(), Some((ts(20), ts(40))));
}

#[test]
fn an_open_transaction_keeps_the_log_that_it_needs() {
    let fixture = Fixture::with_base(&[]);
    let mut writer = fixture.history.writer().unwrap();
    let open = Progress { applied: at(60), through: ts(60), oldest_open: Some(at(50)) };
    writer.commit(open).unwrap();
    assert!(!fixture.history.rest_on(&later(55, 51)).unwrap());
    assert!(fixture.history.rest_on(&later(55, 50)).unwrap());
}

#[test]
fn what_a_generation_rests_on_survives_a_crash_the_writer_and_its_own_end() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    fixture.run(&[], 40);
    let mut writer = fixture.history.writer().unwrap();
    assert!(fixture.history.rest_on(&later(40, 35)).unwrap());
    writer.commit(Progress::at(at(50))).unwrap();
    drop(writer);
    assert_eq!(fixture.history.generations()[0].rests_on(), "later");
    let fixture = fixture.killed();
    assert_eq!(fixture.history.generations()[0].rests_on(), "later");
    assert!(fixture.history.generations()[0].through() >= ts(40), "with the progress it needs");
    fixture.load(100, 110, &[]);
    fixture.run(&[], 200);
    fixture.history.forget_before(ts(150)).unwrap();
    let names: Vec<_> = fixture.history.generations();
    assert_eq!(names.iter().map(|it| it.rests_on()).collect::<Vec<_>>(), ["b100"]);
}
