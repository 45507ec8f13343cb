//! Promises of a log whose store fails or lies.

use hindsight_segment::Sequence;

use super::cases::{assert_holds, fill, open};
use super::{ScriptedFault, SegmentMaker, Subject};
use crate::{LogError, SegmentLog};

pub(super) async fn a_refused_append_leaves_nothing(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 2).await;
    let next = maker.make(3);
    for _ in 0..2 {
        subject.fail_next_append(ScriptedFault::Refused).await;
        let error = log.append(next.clone()).await.expect_err("the store refuses");
        assert!(error.is_retryable(), "{error}");
        assert_holds(&*log, &segments).await;
    }
    log.append(next.clone()).await.expect("it is appended when the store works again");
    segments.push(next);
    assert_holds(&*log, &segments).await;
    drop(log);
    assert_holds(&*open(subject).await, &segments).await;
}

pub(super) async fn a_lost_answer_is_found_by_repeating(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 1).await;
    let next = maker.make(3);
    subject.fail_next_append(ScriptedFault::AnswerLost).await;
    let error = log.append(next.clone()).await.expect_err("the answer is lost");
    assert!(error.is_retryable(), "{error}");
    log.append(next.clone()).await.expect("repeating it finds it done");
    segments.push(next);
    assert_holds(&*log, &segments).await;
    segments.extend(fill(&*log, &mut maker, 1).await);
    drop(log);
    assert_holds(&*open(subject).await, &segments).await;
}

pub(super) async fn a_lost_answer_is_seen_at_the_end(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 1).await;
    let mut elsewise = maker.clone();
    let next = maker.make(3);
    subject.fail_next_append(ScriptedFault::AnswerLost).await;
    log.append(next.clone()).await.expect_err("the answer is lost");
    let outcome = log.append(elsewise.make(1)).await;
    assert!(matches!(outcome, Err(LogError::NotNext { .. })), "{outcome:?}");
    segments.push(next);
    assert_holds(&*log, &segments).await;
}

/// Damages the middle one of three segments. `permille` is the position of the flipped bit, in
/// thousandths of the segment's length.
pub(super) async fn a_flipped_bit_is_never_served(subject: &dyn Subject, permille: u64) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 1).await;
    let damaged = maker.make(200);
    log.append(damaged.clone()).await.expect("the segment is appended");
    segments.push(damaged.clone());
    segments.extend(fill(&*log, &mut maker, 1).await);
    let sequence = damaged.info().sequence();
    subject.flip_bit(sequence, permille).await;

    assert_never_served(&*log, sequence).await;
    for whole in [&segments[0], &segments[2]] {
        let view = log.read(whole.info().sequence()).await.expect("the others are served");
        assert_eq!(view.info(), whole.info());
    }
    // Each frame is either returned as it was sealed, or refused. At least one part of the segment
    // is refused.
    let frames = damaged.info().seal.frames.len() as u32;
    for ordinal in 0..frames {
        match log.read_frame(damaged.info(), ordinal).await {
            Ok(frame) => drop(frame.decode().expect("a frame that is served is whole")),
            Err(LogError::Corrupt { .. }) => {}
            Err(other) => panic!("frame {ordinal}: {other}"),
        }
    }
    drop(log);
    // Opening the log finds damage to header and seal; reading frames finds damage to frames.
    match subject.open().await {
        Ok(log) => assert_never_served(&*log, sequence).await,
        Err(LogError::Corrupt { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

async fn assert_never_served(log: &dyn SegmentLog, sequence: Sequence) {
    let outcome = log.read(sequence).await.map(drop);
    assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
}

pub(super) async fn a_replaced_segment_is_never_served(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    fill(&*log, &mut maker, 1).await;
    let mut forger = maker.clone();
    fill(&*log, &mut maker, 2).await;
    // The entries, sequence and predecessor are the same. Only the seal shows that it is another
    // segment.
    forger.epoch = hindsight_segment::WriterEpoch(7);
    subject.replace(Sequence(2), forger.make(3)).await;
    assert_never_served(&*log, Sequence(2)).await;
    let outcome = log.infos(Sequence::FIRST, 9).await.map(drop);
    assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    drop(log);
    match subject.open().await {
        Ok(log) => assert_never_served(&*log, Sequence(2)).await,
        Err(LogError::Corrupt { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}
