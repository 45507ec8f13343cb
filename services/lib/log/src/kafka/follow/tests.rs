use std::path::Path;

use bytes::Bytes;
use hindsight_segment::{SealedSegment, WriterEpoch};

use super::*;
use crate::conformance::SegmentMaker;
use crate::kafka::landmarks;
use crate::kafka::layout::lay_out;
use crate::kafka::record::{Claim, Note, Says, WriterId};
use crate::shared::Instance;

const TOPIC: &str = "t";

fn attempt(epoch: u64, number: u64) -> Attempt {
    Attempt { writer: WriterId(epoch), epoch: WriterEpoch(epoch), number }
}

/// A follower of a topic that is read from offset 100 on, because the records before are gone.
fn trimmed(path: &Path) -> Follower {
    let mut follower = Follower::new(None, Some(Landmarks::open(path, TOPIC, None).unwrap()));
    follower.begin_at(100);
    follower
}

fn put(follower: &mut Follower, head: Head, value: Bytes) {
    let offset = follower.next;
    follower.take(Record { offset, head: Ok(head), value });
}

fn send(follower: &mut Follower, segment: &SealedSegment, attempt: Attempt) {
    for record in lay_out(segment, attempt, 1 << 20) {
        put(follower, Head::Piece(record.head), record.value);
    }
}

fn claim(follower: &mut Follower, epoch: u64, supersedes: u64) {
    let (writer, instance) = (WriterId(epoch), Instance(epoch));
    let (epoch, supersedes) = (WriterEpoch(epoch), WriterEpoch(supersedes));
    let claim = Claim { writer, epoch, supersedes, instance };
    put(follower, Head::Claim(claim), Bytes::new());
}

fn maker() -> SegmentMaker {
    let mut maker = SegmentMaker::default();
    maker.make(3);
    maker
}

/// Returns the sequences of the segments that are noted.
fn noted(path: &Path) -> Option<(Sequence, Sequence)> {
    landmarks::read(path, TOPIC).map(|found| (found.places.first(), found.places.next()))
}

#[test]
fn the_first_segment_is_noted_when_the_second_confirms_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("landmarks");
    let mut follower = trimmed(&path);
    let mut maker = maker();
    claim(&mut follower, 4, 3);
    send(&mut follower, &maker.make(5), attempt(4, 1));
    assert_eq!(follower.place(Sequence(2)).map(|place| place.first), Some(101));
    assert_eq!((follower.place(Sequence(1)), noted(&path)), (None, None));
    send(&mut follower, &maker.make(5), attempt(4, 2));
    assert_eq!(noted(&path), Some((Sequence(2), Sequence(4))));
    // What this process appends itself confirms it, too.
    let mut follower = trimmed(&path);
    let mut maker = self::maker();
    claim(&mut follower, 4, 3);
    send(&mut follower, &maker.make(5), attempt(4, 1));
    let (own, first) = (maker.make(5), follower.next);
    let place = Place { first, seal: first + 1, last: first + 1 };
    assert!(follower.take_own(attempt(4, 2), own.info(), place));
    assert_eq!(noted(&path), Some((Sequence(2), Sequence(4))));
    assert_eq!(follower.place(Sequence(3)), Some(place));
}

#[test]
fn a_repetition_at_the_beginning_is_neither_held_nor_noted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("landmarks");
    let mut follower = trimmed(&path);
    let mut maker = maker();
    claim(&mut follower, 4, 3);
    send(&mut follower, &maker.clone().make(9), attempt(4, 1));
    maker.make(5);
    let third = follower.next;
    send(&mut follower, &maker.make(5), attempt(4, 2));
    assert_eq!(follower.places.first(), Sequence(3));
    assert_eq!(follower.place(Sequence(3)).map(|place| place.first), Some(third));
    send(&mut follower, &maker.make(5), attempt(4, 3));
    assert_eq!(noted(&path), Some((Sequence(3), Sequence(5))));
}

#[test]
fn what_a_superseded_writer_sent_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("landmarks");
    let mut follower = trimmed(&path);
    let mut maker = maker();
    send(&mut follower, &maker.make(5), attempt(4, 1));
    assert_eq!(follower.places.first(), Sequence(2));
    let says = Note { writer: WriterId(5), epoch: WriterEpoch(5), says: Says::Beat };
    put(&mut follower, Head::Note(says), Bytes::new());
    assert!(follower.places.is_empty() && follower.chain.has_lost_end());
    assert_eq!(std::fs::read(&path).unwrap(), b"", "nothing that was noted is believed");
    send(&mut follower, &maker.make(5), attempt(5, 1));
    assert_eq!((follower.places.first(), follower.places.next()), (Sequence(3), Sequence(4)));
}

/// Records that went away before they were read are a later beginning, and what was noted before
/// says nothing about it.
#[test]
fn a_follower_that_was_overtaken_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("landmarks");
    let mut follower = Follower::new(None, Some(Landmarks::open(&path, TOPIC, None).unwrap()));
    let mut maker = SegmentMaker::default();
    claim(&mut follower, 1, 0);
    send(&mut follower, &maker.make(5), attempt(1, 1));
    assert_eq!(noted(&path), Some((Sequence(1), Sequence(2))));
    maker.make(5);
    follower.begin_at(50);
    send(&mut follower, &maker.make(5), attempt(1, 3));
    assert_eq!((follower.places.first(), follower.next), (Sequence(3), 52));
    assert_eq!(noted(&path), None);
}
