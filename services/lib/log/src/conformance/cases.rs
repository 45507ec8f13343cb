//! Promises of a log whose store works.

use hindsight_segment::{
    ChainBreak, GapNotice, GapReason, SealedSegment, SegmentDigest, Sequence, WriterEpoch,
};

use super::{SegmentMaker, Subject};
use crate::{LogError, SegmentLog};

pub(super) async fn open(subject: &dyn Subject) -> Box<dyn SegmentLog> {
    subject.open().await.expect("the log opens")
}

/// Appends `count` segments and returns them.
pub(super) async fn fill(
    log: &dyn SegmentLog,
    maker: &mut SegmentMaker,
    count: usize,
) -> Vec<SealedSegment> {
    let mut segments = Vec::new();
    for _ in 0..count {
        let segment = maker.make(3);
        log.append(segment.clone()).await.expect("a segment that follows is appended");
        segments.push(segment);
    }
    segments
}

/// Asserts that the log holds exactly these segments.
pub(super) async fn assert_holds(log: &dyn SegmentLog, segments: &[SealedSegment]) {
    let end = log.end().await.expect("the end is read");
    assert_eq!(end.as_ref(), segments.last().map(SealedSegment::info), "the end");
    let infos = log.infos(Sequence::FIRST, usize::MAX).await.expect("infos are read");
    assert!(infos.iter().eq(segments.iter().map(SealedSegment::info)), "the infos");
    for segment in segments {
        let sequence = segment.info().sequence();
        let view = log.read(sequence).await.expect("a segment is read");
        assert_eq!(view.info(), segment.info());
    }
    let past = Sequence(segments.len() as u64 + 1);
    let outcome = log.read(past).await.map(drop);
    assert!(matches!(outcome, Err(LogError::NotFound { .. })), "past the end: {outcome:?}");
}

pub(super) async fn empty_log_has_nothing(subject: &dyn Subject) {
    let log = open(subject).await;
    assert_holds(&*log, &[]).await;
    for sequence in [0, 1, 2, u64::MAX] {
        let outcome = log.read(Sequence(sequence)).await.map(drop);
        assert!(matches!(outcome, Err(LogError::NotFound { .. })), "{sequence}: {outcome:?}");
    }
}

pub(super) async fn what_is_appended_is_read_back(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let first_optime = maker.next;
    let mut segments = fill(&*log, &mut maker, 3).await;
    let long = maker.make(500);
    log.append(long.clone()).await.expect("a segment of many frames is appended");
    segments.push(long);
    assert_holds(&*log, &segments).await;

    let mut expected = first_optime;
    for number in 1..=4 {
        let view = log.read(Sequence(number)).await.expect("a segment is read");
        for frame in view.frames() {
            for entry in frame.decode().expect("a frame is decoded").entries() {
                assert_eq!(entry, super::sample_entry(expected), "entries byte for byte (I1)");
                expected.ts = hindsight_oplog::Timestamp::from_u64(expected.ts.as_u64() + 1);
            }
        }
    }
    assert_eq!(expected, maker.next, "all entries");
}

pub(super) async fn appended_segments_survive_reopening(subject: &dyn Subject) {
    let mut maker = SegmentMaker::default();
    let log = open(subject).await;
    let mut segments = fill(&*log, &mut maker, 2).await;
    drop(log);
    let log = open(subject).await;
    assert_holds(&*log, &segments).await;
    segments.extend(fill(&*log, &mut maker, 2).await);
    drop(log);
    assert_holds(&*open(subject).await, &segments).await;
}

pub(super) async fn infos_come_in_pages(subject: &dyn Subject) {
    let log = open(subject).await;
    let segments = fill(&*log, &mut SegmentMaker::default(), 5).await;
    for (from, limit, expected) in
        [(1, 2, 0..2), (3, 2, 2..4), (5, 2, 4..5), (6, 2, 5..5), (0, 1, 0..1), (2, 9, 1..5)]
    {
        let page = log.infos(Sequence(from), limit).await.expect("infos are read");
        assert!(page.iter().eq(segments[expected].iter().map(SealedSegment::info)), "{from}");
    }
    assert!(log.infos(Sequence(u64::MAX), 1).await.expect("infos are read").is_empty());
}

pub(super) async fn frames_are_read_alone(subject: &dyn Subject) {
    let log = open(subject).await;
    let segment = SegmentMaker::default().make(300);
    log.append(segment.clone()).await.expect("the segment is appended");
    let info = segment.info();
    assert!(info.seal.frames.len() > 5, "several frames");
    for (ordinal, line) in (0..).zip(&info.seal.frames) {
        let frame = log.read_frame(info, ordinal).await.expect("a frame is read");
        let decoded = frame.decode().expect("a frame is decoded");
        let first = decoded.parsed().next().expect("a frame has entries").expect("an entry");
        assert_eq!(first.optime, line.first);
        assert_eq!(decoded.entries().count(), line.entries as usize);
    }
    let past = info.seal.frames.len() as u32;
    let outcome = log.read_frame(info, past).await.map(drop);
    assert!(matches!(outcome, Err(LogError::NotFound { .. })), "{outcome:?}");
}

