//! Follows a topic whose oldest records are gone.
//!
//! The claim of the writer that held the log where the topic begins now may be among them. Records
//! tell who that was: a writer sends records only after it has read that its claim holds, and a
//! claim only after it has read the claim that it supersedes. So a record of an epoch that nobody
//! in the topic claimed shows that this epoch had begun before, and that everything older in the
//! topic had been superseded before it was written.
//!
//! The first whole segment begins the log. The one after it confirms that, because it names the
//! first one's digest. If it names another one, then the first was a repetition, or of a superseded
//! writer, and the log begins after it.
//!
//! `docs/decisions/0019-a-topic-whose-beginning-is-gone.md` says why.

use hindsight_segment::{SegmentInfo, Sequence, WriterEpoch};

use super::{Break, Chain, Holder, Progress};
use crate::error::Damage;
use crate::kafka::record::{Head, PieceHead, WriterId};
use crate::shared::{Instance, Leader};

/// The name of a leader whose claim is gone, for people.
const UNKNOWN: &str = "a process whose claim is gone from the topic";

/// What is special about a chain that is read from the middle of a topic.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    /// The epoch of the writer that sent the first segment. None before the first segment, and once
    /// the second one has confirmed it.
    unconfirmed: Option<WriterEpoch>,
    /// The claim of the writer that holds the log is gone.
    is_claim_gone: bool,
}

impl Chain {
    /// Returns the state before the first record of a topic whose oldest records are gone.
    pub(in crate::kafka) fn of_trimmed() -> Self {
        Self { trimmed: Some(Trimmed::default()), ..Self::default() }
    }

    /// Returns whether no whole segment is left of a log that had some. Nothing can follow it.
    pub(in crate::kafka) fn has_lost_end(&self) -> bool {
        self.trimmed.is_some() && self.end.is_none()
    }

    /// Returns whether the first segment may still turn out not to be the log's.
    pub(in crate::kafka) fn is_unconfirmed(&self) -> bool {
        self.trimmed.as_ref().is_some_and(|trimmed| trimmed.unconfirmed.is_some())
    }

    /// Learns from a record which writer holds the log, when its claim is gone.
    pub(super) fn learn_holder(&mut self, head: &Head) {
        if self.trimmed.is_none() {
            return;
        }
        let (epoch, writer) = match head {
            Head::Claim(claim) if claim.supersedes > self.epoch() => {
                self.adopt(claim.supersedes, None);
                return;
            }
            Head::Claim(_) => return,
            Head::Note(note) => (note.epoch, note.writer),
            Head::Piece(piece) => (piece.attempt.epoch, piece.attempt.writer),
        };
        if epoch < self.epoch() || self.is_held_by(epoch, writer) {
            return;
        }
        self.adopt(epoch, Some(writer));
    }

    /// Returns whether the first records of an attempt, whose first record that is left is this
    /// one, lie before the beginning of the topic. Once the beginning is confirmed, they cannot.
    pub(super) fn is_cut(&self, head: &PieceHead) -> bool {
        let Some(trimmed) = &self.trimmed else { return false };
        let may_begin_before = self.end.is_none() || trimmed.unconfirmed.is_some();
        head.record.number > 1 && trimmed.is_claim_gone && may_begin_before
    }

    /// Notes that a claim holds whose writer sent everything after it.
    pub(super) fn note_claim(&mut self) {
        if let Some(trimmed) = &mut self.trimmed {
            trimmed.is_claim_gone = false;
        }
    }

    /// Begins anew with a writer whose claim is gone. What was taken before it is of older epochs.
    fn adopt(&mut self, epoch: WriterEpoch, writer: Option<WriterId>) {
        self.give_up_attempt();
        self.end = None;
        self.bases.clear();
        self.newest_base = None;
        self.trimmed = Some(Trimmed { unconfirmed: None, is_claim_gone: true });
        // What a newer program wrote stays unread, whoever holds the log.
        let is_newer = |it: &Break| {
            matches!(it.damage, Damage::Segment(hindsight_segment::Error::Unsupported { .. }))
        };
        self.broken = self.broken.take().filter(is_newer);
        let (instance, name) = (Instance::UNKNOWN, UNKNOWN.to_owned());
        let leader = Leader { epoch, instance, name, has_resigned: false, signs: 1 };
        self.holder = Some(Holder { writer, leader });
        self.newest_attempt = 0;
        self.progress = Progress::Done;
    }

    /// Returns whether the log begins with this segment, as far as the records that are left tell.
    /// `epoch` is the epoch of the writer that sent it.
    pub(super) fn begins_with(&self, info: &SegmentInfo, epoch: WriterEpoch) -> bool {
        let Some(trimmed) = &self.trimmed else { return false };
        let Some(end) = &self.end else { return info.sequence() > Sequence::FIRST };
        let Some(first_epoch) = trimmed.unconfirmed else { return false };
        let follows_another =
            info.sequence() == end.sequence().next() && info.header.predecessor != end.digest;
        let takes_its_place = info.sequence() <= end.sequence() && epoch > first_epoch;
        follows_another || takes_its_place
    }

    /// Notes that the log is longer by a segment, and whether the log begins with it.
    pub(super) fn note_accepted(&mut self, begins: bool, epoch: WriterEpoch) {
        if let Some(trimmed) = &mut self.trimmed {
            trimmed.unconfirmed = begins.then_some(epoch);
        }
    }
}
