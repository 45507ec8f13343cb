//! Turns the records of a topic into segments. This is the only place that decides which records
//! make up the log, and every reader of a topic goes through it.
//!
//! Readers that have seen the same records agree on everything here, no matter who wrote the
//! records and in which order they arrived. That makes one writer among many possible (I6), without
//! asking the broker for anything but order.
//!
//! - Of two claims that supersede the same epoch, the first one holds.
//! - A writer's records count from its claim to the next claim that holds.
//! - A newer attempt of a writer ends its older attempts, and they never count again.
//! - An attempt is a segment once its seal has arrived. The segment is the log's next one when it
//!   follows the end.
//! - Where the oldest records are gone, [`trimmed`] says what the others tell.

use std::sync::Arc;

use bytes::Bytes;
use hindsight_segment::{ChainBreak, Error, SegmentInfo, WriterEpoch, check_next};

use super::bases::{Announced, announce, base_notice, name_of};
use super::gather::{Gather, Gathered, Place, Whole};
use super::record::{Attempt, Claim, Head, NotOurs, Note, PieceHead, Says, VERSION, WriterId};
use crate::error::Damage;
use crate::shared::{Ignored, Leader};

mod trimmed;

use trimmed::Trimmed;

/// The log cannot go on from here: what the accepted writer wrote is no longer there as it was
/// written, or a newer program wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// The offset of the record that shows the damage.
    pub(super) offset: i64,
    pub(super) damage: Damage,
}

#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) info: Arc<SegmentInfo>,
    pub(super) place: Place,
    /// True when the log begins with it: what was accepted before is not part of the log.
    pub(super) begins: bool,
}

/// The state of the newest attempt.
#[derive(Debug, Default)]
enum Progress {
    /// Its segment is complete, or there is no attempt.
    #[default]
    Done,
    Under(Gather),
    /// Its records are not in order: it makes no segment any more.
    Torn,
}

/// The state of the log after the records taken so far.
#[derive(Debug, Default)]
pub(super) struct Chain {
    end: Option<Arc<SegmentInfo>>,
    holder: Option<Holder>,
    /// The number of the writer's newest attempt.
    newest_attempt: u64,
    progress: Progress,
    broken: Option<Break>,
    bases: Vec<Announced>,
    /// The offset of the newest record that announces a base.
    newest_base: Option<i64>,
    /// Present when the oldest records of the topic were gone when it was read.
    trimmed: Option<Trimmed>,
    ignored: Ignored,
}

/// The writer that may append.
#[derive(Debug)]
struct Holder {
    /// None when the writer's claim and records are gone, and only its epoch is known.
    writer: Option<WriterId>,
    leader: Leader,
}

impl Chain {
    /// Returns the state after a segment, from the claim that the segment was written under and the
    /// bases announced before it. None when the segment was not written under that claim.
    pub(super) fn after(
        segment: Arc<SegmentInfo>,
        attempt: Attempt,
        claim: Claim,
        name: &[u8],
        bases: Vec<Announced>,
    ) -> Option<Self> {
        if (attempt.epoch, attempt.writer) != (claim.epoch, claim.writer) {
            return None;
        }
        let newest_base = bases.iter().map(|base| base.offset).max();
        let mut chain = Self { bases, newest_base, end: Some(segment), ..Self::default() };
        chain.hold(claim, name);
        chain.newest_attempt = attempt.number;
        Some(chain)
    }

    pub(super) fn end(&self) -> Option<&Arc<SegmentInfo>> {
        self.end.as_ref()
    }

    /// Returns the epoch of the writer that may append. It is 0 at first, when there is no writer.
    pub(super) fn epoch(&self) -> WriterEpoch {
        self.holder.as_ref().map_or(WriterEpoch(0), |holder| holder.leader.epoch)
    }

    pub(super) fn is_held_by(&self, epoch: WriterEpoch, writer: WriterId) -> bool {
        let holder = self.holder.as_ref();
        holder.is_some_and(|it| it.leader.epoch == epoch && it.writer == Some(writer))
    }

    pub(super) fn leader(&self) -> Leader {
        self.holder.as_ref().map_or_else(Leader::nobody, |holder| holder.leader.clone())
    }

    /// Returns the bases announced so far, oldest first.
    pub(super) fn bases(&self) -> &[Announced] {
        &self.bases
    }

    /// Returns the offset of the newest record that announces a base.
    pub(super) fn newest_base(&self) -> Option<i64> {
        self.newest_base
    }

    /// Returns the damage that the log ends at. The next claim clears it.
    pub(super) fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    pub(super) fn ignored(&self) -> Ignored {
        self.ignored
    }

    /// Takes the next record of the topic. Returns the segment that the record completes, if the
    /// log is longer by that segment.
    pub(super) fn take(
        &mut self,
        offset: i64,
        head: Result<Head, NotOurs>,
        value: Bytes,
    ) -> Option<Accepted> {
        if let Ok(head) = &head {
            self.learn_holder(head);
        }
        match head {
            Ok(Head::Claim(claim)) => self.take_claim(claim, &value),
            Ok(Head::Note(note)) => self.take_note(note, offset, &value),
            Ok(Head::Piece(head)) => return self.take_piece(&head, offset, value),
            Err(NotOurs::Foreign) => self.ignored.foreign += 1,
            Err(NotOurs::Malformed(header)) => {
                tracing::warn!(offset, header, "a record that is not as this program writes");
                self.ignored.malformed += 1;
            }
            Err(NotOurs::Newer(found)) => {
                self.break_at(offset, Error::Unsupported { found, known: VERSION });
            }
        }
        None
    }

