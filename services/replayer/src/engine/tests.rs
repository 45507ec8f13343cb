#![allow(clippy::unwrap_used)]

use super::*;
use crate::Stopped;
use crate::sample::{Sample, gap, optime};

fn refused<T: std::fmt::Debug>(answer: Result<T, QueryError>) -> (Why, String) {
    match answer {
        Err(QueryError::NotRestorable { why, finding }) => (why, finding.text),
        other => panic!("not refused: {other:?}"),
    }
}

/// A base, and entries up to 2000,7.
fn sample() -> Sample {
    let mut sample = Sample::empty();
    sample.append(optime(1000, 1), optime(2000, 7), |_| {});
    sample.base(optime(1000, 1));
    sample
}

#[test]
fn a_second_is_had_whole_or_not_at_all() {
    let mut sample = sample();
    let engine = &sample.engine;
    let whole = engine.resolve("1970-01-01T00:33:19Z", false).unwrap();
    assert_eq!(whole, Timestamp::new(1999, u32::MAX));
    let before = engine.resolve("1970-01-01T00:33:20Z", true).unwrap();
    assert_eq!(before, Timestamp::new(1999, u32::MAX));

    for (text, exclusive) in [("1970-01-01T00:33:20Z", false), ("1970-01-01T00:33:21Z", true)] {
        let (why, text) = refused(engine.resolve(text, exclusive));
        assert_eq!(why, Why::OutOfWindow, "{text}");
        for part in [
            "1970-01-01T00:33:20Z is not held to its end yet",
            "1970-01-01T00:33:20Z (2000,7)",
            "`latest` or 2000,7",
            "10 s",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
    assert_eq!(engine.resolve("2000,7", false).unwrap(), Timestamp::new(2000, 7));
    assert_eq!(engine.resolve("latest", false).unwrap(), Timestamp::new(2000, 7));
    let (_, exact) = refused(engine.resolve("2000,8", false));
    assert!(!exact.contains("10 s"), "{exact}");

    sample.append(optime(2001, 1), optime(2001, 1), |_| {});
    let over = sample.engine.resolve("1970-01-01T00:33:20Z", false).unwrap();
    assert_eq!(over, Timestamp::new(2000, u32::MAX));
}

#[test]
fn a_second_is_not_shortened_to_the_beginning_of_a_gap() {
    let mut sample = sample();
    let notice = gap(optime(2000, 7), optime(3000, 1));
    sample.append(optime(3000, 1), optime(3000, 1), |next| next.gap_before = Some(notice));
    let (why, text) = refused(sample.engine.resolve("1970-01-01T00:33:20Z", false));
    assert_eq!(why, Why::Gap, "{text}");
    assert!(text.contains("2000,7") && !text.contains("10 s"), "{text}");
}

#[test]
fn a_second_is_not_shortened_to_before_an_open_transaction() {
    let mut sample = sample();
    let prepared = Some(Timestamp::new(2001, 3));
    sample.append(optime(2001, 1), optime(2005, 1), |next| next.oldest_prepared = prepared);
    let (why, text) = refused(sample.engine.resolve("1970-01-01T00:33:21Z", false));
    assert_eq!(why, Why::UnresolvedTransaction, "{text}");
    assert!(text.contains("`latest` or 2001,2"), "{text}");
}

#[test]
fn a_second_is_not_shortened_to_where_the_history_stopped() {
    let sample = sample();
    sample.board.change(|applied| {
        applied.through = Some(Timestamp::new(1500, 2));
        applied.stopped = Some(Stopped { reason: "no such document".into(), needs_base: false });
    });
    let (why, text) = refused(sample.engine.resolve("1970-01-01T00:25:00Z", false));
    assert_eq!(why, Why::HistoryStopped, "{text}");
    assert!(text.contains("no such document") && text.contains("`latest` or 1500,2"), "{text}");
    let (why, text) = refused(sample.engine.resolve("1970-01-01T00:33:20Z", false));
    assert!(why == Why::OutOfWindow && !text.contains("10 s"), "{text}");
}
