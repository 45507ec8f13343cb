use hindsight_segment::{SealedSegment, Sequence};

use super::*;
use crate::conformance::SegmentMaker;
use crate::kafka::bases::MAX_NAME_BYTES;
use crate::kafka::layout::{Outgoing, lay_out};
use crate::kafka::record::{Attempt, Piece};
use crate::shared::{BaseDigest, Instance};

mod interleaved;
mod trimmed;

const LIMIT: usize = 1 << 20;

/// A topic, and what a reader made of it.
#[derive(Default)]
struct Topic {
    chain: Chain,
    next: i64,
    accepted: Vec<Accepted>,
    records: Vec<(Result<Head, NotOurs>, Bytes)>,
}

impl Topic {
    fn put(&mut self, head: Result<Head, NotOurs>, value: Bytes) {
        self.records.push((head, value.clone()));
        let accepted = self.chain.take(self.next, head, value);
        if self.chain.end().is_none() || accepted.as_ref().is_some_and(|it| it.begins) {
            self.accepted.clear();
        }
        self.accepted.extend(accepted);
        self.next += 1;
    }

    /// What a reader makes of the topic when the records before `first` are gone.
    fn read_from(&self, first: i64) -> Self {
        let mut topic = Self { chain: Chain::of_trimmed(), next: first, ..Self::default() };
        for (head, value) in &self.records[first as usize..] {
            topic.put(*head, value.clone());
        }
        topic
    }

    fn claim(&mut self, writer: u64, epoch: u64, supersedes: u64) {
        let (epoch, supersedes) = (WriterEpoch(epoch), WriterEpoch(supersedes));
        let (writer, instance) = (WriterId(writer), Instance(writer + 100));
        let claim = Claim { writer, epoch, supersedes, instance };
        self.put(Ok(Head::Claim(claim)), Bytes::from(format!("writer {}", writer.0)));
    }

    fn send(&mut self, records: &[Outgoing]) {
        for record in records {
            self.put(Ok(Head::Piece(record.head)), record.value.clone());
        }
    }

    fn digests(&self) -> Vec<hindsight_segment::SegmentDigest> {
        self.accepted.iter().map(|it| it.info.digest).collect()
    }
}

fn note(writer: u64, epoch: u64, says: Says) -> Result<Head, NotOurs> {
    Ok(Head::Note(Note { writer: WriterId(writer), epoch: WriterEpoch(epoch), says }))
}

#[test]
fn whoever_leads_is_heard_and_nobody_else() {
    let mut topic = Topic::default();
    assert_eq!(topic.chain.leader(), Leader::nobody());
    topic.put(note(7, 1, Says::Beat), Bytes::new());
    topic.claim(7, 1, 0);
    let claimed = topic.chain.leader();
    assert_eq!((claimed.epoch, claimed.instance), (WriterEpoch(1), Instance(107)));
    assert_eq!((claimed.name.as_str(), claimed.has_resigned), ("writer 7", false));
    let signs = |topic: &Topic| topic.chain.leader().signs;
    let mut before = signs(&topic);
    let segment = SegmentMaker::default().make(3);
    topic.put(note(7, 1, Says::Beat), Bytes::new());
    assert!(signs(&topic) > std::mem::replace(&mut before, signs(&topic)));
    topic.send(&records(&segment, attempt(7, 1, 1)));
    assert!(signs(&topic) > std::mem::replace(&mut before, signs(&topic)));
    topic.put(note(8, 1, Says::Beat), Bytes::new());
    topic.put(note(7, 2, Says::Resign), Bytes::new());
    topic.put(note(8, 2, Says::Base(BaseDigest([1; 32]))), Bytes::from_static(b"other"));
    assert_eq!(signs(&topic), before, "others do not count");
    assert_eq!(topic.chain.ignored().fenced, 4);
    topic.put(note(7, 1, Says::Resign), Bytes::new());
    assert!(topic.chain.leader().has_resigned);
    topic.claim(8, 2, 1);
    assert!(!topic.chain.leader().has_resigned, "that was the one before");
    assert!(topic.chain.bases().is_empty());
}

#[test]
fn bases_are_announced_once_by_whoever_leads() {
    let mut topic = Topic::default();
    topic.claim(7, 1, 0);
    let base = |digest: u8| Says::Base(BaseDigest([digest; 32]));
    for (digest, name) in [(1, "base-1"), (2, "base-2"), (1, "base-1")] {
        topic.put(note(7, 1, base(digest)), Bytes::from(name));
    }
    topic.claim(8, 2, 1);
    topic.put(note(7, 1, base(3)), Bytes::from_static(b"base-3"));
    topic.put(note(8, 2, base(4)), Bytes::from(vec![b'x'; 1000]));
    let names: Vec<_> = topic.chain.bases().iter().map(|it| it.notice.name.clone()).collect();
    assert_eq!(names, ["base-1".to_owned(), "base-2".to_owned(), "x".repeat(MAX_NAME_BYTES)]);
}