pub(super) async fn what_does_not_follow_is_refused(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut late = maker.clone();
    late.sequence = Sequence(2);
    assert_not_next(&*log, late.make(1)).await;
    let mut claims = maker.clone();
    claims.predecessor = SegmentDigest([1; 32]);
    assert_not_next(&*log, claims.make(1)).await;

    let segments = fill(&*log, &mut maker, 3).await;
    assert_not_next(&*log, segments[0].clone()).await;
    assert_not_next(&*log, segments[1].clone()).await;
    let changes: [fn(&mut SegmentMaker); 4] = [
        |it| it.sequence = Sequence(5),
        |it| it.sequence = Sequence(3),
        |it| it.predecessor = SegmentDigest::NONE,
        |it| it.next = hindsight_oplog::OpTime::new(1_700_000_000, 9, 1),
    ];
    for change in changes {
        let mut other = maker.clone();
        change(&mut other);
        assert_not_next(&*log, other.make(1)).await;
    }
    assert_holds(&*log, &segments).await;
}

async fn assert_not_next(log: &dyn SegmentLog, segment: SealedSegment) {
    let outcome = log.append(segment).await;
    assert!(matches!(outcome, Err(LogError::NotNext { .. })), "{outcome:?}");
}

pub(super) async fn another_replica_set_is_refused(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let segments = fill(&*log, &mut maker, 1).await;
    maker.source.replica_set_id = *b"another--set";
    let outcome = log.append(maker.make(1)).await;
    let Err(LogError::Foreign { expected, found, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(*expected, maker.source, "what is to be appended");
    assert_eq!(*found, segments[0].info().header.source, "what the log belongs to");
    assert_holds(&*log, &segments).await;
}

pub(super) async fn an_older_epoch_is_fenced(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut newer = SegmentMaker { epoch: WriterEpoch(5), ..SegmentMaker::default() };
    let mut segments = fill(&*log, &mut newer, 1).await;
    let mut older = newer.clone();
    older.epoch = WriterEpoch(4);
    let outcome = log.append(older.make(1)).await;
    let fenced =
        matches!(&outcome, Err(LogError::NotNext { reason: ChainBreak::Epoch { .. }, .. }));
    assert!(fenced, "{outcome:?}");
    segments.extend(fill(&*log, &mut newer, 1).await);
    assert_holds(&*log, &segments).await;
}

pub(super) async fn appending_the_end_again_does_nothing(subject: &dyn Subject) {
    let log = open(subject).await;
    let segments = fill(&*log, &mut SegmentMaker::default(), 2).await;
    log.append(segments[1].clone()).await.expect("it is there already");
    assert_holds(&*log, &segments).await;
    drop(log);
    let log = open(subject).await;
    log.append(segments[1].clone()).await.expect("it is there already, after reopening too");
    assert_holds(&*log, &segments).await;
}

pub(super) async fn a_gap_is_carried(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 1).await;
    maker.next = hindsight_oplog::OpTime::new(1_700_009_000, 1, 2);
    let gap = GapNotice {
        after: segments[0].info().last(),
        before: maker.next,
        reason: GapReason::RolledOver,
        detail: "flooded while we were away".to_owned(),
        detected_at_ms: 1_700_009_001_000,
    };
    let mut untrue = maker.clone();
    untrue.gap = Some(GapNotice { after: hindsight_oplog::OpTime::new(1, 1, 1), ..gap.clone() });
    assert_not_next(&*log, untrue.make(1)).await;
    maker.gap = Some(gap.clone());
    segments.extend(fill(&*log, &mut maker, 2).await);
    assert_holds(&*log, &segments).await;
    let infos = log.infos(Sequence::FIRST, 9).await.expect("infos are read");
    let gaps: Vec<_> = infos.iter().map(|info| info.header.gap.clone()).collect();
    assert_eq!(gaps, [None, Some(gap), None]);
}

pub(super) async fn of_two_appends_at_once_one_extends_the_log(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 1).await;
    let (one, two) = (maker.clone().make(1), maker.clone().make(2));
    let outcomes = tokio::join!(log.append(one.clone()), log.append(two.clone()));
    let winner = match outcomes {
        (Ok(()), Err(LogError::NotNext { .. })) => one,
        (Err(LogError::NotNext { .. }), Ok(())) => two,
        other => panic!("{other:?}"),
    };
    segments.push(winner);
    assert_holds(&*log, &segments).await;
}

pub(super) async fn reading_goes_on_while_appending(subject: &dyn Subject) {
    let log = open(subject).await;
    let mut maker = SegmentMaker::default();
    let mut segments = fill(&*log, &mut maker, 1).await;
    let write = async {
        let mut appended = Vec::new();
        for _ in 0..20 {
            appended.extend(fill(&*log, &mut maker, 1).await);
            tokio::task::yield_now().await;
        }
        appended
    };
    let read = async {
        let mut seen = 0;
        while seen < 21 {
            let infos = log.infos(Sequence::FIRST, usize::MAX).await.expect("infos are read");
            assert!(infos.len() >= seen, "the log never gets shorter");
            seen = infos.len();
            let last = Sequence(seen as u64);
            assert_eq!(log.read(last).await.expect("it is read").info(), &infos[seen - 1]);
            tokio::task::yield_now().await;
        }
    };
    let (appended, ()) = tokio::join!(write, read);
    segments.extend(appended);
    assert_holds(&*log, &segments).await;
}
