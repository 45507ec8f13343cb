//! Promises of a log whose oldest segments were removed.

use hindsight_segment::{SealedSegment, SegmentDigest, Sequence, WriterEpoch};

use super::cases::{assert_holds, fill, open};
use super::{ScriptedFault, SegmentMaker, Subject};
use crate::{Beginning, LogError, SegmentLog};

/// Asserts that the log holds these of all segments that were ever appended, from index `removed`
/// on, and says of the others that they were removed.
async fn assert_holds_from(log: &dyn SegmentLog, all: &[SealedSegment], removed: usize) {
    let held = &all[removed..];
    let begins = held[0].info().sequence();
    let end = log.end().await.expect("the end is read");
    assert_eq!(end.as_ref(), held.last().map(SealedSegment::info), "the end");
    let infos = log.infos(Sequence::FIRST, usize::MAX).await.expect("infos are read");
    assert!(infos.iter().eq(held.iter().map(SealedSegment::info)), "the infos");
    for segment in held {
        let view = log.read(segment.info().sequence()).await.expect("a segment is read");
        assert_eq!(view.info(), segment.info());
        log.read_frame(segment.info(), 0).await.expect("a frame is read");
    }
    for segment in &all[..removed] {
        let sequence = segment.info().sequence();
        assert_removed(log.read(sequence).await.map(drop), sequence, begins);
        assert_removed(log.read_frame(segment.info(), 0).await.map(drop), sequence, begins);
    }
    for sequence in [0, all.len() as u64 + 1, u64::MAX] {
        let outcome = log.read(Sequence(sequence)).await.map(drop);
        assert!(matches!(outcome, Err(LogError::NotFound { .. })), "{sequence}: {outcome:?}");
    }
    let beginning = log.begin().await.expect("the beginning is read").expect("it holds segments");
    assert_begins_with(&beginning, &all[..=removed]);
}

fn assert_removed(outcome: Result<(), LogError>, wanted: Sequence, first: Sequence) {
    let Err(LogError::Removed { sequence, begins, .. }) = outcome else {
        panic!("{wanted}: {outcome:?}");
    };
    assert_eq!((sequence, begins), (wanted, first));
}

/// Asserts that the log begins with the last of these segments. What the log says of the one before
/// is true; it need not say everything.
fn assert_begins_with(beginning: &Beginning, segments: &[SealedSegment]) {
    let Some((first, removed)) = segments.split_last() else { panic!("a log has a segment") };
    let header = &first.info().header;
    assert_eq!(beginning.sequence, header.sequence);
    assert_eq!(beginning.source, header.source);
    assert_eq!(beginning.predecessor, header.predecessor);
    if let Some(before) = beginning.before {
        let last = removed.last().expect("there was a segment before").info();
        assert_eq!((before.epoch, before.last), (last.header.epoch, last.last()));
    }
}

async fn remove_before(log: &dyn SegmentLog, sequence: u64) {
    log.remove_before(Sequence(sequence)).await.expect("segments are removed");
}

pub(super) async fn a_log_begins_with_its_first_segment(subject: &dyn Subject) {
    let log = open(subject).await;
    assert_eq!(log.begin().await.expect("the beginning is read"), None, "it is empty");
    let segments = fill(&*log, &mut SegmentMaker::default(), 2).await;
    let beginning = log.begin().await.expect("the beginning is read").expect("it has segments");
    assert_begins_with(&beginning, &segments[..1]);
    assert_eq!(beginning.predecessor, SegmentDigest::NONE);
    assert_eq!(beginning.before, None);
    for sequence in [0, 1] {
        remove_before(&*log, sequence).await;
        assert_holds(&*log, &segments).await;
    }
}

pub(super) async fn what_was_removed_is_told_and_the_rest_is_read(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker { epoch: WriterEpoch(1), ..SegmentMaker::default() };
    let mut segments = fill(&*log, &mut maker, 2).await;
    maker.epoch = WriterEpoch(4);
    segments.extend(fill(&*log, &mut maker, 3).await);
    remove_before(&*log, 3).await;
    assert_holds_from(&*log, &segments, 2).await;
    drop(log);
    let log = open(subject).await;
    assert_holds_from(&*log, &segments, 2).await;
}

