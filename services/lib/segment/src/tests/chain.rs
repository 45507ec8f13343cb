//! Which segment follows which.

use super::*;
use crate::chain::{check_follows, check_starts};

fn build(
    numbers: std::ops::RangeInclusive<u32>,
    change: impl FnOnce(&mut SealInput),
) -> SealedSegment {
    let entries: Vec<_> = numbers.map(|number| insert(optime(number), 1)).collect();
    let mut input = seal_input(&entries, Codec::None, FrameLimits::default());
    change(&mut input);
    seal(input).unwrap()
}

/// Returns a second segment after `first`, changed by `change`.
fn second(first: &SealedSegment, change: impl FnOnce(&mut SealInput)) -> SealedSegment {
    build(4..=6, |input| {
        input.sequence = Sequence(2);
        input.predecessor = first.digest();
        change(input);
    })
}

#[test]
fn the_next_segment_follows_and_others_do_not() {
    let first = build(1..=3, |_| {});
    let end = first.info().chain_end();
    assert_eq!(check_starts(first.info()), Ok(()));
    let break_of = |change: fn(&mut SealInput)| {
        check_follows(&end, second(&first, change).info()).map_err(|it| it.to_string())
    };
    assert_eq!(break_of(|_| {}), Ok(()));
    assert_eq!(break_of(|input| input.epoch = WriterEpoch(9)), Ok(()));
    let told = |change, expected: &str| {
        let message = break_of(change).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    told(|it| it.sequence = Sequence(3), "sequence is 3, expected 2");
    told(|it| it.sequence = Sequence(1), "sequence is 1, expected 2");
    told(|it| it.predecessor = SegmentDigest([7; 32]), "0707");
    told(|it| it.epoch = WriterEpoch(0), "epoch 0, older than the log's epoch 1");
    told(|it| it.source.set_name = "rs1".to_owned(), "rs1");
    told(|it| it.source.replica_set_id[0] ^= 1, "rs0");
    let overlapping = build(3..=4, |input| {
        input.sequence = Sequence(2);
        input.predecessor = first.digest();
    });
    assert!(matches!(check_follows(&end, overlapping.info()), Err(ChainBreak::Order { .. })));
    assert!(matches!(check_starts(overlapping.info()), Err(ChainBreak::Sequence { .. })));
}

#[test]
fn an_entry_of_an_older_term_does_not_follow() {
    let first = build(1..=3, |_| {});
    let entries = [insert(OpTime::new(1_700_000_000, 4, 2), 1)];
    let mut input = seal_input(&entries, Codec::None, FrameLimits::default());
    input.sequence = Sequence(2);
    input.predecessor = first.digest();
    let older = seal(input).unwrap();
    let outcome = check_follows(&first.info().chain_end(), older.info());
    assert!(matches!(outcome, Err(ChainBreak::Order { .. })));
}

#[test]
fn a_gap_is_written_in_the_segment_after_it() {
    let first = build(1..=3, |_| {});
    let notice = |after, before| GapNotice {
        after: optime(after),
        before: optime(before),
        reason: GapReason::RolledOver,
        detail: "the oldest entry of node-2 is 1700000000,4".to_owned(),
        detected_at_ms: 1_700_000_123_456,
    };
    let follower = second(&first, |input| input.gap = Some(notice(3, 4)));
    let view = SegmentView::open(follower.to_bytes()).unwrap();
    assert_eq!(view.info().header.gap, Some(notice(3, 4)));
    let end = first.info().chain_end();
    assert_eq!(check_follows(&end, view.info()), Ok(()));

    let elsewhere = second(&first, |input| input.gap = Some(notice(2, 4)));
    let outcome = check_follows(&end, elsewhere.info());
    assert!(matches!(outcome, Err(ChainBreak::GapStart { .. })));
    let at_start = build(4..=6, |input| input.gap = Some(notice(3, 4)));
    assert_eq!(check_starts(at_start.info()), Err(ChainBreak::GapAtStart));
    let mut input = seal_input(&inserts(3), Codec::None, FrameLimits::default());
    input.gap = Some(notice(0, 2));
    assert!(matches!(seal(input), Err(Error::Refused(_))), "a gap ends at the first entry");
}

#[test]
fn an_endless_detail_is_cut_between_characters() {
    let first = build(1..=3, |_| {});
    let follower = second(&first, |input| {
        input.gap = Some(GapNotice {
            after: optime(3),
            before: optime(4),
            reason: GapReason::Requested,
            detail: "ä".repeat(5_000),
            detected_at_ms: 0,
        });
    });
    let detail = &follower.info().header.gap.as_ref().unwrap().detail;
    assert_eq!(*detail, "ä".repeat(2_048));
}