/// What a writer knows of its own segments is what every reader reads.
#[test]
fn own_segments_are_taken_as_their_records_would_be() {
    let mut maker = SegmentMaker::default();
    let (one, two, three) = (maker.make(3), maker.make(60), maker.make(5));
    let (mut read, mut own) = (Topic::default(), Topic::default());
    for topic in [&mut read, &mut own] {
        topic.claim(7, 1, 0);
        topic.send(&records(&one, attempt(7, 1, 1)));
    }
    let sent = records(&two, attempt(7, 1, 2));
    let first = read.next;
    let last = first + sent.len() as i64 - 1;
    let place = Place { first, seal: last, last };
    read.send(&sent);
    let taken = own.chain.take_own(attempt(7, 1, 2), two.info(), place).unwrap();
    assert_eq!(taken.place, read.accepted[1].place);
    assert_eq!(own.chain.end(), read.chain.end());
    for topic in [&mut read, &mut own] {
        topic.next = last + 1;
        topic.send(&sent);
        topic.send(&records(&three, attempt(7, 1, 3)));
        assert_eq!(topic.chain.end(), Some(three.info()));
    }
    assert_eq!(own.chain.ignored(), read.chain.ignored());
    // Not the next segment, of an older attempt, or of a writer that no longer holds the log.
    let next = maker.make(2);
    assert!(own.chain.take_own(attempt(7, 1, 4), two.info(), place).is_none());
    assert!(own.chain.take_own(attempt(7, 1, 3), next.info(), place).is_none());
    assert!(own.chain.take_own(attempt(8, 2, 1), next.info(), place).is_none());
    own.claim(8, 2, 1);
    assert!(own.chain.take_own(attempt(7, 1, 4), next.info(), place).is_none());
    assert!(own.chain.take_own(attempt(8, 2, 1), next.info(), place).is_some());
}

fn attempt(writer: u64, epoch: u64, number: u64) -> Attempt {
    Attempt { writer: WriterId(writer), epoch: WriterEpoch(epoch), number }
}

fn records(segment: &SealedSegment, attempt: Attempt) -> Vec<Outgoing> {
    lay_out(segment, attempt, LIMIT)
}

#[test]
fn a_segment_is_one_record_a_frame_and_a_seal() {
    let segment = SegmentMaker::default().make(200);
    let sent = records(&segment, attempt(1, 1, 1));
    let frames = segment.info().seal.frames.len();
    assert!(frames > 3);
    assert_eq!(sent.len(), frames + 1);
    let mut topic = Topic::default();
    topic.claim(1, 1, 0);
    topic.send(&sent[..frames]);
    assert!(topic.accepted.is_empty(), "not before its seal");
    topic.send(&sent[frames..]);
    assert_eq!(topic.digests(), [segment.digest()]);
    let last = frames as i64 + 1;
    assert_eq!(topic.accepted[0].place, Place { first: 1, seal: last, last });
    assert_eq!(topic.chain.end(), Some(segment.info()));
    assert_eq!(topic.chain.ignored(), Ignored::default());
}

#[test]
fn pieces_of_any_length_are_split_and_joined() {
    let segment = SegmentMaker::default().make(60);
    for limit in [1, 7, 100, 1000, 4096] {
        let sent = lay_out(&segment, attempt(1, 1, 1), limit);
        assert!(sent.iter().all(|it| it.value.len() <= limit), "{limit}");
        let mut gather = Gather::new(&sent[0].head, 0);
        let mut whole = None;
        for (record, offset) in sent.iter().zip(0..) {
            match gather.take(&record.head, offset, record.value.clone()) {
                Gathered::More => {}
                Gathered::Whole(it) => whole = Some(it),
                Gathered::Torn => panic!("limit {limit}, record {}", record.head.record),
            }
        }
        let whole = whole.unwrap();
        assert_eq!(whole.place.last, sent.len() as i64 - 1);
        assert_eq!(whole.verify().unwrap(), **segment.info());
        let seal = whole.place.seal as usize;
        assert!(matches!(sent[seal].head.piece, Piece::Seal { .. }));
        assert_eq!(whole.into_view().unwrap().info(), segment.info());

        let mut gather = Gather::seal_only(&sent[seal].head, seal as i64);
        let last = sent[seal..].iter().map(|it| gather.take(&it.head, 0, it.value.clone())).last();
        let Some(Gathered::Whole(sealed)) = last else { panic!("{last:?}") };
        assert_eq!(sealed.sealed().info().unwrap(), **segment.info());
    }
}

#[test]
fn nothing_counts_before_a_claim_or_after_a_newer_one() {
    let mut maker = SegmentMaker::default();
    let (one, mut other) = (maker.make(3), maker.clone());
    let two = maker.make(3);
    let mut topic = Topic::default();
    topic.send(&records(&one, attempt(7, 1, 1)));
    assert_eq!(topic.chain.ignored().fenced, 2, "nobody claimed");
    topic.claim(7, 1, 0);
    topic.send(&records(&one, attempt(7, 1, 2)));
    let late = records(&two, attempt(7, 1, 3));
    topic.send(&late[..1]);
    topic.claim(8, 2, 1);
    topic.send(&late[1..]);
    assert_eq!(topic.digests(), [one.digest()], "a seal after a claim seals nothing");
    let two = other.make(5);
    topic.send(&records(&two, attempt(8, 2, 1)));
    topic.send(&records(&two, attempt(9, 2, 1)));
    assert_eq!(topic.digests(), [one.digest(), two.digest()]);
    let ignored = topic.chain.ignored();
    assert_eq!((ignored.fenced, ignored.unsealed), (2 + 1 + 2, 1));
    assert_eq!(topic.chain.broken(), None);
}