pub(super) async fn infos_begin_where_the_log_begins(subject: &dyn Subject) {
    let log = open(subject).await;
    let segments = fill(&*log, &mut SegmentMaker::default(), 5).await;
    remove_before(&*log, 3).await;
    for (from, limit, expected) in
        [(0, 1, 2..3), (1, 2, 2..4), (2, 9, 2..5), (3, 1, 2..3), (4, 9, 3..5), (6, 9, 5..5)]
    {
        let page = log.infos(Sequence(from), limit).await.expect("infos are read");
        assert!(page.iter().eq(segments[expected].iter().map(SealedSegment::info)), "{from}");
    }
    assert!(log.infos(Sequence(u64::MAX), 1).await.expect("infos are read").is_empty());
}

pub(super) async fn a_trimmed_log_goes_on_and_stays_trimmed(subject: &dyn Subject) {
    let mut maker = SegmentMaker::default();
    let log = open(subject).await;
    let mut segments = fill(&*log, &mut maker, 4).await;
    remove_before(&*log, 4).await;
    segments.extend(fill(&*log, &mut maker, 2).await);
    assert_holds_from(&*log, &segments, 3).await;
    drop(log);
    let log = open(subject).await;
    log.append(segments[5].clone()).await.expect("it is there already");
    assert_holds_from(&*log, &segments, 3).await;
    segments.extend(fill(&*log, &mut maker, 1).await);
    assert_holds_from(&*log, &segments, 3).await;
    drop(log);
    assert_holds_from(&*open(subject).await, &segments, 3).await;
}

pub(super) async fn a_log_is_trimmed_any_number_of_times(subject: &dyn Subject) {
    let mut maker = SegmentMaker::default();
    let log = open(subject).await;
    let mut segments = fill(&*log, &mut maker, 5).await;
    for (before, removed) in [(2, 1), (4, 3), (4, 3), (3, 3), (1, 3), (5, 4)] {
        remove_before(&*log, before).await;
        assert_holds_from(&*log, &segments, removed).await;
    }
    drop(log);
    let log = open(subject).await;
    segments.extend(fill(&*log, &mut maker, 2).await);
    remove_before(&*log, 6).await;
    assert_holds_from(&*log, &segments, 5).await;
    drop(log);
    assert_holds_from(&*open(subject).await, &segments, 5).await;
}

pub(super) async fn the_last_segment_stays(subject: &dyn Subject) {
    let log = open(subject).await;
    let refused = async |sequence: u64, ends: Option<u64>| {
        let outcome = log.remove_before(Sequence(sequence)).await;
        let Err(LogError::EndStays { end, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(end, ends.map(Sequence));
    };
    refused(2, None).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 3).await;
    refused(4, Some(3)).await;
    refused(u64::MAX, Some(3)).await;
    assert_holds(&*log, &segments).await;
    remove_before(&*log, 3).await;
    refused(4, Some(3)).await;
    assert_holds_from(&*log, &segments, 2).await;
    segments.extend(fill(&*log, &mut maker, 1).await);
    assert_holds_from(&*log, &segments, 2).await;
}

pub(super) async fn what_does_not_follow_a_trimmed_log_is_refused(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let segments = fill(&*log, &mut maker, 3).await;
    remove_before(&*log, 3).await;
    let mut late = maker.clone();
    late.sequence = Sequence(5);
    let mut other = maker.clone();
    other.predecessor = SegmentDigest([7; 32]);
    let begun_anew = SegmentMaker::default().make(2);
    for segment in [late.make(1), other.make(1), segments[0].clone(), begun_anew] {
        let outcome = log.append(segment).await;
        assert!(matches!(outcome, Err(LogError::NotNext { .. })), "{outcome:?}");
    }
    maker.source.replica_set_id = *b"another--set";
    let outcome = log.append(maker.make(1)).await;
    assert!(matches!(outcome, Err(LogError::Foreign { .. })), "{outcome:?}");
    assert_holds_from(&*log, &segments, 2).await;
}

pub(super) async fn a_reader_follows_a_removal(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 4).await;
    let handle = || async { subject.open_reader().await.expect("the log opens for reading") };
    let (asks_first, reads_first, lists_first) = (handle().await, handle().await, handle().await);
    for reader in [&asks_first, &reads_first, &lists_first] {
        assert_holds(&**reader, &segments).await;
    }
    remove_before(&*log, 3).await;
    let first = Sequence(1);
    assert_removed(reads_first.read(first).await.map(drop), first, Sequence(3));
    let infos = lists_first.infos(first, 1).await.expect("infos are read");
    assert!(infos.iter().eq([segments[2].info()]), "{infos:?}");
    segments.extend(fill(&*log, &mut maker, 2).await);
    // Everything that the readers knew is removed.
    remove_before(&*log, 6).await;
    for reader in [asks_first, reads_first, lists_first, handle().await] {
        assert_holds_from(&*reader, &segments, 5).await;
    }
}

