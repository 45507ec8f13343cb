use tempfile::TempDir;

use super::*;
use crate::sample::{after_gap, base, command, segment};

fn index_of(segments: &[SegmentSummary]) -> (TempDir, Index) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let index = Index::open(directory.path()).expect("open");
    for segment in segments {
        index.absorb(segment).expect("absorb");
    }
    (directory, index)
}

/// Three segments, a gap, and two segments. The first two share a minute.
fn story() -> Vec<SegmentSummary> {
    let mut story = vec![
        segment(4, 10, 20),
        segment(5, 21, 30),
        segment(6, 31, 70),
        after_gap(segment(7, 100, 110), 70),
        segment(8, 111, 111),
    ];
    story[1].commands = vec![command(21, "create", "shop.orders")];
    story
}

#[test]
fn what_is_left_is_what_the_rest_of_the_log_makes() {
    for kept_from in 0..story().len() {
        let (_directory, index) = index_of(&story());
        let sequence = story()[kept_from].sequence;
        assert_eq!(index.forget_before(sequence).expect("forget"), kept_from as u64);
        assert_eq!(index.forget_before(sequence).expect("again"), 0);
        let (_other, rebuilt) = index_of(&story()[kept_from..]);
        assert_eq!(
            index.digest().expect("digest"),
            rebuilt.digest().expect("digest"),
            "{sequence}"
        );
    }
}

#[test]
fn the_newest_segment_and_the_bases_stay() {
    let (_directory, index) = index_of(&story());
    index.absorb_base(&base("a", 10, 15)).expect("absorbed");
    assert_eq!(index.forget_before(u64::MAX).expect("forget"), 4);
    let view = index.view();
    assert_eq!(view.newest().expect("read").map(|it| it.sequence), Some(8));
    assert_eq!(view.bases().expect("read").len(), 1);
    let (_other, empty) = index_of(&[]);
    assert_eq!(empty.forget_before(9).expect("forget"), 0);
}

#[test]
fn a_window_whose_log_is_forgotten_is_gone() {
    let (_directory, index) = index_of(&story());
    index.absorb_base(&base("a", 10, 15)).expect("absorbed");
    assert_eq!(index.windows().expect("read").len(), 1);
    index.forget_before(5).expect("forget");
    assert_eq!(index.windows().expect("read"), []);
}
