//! Writes: absorbing segments and bases, and taking them back when the log says otherwise.

use hindsight_segment::{SegmentInfo, filters_to_bytes};
use rocksdb::WriteBatch;
use serde::Serialize;

use crate::error::IndexError;
use crate::index::{Index, all_content};
use crate::keys::{self, Key, Kind};
use crate::run::{self, Run};
use crate::summary::{BaseSummary, SegmentSummary};
use crate::timeline;
use crate::view::View;

/// Whether absorbing changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absorbed {
    /// The segment or base was added.
    New,
    /// Exactly the same was held already; nothing was written (I10).
    AlreadyHeld,
}

impl Index {
    /// Absorbs a durable segment. This is one write batch, so the segment is absorbed completely or
    /// not at all.
    ///
    /// The caller must not call this before the log has said that the segment is durable (I4). The
    /// first segment may have any number, because a log's oldest segments may have been removed.
    /// After it, segments come in order.
    ///
    /// # Errors
    /// Returns [`IndexError::Invalid`] when the summary cannot be true, [`IndexError::OutOfOrder`]
    /// when segments before this one are missing, [`IndexError::Contradiction`] when the segment
    /// does not follow what is held or differs from the one held, and [`IndexError::OtherFormat`]
    /// when the index has an earlier format.
    pub fn absorb(&self, segment: &SegmentSummary) -> Result<Absorbed, IndexError> {
        self.absorb_with(segment, None)
    }

    /// The same as [`Index::absorb`], from the segment's own header and seal, and with the key
    /// filters of its frames. The filters let a search by `_id` skip the segment without reading
    /// its seal.
    ///
    /// # Errors
    /// The same as [`Index::absorb`].
    pub fn absorb_segment(&self, info: &SegmentInfo) -> Result<Absorbed, IndexError> {
        let filters = filters_to_bytes(info.seal.frames.iter().map(|frame| &frame.filter));
        self.absorb_with(&SegmentSummary::of(info), Some(&filters))
    }

    fn absorb_with(
        &self,
        segment: &SegmentSummary,
        key_filters: Option<&[u8]>,
    ) -> Result<Absorbed, IndexError> {
        segment.check()?;
        let _writing = self.writing();
        self.check_current()?;
        let view = self.view();
        if let Some(held) = view.segment(segment.sequence)? {
            return already_held(&held, segment);
        }
        let run = next_run(&view, segment)?;
        let mut batch = WriteBatch::default();
        put_segment(&mut batch, segment);
        if let Some(key_filters) = key_filters {
            batch.put(Key::Filters(segment.sequence).encode(), key_filters);
        }
        put(&mut batch, &Key::Run(run.first_sequence), &run);
        timeline::add(&view, &mut batch, segment)?;
        self.write(batch, "absorb a segment")?;
        Ok(Absorbed::New)
    }

    /// Absorbs a finished base.
    ///
    /// # Errors
    /// Returns [`IndexError::Invalid`] when the summary cannot be true,
    /// [`IndexError::BaseNameTaken`] when a different base of that name is held, and
    /// [`IndexError::OtherFormat`] when the index has an earlier format.
    pub fn absorb_base(&self, base: &BaseSummary) -> Result<Absorbed, IndexError> {
        base.check()?;
        let _writing = self.writing();
        self.check_current()?;
        match self.view().base(&base.name)? {
            Some(held) if held == *base => return Ok(Absorbed::AlreadyHeld),
            Some(_) => return Err(IndexError::BaseNameTaken { name: base.name.clone() }),
            None => {}
        }
        let mut batch = WriteBatch::default();
        put(&mut batch, &Key::Base(base.name.clone()), base);
        self.write(batch, "absorb a base")?;
        Ok(Absorbed::New)
    }

    /// Drops a base, and returns whether it was held. The caller must call this **before** it
    /// deletes the base's files, so that no window is published that rests on missing files.
    ///
    /// # Errors
    /// Returns an error when the index cannot be read or written.
    pub fn forget_base(&self, name: &str) -> Result<bool, IndexError> {
        let _writing = self.writing();
        let held = self.view().base(name)?.is_some();
        let mut batch = WriteBatch::default();
        batch.delete(Key::Base(name.to_owned()).encode());
        self.write(batch, "forget a base")?;
        Ok(held)
    }

    /// Takes back every segment after `sequence`, newest first, and returns how many. Bases stay.
    ///
    /// This is for a log that ends before the index does, or that continues differently. A crash in
    /// between leaves a consistent index that ends somewhere after `sequence`.
    ///
    /// # Errors
    /// Returns an error when the index cannot be read or written, or is damaged.
    pub fn truncate_to(&self, sequence: u64) -> Result<u64, IndexError> {
        let _writing = self.writing();
        let mut removed = 0;
        loop {
            let view = self.view();
            let Some(newest) = view.newest()?.filter(|newest| newest.sequence > sequence) else {
                return Ok(removed);
            };
            let mut batch = WriteBatch::default();
            delete_segment(&mut batch, &newest);
            shorten_run(&view, &mut batch, &newest)?;
            timeline::subtract(&view, &mut batch, &newest)?;
            self.write(batch, "take back a segment")?;
            removed += 1;
        }
    }

