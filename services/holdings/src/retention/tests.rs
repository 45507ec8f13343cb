use hindsight_index::SegmentSummary;
use hindsight_log::MemoryLog;
use hindsight_oplog::OpTime;
use tempfile::TempDir;

use super::*;

fn at(seconds: u32) -> OpTime {
    OpTime::new(seconds, 1, 1)
}

/// An index of segments of ten seconds each, from second 100 on.
fn index_of(segments: u32) -> (TempDir, Index) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let index = Index::open(directory.path()).expect("an index");
    for sequence in 1..=segments {
        let number = |sequence| u8::try_from(sequence).expect("few segments");
        let first = 90 + 10 * sequence;
        let segment = SegmentSummary {
            sequence: u64::from(sequence),
            epoch: 1,
            digest: [number(sequence); 32],
            predecessor: [number(sequence - 1); 32],
            first: at(first),
            last: at(first + 9),
            majority: at(first + 9),
            first_wall_ms: None,
            last_wall_ms: None,
            entries: 2,
            raw_bytes: 200,
            stored_bytes: 100,
            oldest_unresolved: None,
            oldest_prepared: None,
            gap_before: None,
            counts: Vec::new(),
            commands: Vec::new(),
            cut_reason: "age".to_owned(),
        };
        index.absorb(&segment).expect("absorbed");
    }
    (directory, index)
}

fn add_base(index: &Index, name: &str, capture_from: u32, exact_from: u32) {
    let base = BaseSummary {
        name: name.to_owned(),
        start: at(capture_from).ts,
        capture_from: at(capture_from),
        exact_from: at(exact_from),
        created_wall_ms: 0,
        documents: 1,
        bytes: 1,
    };
    index.absorb_base(&base).expect("absorbed");
}

/// What goes of 30 segments (through second 399) when the log is kept for that long.
fn goes(index: &Index, keep: u64) -> Option<(String, Vec<String>, u64)> {
    let surplus = surplus(&index.view(), Duration::from_secs(keep)).expect("read");
    surplus.map(|it| (it.rest_on.name, it.bases, it.before.0))
}

#[test]
fn the_latest_base_that_is_exact_at_the_beginning_stays_with_its_log() {
    let (_directory, index) = index_of(30);
    assert_eq!(goes(&index, 100), None, "no base");
    add_base(&index, "first", 100, 105);
    assert_eq!(goes(&index, 100), None, "it begins with the log");
    add_base(&index, "second", 205, 215);
    add_base(&index, "third", 305, 315);
    let gone = |rest_on: &str, bases: &[&str], before| {
        let bases = bases.iter().map(|it| (*it).to_owned()).collect();
        Some((rest_on.to_owned(), bases, before))
    };
    assert_eq!(goes(&index, 1000), None);
    assert_eq!(goes(&index, 200), None, "of second 199 only the first knows");
    assert_eq!(goes(&index, 150), gone("second", &["first"], 11));
    assert_eq!(goes(&index, 10), gone("third", &["first", "second"], 21));
    index.forget_base("first").expect("forgotten");
    index.forget_before(11).expect("forgotten");
    assert_eq!(goes(&index, 150), None, "it is gone already");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_the_history_still_needs_it() {
    let (directory, index) = index_of(30);
    add_base(&index, "first", 100, 105);
    add_base(&index, "second", 205, 215);
    let retention = Retention {
        log: Arc::new(MemoryLog::new()),
        index: Arc::new(index),
        bases: directory.path().join("bases"),
        keep: Duration::from_secs(100),
        rests_on: Arc::new(|base| base.name != "second"),
    };
    retention.look().await.expect("nothing to do");
    let is_whole = |retention: &Retention| {
        let view = retention.index.view();
        let oldest = view.oldest().expect("read").map(|it| it.sequence);
        view.bases().expect("read").len() == 2 && oldest == Some(1)
    };
    assert!(is_whole(&retention));

    // Nor while the base that stays cannot be read.
    let retention = Retention { rests_on: Arc::new(|_| true), ..retention };
    let error = retention.look().await.expect_err("the base is not there");
    assert!(matches!(error, RetentionError::Base(_)), "{error}");
    assert!(is_whole(&retention));
}
