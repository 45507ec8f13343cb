//! Topics whose oldest records are gone.

use super::*;

/// Two writers, one after the other, with three segments each.
fn two_writers() -> (Topic, Vec<SealedSegment>) {
    let mut maker = SegmentMaker::default();
    let segments: Vec<_> = (0..6).map(|_| maker.make(30)).collect();
    let mut topic = Topic::default();
    topic.claim(7, 1, 0);
    for (segment, number) in segments[..3].iter().zip(1..) {
        topic.send(&records(segment, attempt(7, 1, number)));
        topic.put(note(7, 1, Says::Beat), Bytes::new());
    }
    topic.claim(8, 2, 1);
    for (segment, number) in segments[3..].iter().zip(1..) {
        topic.send(&records(segment, attempt(8, 2, number)));
        topic.put(note(8, 2, Says::Beat), Bytes::new());
    }
    (topic, segments)
}

#[test]
fn a_topic_is_read_from_its_first_whole_segment_on() {
    let (topic, segments) = two_writers();
    let all: Vec<_> = segments.iter().map(SealedSegment::digest).collect();
    for first in 1..topic.next {
        let left = topic.read_from(first);
        let whole = topic.accepted.iter().filter(|it| it.place.first >= first).count();
        assert_eq!(left.digests(), all[6 - whole..], "from {first}");
        assert_eq!(left.chain.broken(), None, "from {first}");
        assert_eq!(left.chain.has_lost_end(), whole == 0, "from {first}");
        assert!(left.chain.is_held_by(WriterEpoch(2), WriterId(8)), "from {first}");
    }
}

#[test]
fn the_leader_whose_claim_is_gone_is_told_by_its_records() {
    let (mut topic, segments) = two_writers();
    let after_its_claim = topic.accepted[3].place.first;
    let left = topic.read_from(after_its_claim);
    let leader = left.chain.leader();
    assert_eq!((leader.epoch, leader.instance), (WriterEpoch(2), Instance::UNKNOWN));
    assert!(leader.name.contains("gone from the topic"), "{}", leader.name);
    // It goes on, resigns, and another one takes over as ever.
    let mut maker = SegmentMaker { sequence: Sequence(7), ..SegmentMaker::default() };
    maker.predecessor = segments[5].digest();
    maker.next = hindsight_oplog::OpTime::new(1_700_000_000, 1000, 1);
    topic.send(&records(&maker.make(3), attempt(8, 2, 4)));
    topic.put(note(8, 2, Says::Resign), Bytes::new());
    let left = topic.read_from(after_its_claim);
    assert_eq!(left.chain.end(), topic.chain.end());
    assert!(left.chain.leader().has_resigned);
    topic.claim(9, 3, 2);
    topic.claim(10, 3, 2);
    let left = topic.read_from(after_its_claim);
    assert_eq!(left.chain.leader().name, "writer 9");
    assert_eq!(left.chain.ignored().late_claims, 1);
}

/// A writer that does not know yet that it was superseded sends a whole segment.
#[test]
fn records_of_a_superseded_writer_do_not_count_when_the_claim_is_gone() {
    let mut maker = SegmentMaker::default();
    let one = maker.make(3);
    let (late, two) = (maker.clone().make(9), maker.clone().make(4));
    let mut topic = Topic::default();
    topic.claim(7, 1, 0);
    topic.send(&records(&one, attempt(7, 1, 1)));
    topic.claim(8, 2, 1);
    let after_the_claim = topic.next;
    topic.send(&records(&late, attempt(7, 1, 2)));
    let left = topic.read_from(after_the_claim);
    assert_eq!(left.digests(), [late.digest()], "nothing tells of the claim yet");
    topic.put(note(8, 2, Says::Beat), Bytes::new());
    let left = topic.read_from(after_the_claim);
    assert!(left.chain.has_lost_end(), "a beat of a newer epoch does");
    topic.send(&records(&two, attempt(8, 2, 1)));
    let left = topic.read_from(after_the_claim);
    assert_eq!(left.digests(), [two.digest()]);
    topic.send(&records(&late, attempt(7, 1, 3)));
    let left = topic.read_from(after_the_claim);
    assert_eq!(left.digests(), [two.digest()]);
    assert_eq!(left.chain.ignored().fenced, topic.chain.ignored().fenced - 2);
}

/// So does the claim of a third writer, which names the one that it supersedes.
#[test]
fn a_claim_tells_of_the_claim_before_it() {
    let mut maker = SegmentMaker::default();
    let one = maker.make(3);
    let late = maker.clone().make(9);
    let mut topic = Topic::default();
    topic.claim(7, 1, 0);
    topic.send(&records(&one, attempt(7, 1, 1)));
    topic.claim(8, 2, 1);
    let after_the_claim = topic.next;
    topic.put(note(7, 1, Says::Base(BaseDigest([3; 32]))), Bytes::from_static(b"late"));
    topic.send(&records(&late, attempt(7, 1, 2)));
    topic.claim(9, 3, 2);
    let left = topic.read_from(after_the_claim);
    assert!(left.chain.is_held_by(WriterEpoch(3), WriterId(9)));
    assert!(left.chain.has_lost_end() && left.chain.bases().is_empty());
    let two = maker.make(4);
    topic.send(&records(&two, attempt(9, 3, 1)));
    assert_eq!(topic.read_from(after_the_claim).digests(), [two.digest()]);
}