    /// Empties the index, bases included. Afterwards the log and the bases must be absorbed again.
    ///
    /// # Errors
    /// Returns [`IndexError::Storage`] when the index cannot be written.
    pub fn reset(&self) -> Result<(), IndexError> {
        let _writing = self.writing();
        let (start, end) = all_content();
        let mut batch = WriteBatch::default();
        batch.delete_range(start, end);
        self.write(batch, "reset")
    }

    pub(crate) fn write(&self, batch: WriteBatch, action: &'static str) -> Result<(), IndexError> {
        self.db.write(batch).map_err(IndexError::storage(action))
    }
}

fn already_held(held: &SegmentSummary, offered: &SegmentSummary) -> Result<Absorbed, IndexError> {
    if held == offered {
        return Ok(Absorbed::AlreadyHeld);
    }
    let same_bytes = held.digest == offered.digest;
    let what = if same_bytes { "the same digest but other content" } else { "another digest" };
    let reason = format!("it is held with {what}");
    Err(IndexError::Contradiction { sequence: offered.sequence, reason })
}

/// Returns the run that ends with this segment once the segment is absorbed.
fn next_run(view: &View<'_>, segment: &SegmentSummary) -> Result<Run, IndexError> {
    let Some(newest) = view.newest()? else {
        return Ok(Run::start(segment));
    };
    let (expected, given) = (newest.sequence.saturating_add(1), segment.sequence);
    if given != expected {
        return Err(IndexError::OutOfOrder { expected, given });
    }
    run::check_follows(&newest, segment)
        .map_err(|reason| IndexError::Contradiction { sequence: given, reason })?;
    if segment.gap_before.is_some() {
        return Ok(Run::start(segment));
    }
    match last_run(view, &newest)?.extended(segment) {
        Some(run) => Ok(run),
        None => Ok(segment.invalid("its sizes exceed what can be counted".to_owned())?),
    }
}

fn last_run(view: &View<'_>, newest: &SegmentSummary) -> Result<Run, IndexError> {
    let run: Option<Run> = view.last_value(Kind::Run)?;
    let key = Key::Segment(newest.sequence).encode();
    run.filter(|run| run.last_sequence == newest.sequence)
        .ok_or_else(|| IndexError::damaged(&key, "no run ends with this segment"))
}

fn shorten_run(
    view: &View<'_>,
    batch: &mut WriteBatch,
    newest: &SegmentSummary,
) -> Result<(), IndexError> {
    let run = last_run(view, newest)?;
    let key = Key::Run(run.first_sequence);
    if run.first_sequence == newest.sequence {
        batch.delete(key.encode());
        return Ok(());
    }
    let before = view.segment(newest.sequence - 1)?;
    let shorter = before.and_then(|before| run.shortened(newest, &before));
    let shorter = shorter
        .ok_or_else(|| IndexError::damaged(&key.encode(), "its segments do not add up to it"))?;
    put(batch, &key, &shorter);
    Ok(())
}

fn put_segment(batch: &mut WriteBatch, segment: &SegmentSummary) {
    put(batch, &Key::Segment(segment.sequence), segment);
    let sequence = keys::sequence_value(segment.sequence);
    batch.put(Key::FirstOpTime(segment.first).encode(), sequence);
    if let Some(gap) = &segment.gap_before {
        put(batch, &Key::Gap(gap.before), gap);
    }
    for (position, note) in (0..).zip(&segment.commands) {
        put(batch, &Key::Command { optime: note.optime, position }, note);
    }
}

pub(crate) fn delete_segment(batch: &mut WriteBatch, segment: &SegmentSummary) {
    batch.delete(Key::Segment(segment.sequence).encode());
    batch.delete(Key::FirstOpTime(segment.first).encode());
    batch.delete(Key::Filters(segment.sequence).encode());
    if let Some(gap) = &segment.gap_before {
        batch.delete(Key::Gap(gap.before).encode());
    }
    for (position, note) in (0..).zip(&segment.commands) {
        batch.delete(Key::Command { optime: note.optime, position }.encode());
    }
}

pub(crate) fn put(batch: &mut WriteBatch, key: &Key, value: &impl Serialize) {
    let json = serde_json::to_vec(value).expect("summaries have string keys and finite numbers");
    batch.put(key.encode(), json);
}

#[cfg(test)]
mod tests;