#[test]
fn of_claims_on_the_same_epoch_the_first_one_holds() {
    let mut topic = Topic::default();
    topic.claim(1, 4, 0);
    for (writer, epoch, supersedes) in [(2, 5, 0), (3, 4, 4), (3, 3, 4), (4, 9, 5)] {
        topic.claim(writer, epoch, supersedes);
        assert!(topic.chain.is_held_by(WriterEpoch(4), WriterId(1)));
    }
    assert_eq!(topic.chain.ignored().late_claims, 4);
    topic.claim(5, 9, 4);
    topic.claim(6, 9, 4);
    assert!(topic.chain.is_held_by(WriterEpoch(9), WriterId(5)));
}

#[test]
fn what_is_not_ours_is_counted_and_no_more() {
    let segment = SegmentMaker::default().make(30);
    let sent = records(&segment, attempt(1, 1, 1));
    let mut topic = Topic::default();
    topic.claim(1, 1, 0);
    for record in &sent {
        topic.put(Err(NotOurs::Foreign), Bytes::from_static(b"hello"));
        topic.put(Err(NotOurs::Malformed("hs-part")), Bytes::new());
        topic.send(std::slice::from_ref(record));
    }
    assert_eq!(topic.digests(), [segment.digest()]);
    let records = sent.len() as u64;
    let expected = Ignored { foreign: records, malformed: records, ..Ignored::default() };
    assert_eq!(topic.chain.ignored(), expected);
}

#[test]
fn a_repeated_segment_is_taken_once() {
    let mut maker = SegmentMaker::default();
    let mut recut = maker.clone();
    let one = maker.make(3);
    let mut topic = Topic::default();
    topic.claim(1, 1, 0);
    topic.send(&records(&one, attempt(1, 1, 1)));
    topic.send(&records(&one, attempt(1, 1, 2)));
    topic.send(&records(&recut.make(2), attempt(1, 1, 3)));
    topic.send(&records(&one, attempt(1, 1, 1)));
    assert_eq!(topic.digests(), [one.digest()]);
    assert_eq!((topic.chain.ignored().repeated, topic.chain.ignored().stale), (2, 2));
    assert_eq!(topic.chain.broken(), None);
}

/// What the accepted writer sealed must be there: the log must not end silently before it.
#[test]
fn a_lost_or_altered_record_breaks_the_log_until_the_next_claim() {
    let mut maker = SegmentMaker::default();
    let segments = [maker.make(100), maker.make(100), maker.make(100)];
    let sent: Vec<_> =
        segments.iter().zip(1..).map(|(it, number)| records(it, attempt(1, 1, number))).collect();
    let count = sent[1].len();
    for index in 0..count {
        for alter in [false, true] {
            let mut topic = Topic::default();
            topic.claim(1, 1, 0);
            topic.send(&sent[0]);
            let mut second = sent[1].clone();
            if alter {
                let mut bytes = second[index].value.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
                second[index].value = bytes.into();
            } else {
                second.remove(index);
            }
            topic.send(&second);
            topic.send(&sent[2]);
            assert_eq!(topic.digests(), [segments[0].digest()], "record {index}");
            let broken = topic.chain.broken().expect("it is noticed").clone();
            if alter {
                assert!(matches!(broken.damage, Damage::Segment(_)), "{broken:?}");
            } else if index + 1 == count {
                assert_eq!(broken.damage, Damage::MissingBefore(Sequence(2)));
            } else {
                assert_eq!(broken.damage, Damage::Incomplete);
            }
            topic.claim(2, 2, 1);
            topic.send(&records(&segments[1], attempt(2, 2, 1)));
            assert_eq!(topic.digests().len(), 2, "a new writer goes on from the end");
            assert_eq!(topic.chain.broken(), None);
        }
    }
}

#[test]
fn a_topic_whose_beginning_was_deleted_is_no_log() {
    let mut maker = SegmentMaker::default();
    maker.make(1);
    let mut topic = Topic::default();
    topic.claim(1, 1, 0);
    topic.send(&records(&maker.make(1), attempt(1, 1, 1)));
    let damage = &topic.chain.broken().unwrap().damage;
    assert_eq!(*damage, Damage::MissingBefore(Sequence(1)));
}

#[test]
fn a_newer_layout_is_not_read_over() {
    let mut topic = Topic::default();
    topic.put(Err(NotOurs::Newer(2)), Bytes::new());
    let damage = &topic.chain.broken().unwrap().damage;
    assert_eq!(*damage, Damage::Segment(Error::Unsupported { found: 2, known: 1 }));
}
