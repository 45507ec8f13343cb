//! Reads segments that are known to be there.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use hindsight_segment::{Frame, SegmentInfo, SegmentView, Sequence, check_next};

use super::gather::{Gather, Gathered, Place, Whole};
use super::record::{Head, Piece, PieceHead};
use super::store::Store;
use super::topic::{Record, Session, Topic};
use crate::error::{Damage, LogError};
use crate::in_chain::is_in_chain;

impl Store {
    pub(super) fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.despite_removals(|| self.read_held(sequence))
    }

    fn read_held(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        let place = self.find(sequence)?;
        let text = self.topic.place_of(place.first);
        let mut session = self.topic.session()?;
        let whole = gather(&self.topic, &mut session, place.first, place.last, Gather::new)?;
        let view = whole.into_view().map_err(|error| LogError::of_segment(&text, error))?;
        if view.info().sequence() != sequence {
            let found = format!("segment {}", view.info().sequence());
            return Err(LogError::corrupt(text, Damage::Misnamed { found }));
        }
        let (next, end) = {
            let follower = self.follower();
            (follower.place(sequence.next()), follower.chain.end().cloned())
        };
        let next = next.map(|next| read_info(&self.topic, &mut session, next));
        if !is_in_chain(view.info(), next, end.as_deref()) {
            return Err(LogError::corrupt(text, Damage::Replaced));
        }
        Ok(view)
    }

    pub(super) fn read_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        self.despite_removals(|| self.read_held_frame(info, ordinal))
    }

    fn read_held_frame(&self, info: &SegmentInfo, ordinal: u32) -> Result<Frame, LogError> {
        let place = self.find(info.sequence())?;
        let Some(line) = info.seal.frames.get(ordinal as usize) else {
            let place = self.topic.place_of(place.first);
            return Err(LogError::NotFound { place, what: format!("frame {ordinal}") });
        };
        // Usually each frame is one record and nothing lies between them. Then the frame's offset
        // is known.
        let plain = place.seal - place.first == info.seal.frames.len() as i64;
        let from = if plain { place.first + i64::from(ordinal) } else { place.first };
        let mut parts = Vec::new();
        let mut attempt = None;
        self.topic.session()?.read(from, place.seal, &mut |record| {
            let Ok(Head::Piece(head)) = record.head else { return ControlFlow::Continue(()) };
            let is_ours = *attempt.get_or_insert(head.attempt) == head.attempt;
            if !is_ours || head.piece != Piece::Frame(ordinal) {
                return ControlFlow::Continue(());
            }
            parts.push(record.value);
            if head.part.is_last() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let bytes = if parts.len() == 1 { parts.remove(0) } else { Bytes::from(parts.concat()) };
        Frame::verify(ordinal, line, bytes)
            .map_err(|error| LogError::of_segment(self.topic.place_of(from), error))
    }

    pub(super) fn infos(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        if from >= self.follower().places.next() {
            self.refresh()?;
        }
        self.despite_removals(|| self.held_infos(from, limit))
    }

    fn held_infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        let (first, before, page) = {
            let places = &self.follower().places;
            let before = from.0.checked_sub(1).and_then(|it| places.get(Sequence(it)));
            (places.first(), before, places.page(from, limit))
        };
        let mut session = self.topic.session()?;
        let mut before = match before {
            Some(place) if !page.is_empty() => {
                Some(read_info(&self.topic, &mut session, place)?.chain_end())
            }
            _ => None,
        };
        let mut infos = Vec::with_capacity(page.len());
        for place in page {
            let info = read_info(&self.topic, &mut session, place)?;
            // Nothing is known of the segment before the first one, where that is gone.
            if before.is_some() || info.sequence() != first {
                check_next(before.as_ref(), &info)
                    .map_err(|reason| LogError::corrupt(self.topic.place_of(place.seal), reason))?;
            }
            before = Some(info.chain_end());
            infos.push(Arc::new(info));
        }
        Ok(infos)
    }
}

/// Reads header and seal of the segment at this place.
pub(super) fn read_info(
    topic: &Topic,
    session: &mut Session<'_>,
    place: Place,
) -> Result<SegmentInfo, LogError> {
    let whole = gather(topic, session, place.seal, place.last, Gather::seal_only)?;
    whole.sealed().info().map_err(|error| LogError::of_segment(topic.place_of(place.seal), error))
}

/// Puts together the records of one attempt between two offsets, both included.
fn gather(
    topic: &Topic,
    session: &mut Session<'_>,
    first: i64,
    last: i64,
    begin: impl Fn(&PieceHead, i64) -> Gather,
) -> Result<Whole, LogError> {
    let mut gather: Option<Gather> = None;
    let mut outcome = None;
    let mut is_torn = false;
    let read_to = session.read(first, last + 1, &mut |record: Record| {
        let Ok(Head::Piece(head)) = record.head else { return ControlFlow::Continue(()) };
        let gather = gather.get_or_insert_with(|| begin(&head, record.offset));
        if gather.attempt() != head.attempt {
            return ControlFlow::Continue(());
        }
        match gather.take(&head, record.offset, record.value) {
            Gathered::More => ControlFlow::Continue(()),
            Gathered::Whole(whole) => {
                outcome = Some(*whole);
                ControlFlow::Break(())
            }
            Gathered::Torn => {
                is_torn = true;
                ControlFlow::Break(())
            }
        }
    })?;
    match outcome {
        Some(whole) => Ok(whole),
        // The records were there: a new leader of the partition has not caught up yet.
        None if read_to <= last && !is_torn => {
            let cut = std::io::ErrorKind::UnexpectedEof.into();
            Err(LogError::unavailable(topic.place_of(read_to), "read it", cut))
        }
        None => Err(LogError::corrupt(topic.place_of(last), Damage::Incomplete)),
    }
}