    /// Takes a segment that this process appended in records with nothing between them. The result
    /// is what [`Chain::take`] would make of the records, without comparing bytes with digests that
    /// were computed from them a moment ago. Returns None when the segment would not be the log's
    /// next one: then the records must be read.
    pub(super) fn take_own(
        &mut self,
        attempt: Attempt,
        info: &Arc<SegmentInfo>,
        place: Place,
    ) -> Option<Accepted> {
        let follows = self.check_next(info);
        let is_next = self.is_held_by(attempt.epoch, attempt.writer)
            && attempt.number > self.newest_attempt
            && self.broken.is_none()
            && follows.is_ok();
        if !is_next {
            return None;
        }
        self.heard(attempt.epoch, attempt.writer);
        self.give_up_attempt();
        self.newest_attempt = attempt.number;
        Some(self.accept(Arc::clone(info), place, attempt.epoch))
    }

    /// Checks whether a segment would be the log's next one.
    pub(super) fn check_next(&self, info: &SegmentInfo) -> Result<(), ChainBreak> {
        let end = self.end.as_ref().map(|end| end.chain_end());
        check_next(end.as_ref(), info)
    }

    fn take_claim(&mut self, claim: Claim, name: &[u8]) {
        if claim.supersedes != self.epoch() || claim.epoch <= claim.supersedes {
            self.ignored.late_claims += 1;
            return;
        }
        self.give_up_attempt();
        self.hold(claim, name);
        self.note_claim();
        // Without an end, what follows the damage could not be told from what does not.
        if !self.has_lost_end() {
            self.broken = None;
        }
    }

    fn hold(&mut self, claim: Claim, name: &[u8]) {
        self.holder = Some(Holder {
            writer: Some(claim.writer),
            leader: Leader {
                epoch: claim.epoch,
                instance: claim.instance,
                name: name_of(name),
                has_resigned: false,
                signs: 1,
            },
        });
        self.newest_attempt = 0;
    }

    /// Returns the leader when `epoch` and `writer` are the holder's, and counts the record as a
    /// sign of life.
    fn heard(&mut self, epoch: WriterEpoch, writer: WriterId) -> Option<&mut Leader> {
        if !self.is_held_by(epoch, writer) {
            self.ignored.fenced += 1;
            return None;
        }
        let leader = &mut self.holder.as_mut()?.leader;
        leader.signs += 1;
        Some(leader)
    }

    fn take_note(&mut self, note: Note, offset: i64, value: &[u8]) {
        let Some(leader) = self.heard(note.epoch, note.writer) else { return };
        match note.says {
            Says::Beat => {}
            Says::Resign => leader.has_resigned = true,
            Says::Base(digest) => {
                let notice = base_notice(digest, value);
                announce(&mut self.bases, Announced { notice, offset });
                self.newest_base = Some(offset);
            }
        }
    }

    fn take_piece(&mut self, head: &PieceHead, offset: i64, value: Bytes) -> Option<Accepted> {
        let attempt = head.attempt;
        self.heard(attempt.epoch, attempt.writer)?;
        if attempt.number < self.newest_attempt {
            self.ignored.stale += 1;
            return None;
        }
        if attempt.number > self.newest_attempt {
            self.give_up_attempt();
            self.newest_attempt = attempt.number;
            if self.is_cut(head) {
                self.ignored.stale += 1;
                return None;
            }
            self.progress = Progress::Under(Gather::new(head, offset));
        }
        let gathered = match &mut self.progress {
            Progress::Under(gather) => gather.take(head, offset, value),
            Progress::Torn => Gathered::Torn,
            Progress::Done => {
                self.ignored.stale += 1;
                return None;
            }
        };
        match gathered {
            Gathered::More => None,
            Gathered::Whole(whole) => {
                self.progress = Progress::Done;
                self.judge(&whole, attempt.epoch)
            }
            Gathered::Torn => {
                self.progress = Progress::Torn;
                // The writer sends the seal only when it knows that the other records are there.
                if head.record.is_last() {
                    self.break_at(offset, Damage::Incomplete);
                }
                None
            }
        }
    }

    /// Returns the segment when it is the log's next one. Otherwise notes why the log stays as it
    /// is.
    fn judge(&mut self, whole: &Whole, epoch: WriterEpoch) -> Option<Accepted> {
        if self.broken.is_some() {
            self.ignored.after_damage += 1;
            return None;
        }
        let info = match whole.verify() {
            Ok(info) => info,
            Err(error) => {
                self.break_at(whole.place.seal, error);
                return None;
            }
        };
        if self.begins_with(&info, epoch) {
            self.end = None;
            return Some(self.accept(info.into(), whole.place, epoch));
        }
        if self.end.as_ref().is_some_and(|end| info.sequence() <= end.sequence()) {
            self.ignored.repeated += 1;
            return None;
        }
        if let Err(reason) = self.check_next(&info) {
            let expected = self
                .end
                .as_ref()
                .map_or(hindsight_segment::Sequence::FIRST, |end| end.sequence().next());
            let missing = info.sequence() > expected;
            let damage =
                if missing { Damage::MissingBefore(expected) } else { Damage::Chain(reason) };
            self.break_at(whole.place.seal, damage);
            return None;
        }
        Some(self.accept(info.into(), whole.place, epoch))
    }

    fn accept(&mut self, info: Arc<SegmentInfo>, place: Place, epoch: WriterEpoch) -> Accepted {
        let begins = self.end.is_none();
        self.note_accepted(begins, epoch);
        self.end = Some(Arc::clone(&info));
        Accepted { info, place, begins }
    }

    fn give_up_attempt(&mut self) {
        if !matches!(std::mem::take(&mut self.progress), Progress::Done) {
            self.ignored.unsealed += 1;
        }
    }

    fn break_at(&mut self, offset: i64, damage: impl Into<Damage>) {
        if self.broken.is_none() {
            self.broken = Some(Break { offset, damage: damage.into() });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