/// An attempt that came too late was a repetition. Where the one before it is gone, only the next
/// segment tells.
#[test]
fn a_repetition_does_not_begin_a_log() {
    let mut maker = SegmentMaker::default();
    let mut recut = maker.clone();
    let one = maker.make(3);
    let mut topic = Topic::default();
    topic.claim(7, 1, 0);
    topic.send(&records(&one, attempt(7, 1, 1)));
    let first = topic.next;
    topic.send(&records(&recut.make(8), attempt(7, 1, 2)));
    assert_eq!(topic.read_from(first).digests().len(), 1);
    let (two, three) = (maker.make(4), maker.make(4));
    topic.send(&records(&two, attempt(7, 1, 3)));
    assert_eq!(topic.read_from(first).digests(), [two.digest()]);
    topic.send(&records(&three, attempt(7, 1, 4)));
    let left = topic.read_from(first);
    assert_eq!(left.digests(), [two.digest(), three.digest()]);
    assert!(!left.chain.is_unconfirmed());
    // What follows another segment once the beginning is confirmed is damage, as ever.
    let mut stranger = maker.clone();
    stranger.predecessor = two.digest();
    topic.send(&records(&stranger.make(4), attempt(7, 1, 5)));
    let broken = topic.read_from(first).chain.broken().cloned();
    assert!(matches!(broken, Some(Break { damage: Damage::Chain(_), .. })), "{broken:?}");
}

/// Damage to the first segment that is left is damage, not a later beginning.
#[test]
fn a_damaged_first_segment_is_not_passed_over() {
    let (topic, _) = two_writers();
    let place = topic.accepted[1].place;
    for offset in place.first..=place.last {
        for is_lost in [false, true] {
            let mut damaged = topic.read_from(place.first);
            damaged.chain = Chain::of_trimmed();
            damaged.accepted.clear();
            damaged.next = place.first;
            for (at, (head, value)) in std::mem::take(&mut damaged.records).into_iter().enumerate()
            {
                let mut bytes = value.to_vec();
                if place.first + at as i64 == offset {
                    if is_lost {
                        damaged.next += 1;
                        continue;
                    }
                    bytes[70] ^= 1;
                }
                damaged.put(head, bytes.into());
            }
            // Whoever lost the first or the last record looks as if less were left.
            let is_at_an_end = offset == place.first || offset == place.last;
            if is_lost && is_at_an_end {
                continue;
            }
            assert!(damaged.accepted.is_empty(), "record {offset}, lost: {is_lost}");
            assert!(damaged.chain.broken().is_some(), "record {offset}, lost: {is_lost}");
            // The claim of a third writer does not make what comes later the beginning.
            damaged.claim(9, 3, 2);
            let sixth = &topic.records[topic.accepted[5].place.first as usize..];
            for (head, value) in sixth {
                let Ok(Head::Piece(piece)) = head else { continue };
                let attempt = attempt(9, 3, 1);
                damaged.put(Ok(Head::Piece(PieceHead { attempt, ..*piece })), value.clone());
            }
            assert!(damaged.chain.has_lost_end(), "record {offset}, lost: {is_lost}");
            assert!(damaged.chain.broken().is_some(), "record {offset}, lost: {is_lost}");
        }
    }
}

/// Only records before the beginning are gone without being lost.
#[test]
fn records_that_are_lost_after_the_beginning_are_damage() {
    let mut maker = SegmentMaker::default();
    let segments = [maker.make(100), maker.make(100), maker.make(100)];
    let sent: Vec<_> =
        segments.iter().zip(1..).map(|(it, n)| records(it, attempt(7, 1, n))).collect();
    let trimmed = || Topic { chain: Chain::of_trimmed(), next: 50, ..Topic::default() };
    // The writer's claim is there, so everything that it sent must be.
    let mut topic = trimmed();
    topic.claim(7, 1, 0);
    topic.send(&sent[1][1..]);
    assert!(topic.chain.broken().is_some());
    // The claim is gone, and so may be the beginning of the first segment.
    let mut topic = trimmed();
    topic.send(&sent[0][1..]);
    assert_eq!(topic.chain.broken(), None);
    topic.send(&sent[1]);
    topic.send(&sent[2]);
    assert_eq!(topic.digests(), [segments[1].digest(), segments[2].digest()]);
    // After two segments, no other can have begun before them.
    topic.send(&records(&maker.make(100), attempt(7, 1, 4))[1..]);
    let damage = topic.chain.broken().map(|broken| broken.damage.clone());
    assert_eq!(damage, Some(Damage::Incomplete));
}

#[test]
fn bases_whose_notices_are_left_are_known_and_one_said_again_is_known_from_there() {
    let base = |digest: u8| Says::Base(BaseDigest([digest; 32]));
    let mut topic = Topic::default();
    topic.claim(7, 1, 0);
    topic.put(note(7, 1, base(1)), Bytes::from_static(b"one"));
    topic.put(note(7, 1, base(2)), Bytes::from_static(b"two"));
    let first = topic.next;
    topic.send(&records(&SegmentMaker::default().make(3), attempt(7, 1, 1)));
    topic.put(note(7, 1, base(1)), Bytes::from_static(b"one"));
    let known = |topic: &Topic| -> Vec<(String, i64)> {
        topic.chain.bases().iter().map(|it| (it.notice.name.clone(), it.offset)).collect()
    };
    let again = topic.next - 1;
    assert_eq!(known(&topic), [("one".to_owned(), again), ("two".to_owned(), 2)]);
    assert_eq!(topic.chain.newest_base(), Some(again));
    assert_eq!(known(&topic.read_from(first)), [("one".to_owned(), again)]);
}