pub(super) async fn reading_goes_on_while_removing(subject: &dyn Subject) {
    let log = open(subject).await;
    let segments = fill(&*log, &mut SegmentMaker::default(), 12).await;
    let reader = subject.open_reader().await.expect("the log opens for reading");
    let remove = async {
        for before in 2..=12 {
            remove_before(&*log, before).await;
            tokio::task::yield_now().await;
        }
    };
    let read = async |log: &dyn SegmentLog| {
        let mut begins = 1;
        while begins < 12 {
            let infos = log.infos(Sequence::FIRST, usize::MAX).await.expect("infos are read");
            let first = infos[0].sequence().0;
            assert!(first >= begins, "the log never begins earlier than it did");
            begins = first;
            let held = segments[begins as usize - 1..].iter().map(SealedSegment::info);
            assert!(infos.iter().eq(held), "from {begins} on");
            match log.read(Sequence(begins)).await {
                Ok(view) => assert_eq!(view.info(), &infos[0]),
                Err(LogError::Removed { begins: first, .. }) => assert!(first.0 > begins),
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(remove, read(&*log), read(&*reader));
    assert_holds_from(&*log, &segments, 11).await;
}

/// Damages the first segment that is left. `permille` is the position of the flipped bit, in
/// thousandths of the segment's length.
pub(super) async fn a_flipped_bit_in_the_first_segment_is_never_served(
    subject: &dyn Subject,
    permille: u64,
) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    fill(&*log, &mut maker, 2).await;
    let damaged = maker.make(200);
    log.append(damaged.clone()).await.expect("the segment is appended");
    let after = fill(&*log, &mut maker, 1).await;
    remove_before(&*log, 3).await;
    subject.flip_bit(Sequence(3), permille).await;
    let is_damage = |outcome: Result<(), LogError>| {
        assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    };
    is_damage(log.read(Sequence(3)).await.map(drop));
    let view = log.read(Sequence(4)).await.expect("the other is served");
    assert_eq!(view.info(), after[0].info());
    drop(log);
    match subject.open().await {
        Ok(log) => is_damage(log.read(Sequence(3)).await.map(drop)),
        Err(error) => is_damage(Err(error)),
    }
}

pub(super) async fn a_lost_answer_to_an_append_is_found_in_a_trimmed_log(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 2).await;
    let next = maker.make(3);
    subject.fail_next_append(ScriptedFault::AnswerLost).await;
    log.append(next.clone()).await.expect_err("the answer is lost");
    segments.push(next.clone());
    // What became durable without an answer is the end, and stays.
    remove_before(&*log, 3).await;
    assert_holds_from(&*log, &segments, 2).await;
    log.append(next).await.expect("repeating it finds it done");
    segments.extend(fill(&*log, &mut maker, 1).await);
    drop(log);
    assert_holds_from(&*open(subject).await, &segments, 2).await;
}
