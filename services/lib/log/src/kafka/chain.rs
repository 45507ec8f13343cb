//! Records in, segments out: what every reader of a topic makes of it, and the only place that
//! decides.
//!
//! Readers that have seen the same records agree on everything here, whoever wrote them and in
//! whatever order they arrived: that is what makes one writer of many possible (I6), without asking
//! the broker for anything but order.
//!
//! - Of two claims that supersede the same epoch the first one holds.
//! - Records of a writer count from its claim to the next one that holds.
//! - A newer attempt of a writer ends its older ones, for good.
//! - An attempt is a segment when its seal came, and the log's next one when it follows the end.

use std::sync::Arc;

use bytes::Bytes;
use hindsight_segment::{ChainBreak, Error, SegmentInfo, WriterEpoch, check_next};

use super::gather::{Gather, Gathered, Place, Whole};
use super::record::{Attempt, Claim, Head, NotOurs, Note, PieceHead, Says, VERSION, WriterId};
use crate::error::Damage;
use crate::shared::{BaseDigest, BaseNotice, Leader};

/// Names are for people and for file names; nobody needs longer ones.
const MAX_NAME_BYTES: usize = 255;

/// Records that are no part of the log, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Records that are not ours.
    pub foreign: u64,
    /// Records that say they are ours, and are not as we write.
    pub malformed: u64,
    /// Records of a writer that another one had superseded, or that never held the log.
    pub fenced: u64,
    /// Claims that came too late.
    pub late_claims: u64,
    /// Attempts whose seal never came.
    pub unsealed: u64,
    /// Records of an attempt that had been given up.
    pub stale: u64,
    /// Segments that the log already had, or had another one in the place of.
    pub repeated: u64,
    /// Segments after a damage, up to the next claim.
    pub after_damage: u64,
}

impl Ignored {
    /// Each reason with its count, for metrics.
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("foreign", self.foreign),
            ("malformed", self.malformed),
            ("fenced", self.fenced),
            ("late_claim", self.late_claims),
            ("unsealed", self.unsealed),
            ("stale", self.stale),
            ("repeated", self.repeated),
            ("after_damage", self.after_damage),
        ]
    }
}

/// The log cannot go on from here: what the accepted writer wrote is not there any more as it was
/// written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// The record that shows it.
    pub(super) offset: i64,
    pub(super) damage: Damage,
}

#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) info: Arc<SegmentInfo>,
    pub(super) place: Place,
}

/// What became of the newest attempt.
#[derive(Debug, Default)]
enum Progress {
    /// Its segment is complete, or there is no attempt.
    #[default]
    Done,
    Under(Gather),
    Torn,
}

/// The state of the log after the records taken so far.
#[derive(Debug, Default)]
pub(super) struct Chain {
    end: Option<Arc<SegmentInfo>>,
    holder: Option<Holder>,
    /// The writer's newest attempt.
    newest_attempt: u64,
    progress: Progress,
    broken: Option<Break>,
    bases: Vec<BaseNotice>,
    ignored: Ignored,
}

/// Whoever may append.
#[derive(Debug)]
struct Holder {
    writer: WriterId,
    leader: Leader,
}

impl Chain {
    /// The state after a segment, from the claim it was written under and the bases announced
    /// before it.
    pub(super) fn after(
        segment: Arc<SegmentInfo>,
        attempt: Attempt,
        claim: Claim,
        name: &[u8],
        bases: Vec<BaseNotice>,
    ) -> Option<Self> {
        if (attempt.epoch, attempt.writer) != (claim.epoch, claim.writer) {
            return None;
        }
        let mut chain = Self { bases, end: Some(segment), ..Self::default() };
        chain.hold(claim, name);
        chain.newest_attempt = attempt.number;
        Some(chain)
    }

    pub(super) fn end(&self) -> Option<&Arc<SegmentInfo>> {
        self.end.as_ref()
    }

    /// Whoever may append; 0 and nobody at first.
    pub(super) fn epoch(&self) -> WriterEpoch {
        self.holder.as_ref().map_or(WriterEpoch(0), |holder| holder.leader.epoch)
    }

    pub(super) fn is_held_by(&self, epoch: WriterEpoch, writer: WriterId) -> bool {
        let holder = self.holder.as_ref();
        holder.is_some_and(|it| it.leader.epoch == epoch && it.writer == writer)
    }

    pub(super) fn leader(&self) -> Leader {
        self.holder.as_ref().map_or_else(Leader::nobody, |holder| holder.leader.clone())
    }

    pub(super) fn bases(&self) -> &[BaseNotice] {
        &self.bases
    }

    /// Until the next claim.
    pub(super) fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    pub(super) fn ignored(&self) -> Ignored {
        self.ignored
    }

    /// Takes the next record of the topic; gives the segment that it completes and the log is
    /// longer by.
    pub(super) fn take(
        &mut self,
        offset: i64,
        head: Result<Head, NotOurs>,
        value: Bytes,
    ) -> Option<Accepted> {
        match head {
            Ok(Head::Claim(claim)) => self.take_claim(claim, &value),
            Ok(Head::Note(note)) => self.take_note(note, &value),
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

    /// Takes a segment that was appended by this process, in records without anything between them:
    /// what [`Chain::take`] would make of them, without comparing bytes with digests that were made
    /// of them a moment ago. Nothing when it would not be the log's next one: then the records
    /// tell.
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
        self.end = Some(Arc::clone(info));
        Some(Accepted { info: Arc::clone(info), place })
    }

    /// Whether a segment would be the log's next one.
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
        self.broken = None;
    }

    fn hold(&mut self, claim: Claim, name: &[u8]) {
        self.holder = Some(Holder {
            writer: claim.writer,
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

    /// The holder, if these are its writer and epoch; that it wrote is a sign of life.
    fn heard(&mut self, epoch: WriterEpoch, writer: WriterId) -> Option<&mut Leader> {
        if !self.is_held_by(epoch, writer) {
            self.ignored.fenced += 1;
            return None;
        }
        let leader = &mut self.holder.as_mut()?.leader;
        leader.signs += 1;
        Some(leader)
    }

    fn take_note(&mut self, note: Note, value: &[u8]) {
        let Some(leader) = self.heard(note.epoch, note.writer) else { return };
        match note.says {
            Says::Beat => {}
            Says::Resign => leader.has_resigned = true,
            Says::Base(digest) => {
                let notice = base_notice(digest, value);
                if !self.bases.contains(&notice) {
                    self.bases.push(notice);
                }
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
                self.judge(&whole)
            }
            Gathered::Torn => {
                self.progress = Progress::Torn;
                // The writer sends the seal when it knows the rest to be there.
                if head.record.is_last() {
                    self.break_at(offset, Damage::Incomplete);
                }
                None
            }
        }
    }

    /// The segment that is the log's next, or why the log stays as it is.
    fn judge(&mut self, whole: &Whole) -> Option<Accepted> {
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
        let info = Arc::new(info);
        self.end = Some(Arc::clone(&info));
        Some(Accepted { info, place: whole.place })
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

pub(super) fn base_notice(digest: BaseDigest, name: &[u8]) -> BaseNotice {
    BaseNotice { name: name_of(name), digest }
}

fn name_of(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(MAX_NAME_BYTES)]).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
