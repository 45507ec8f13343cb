//! Forgets the oldest segments, after the log has removed them.

use std::time::Duration;

use rocksdb::WriteBatch;

use crate::absorb::{delete_segment, put};
use crate::error::IndexError;
use crate::index::Index;
use crate::keys::Key;
use crate::run::Run;
use crate::summary::SegmentSummary;
use crate::timeline;
use crate::view::View;

/// After so many segments, others get a turn to write.
const REST_AFTER: u64 = 64;
const REST: Duration = Duration::from_millis(1);

impl Index {
    /// Forgets every segment before `sequence`, oldest first, and returns how many. The newest
    /// segment stays, as it does in a log. Bases stay.
    ///
    /// The index is then what absorbing the rest of the log would have made it (I5). A crash in
    /// between leaves a consistent index that begins somewhere before `sequence`.
    ///
    /// # Errors
    /// Returns an error when the index cannot be read or written, or is damaged.
    pub fn forget_before(&self, sequence: u64) -> Result<u64, IndexError> {
        let (mut forgotten, mut from) = (0, 0);
        while let Some(next) = self.forget_oldest(from, sequence)? {
            from = next;
            forgotten += 1;
            if forgotten % REST_AFTER == 0 {
                // Capture absorbs its segments meanwhile.
                std::thread::sleep(REST);
            }
        }
        Ok(forgotten)
    }

    /// Forgets the oldest segment, which is not before `from`, if it is before `sequence`. Returns
    /// the number of the next one.
    fn forget_oldest(&self, from: u64, sequence: u64) -> Result<Option<u64>, IndexError> {
        let _writing = self.writing();
        let view = self.view();
        let mut oldest = view.segments_from(from);
        let first = oldest.next().transpose()?.filter(|first| first.sequence < sequence);
        let (Some(first), Some(second)) = (first, oldest.next().transpose()?) else {
            return Ok(None);
        };
        let mut batch = WriteBatch::default();
        delete_segment(&mut batch, &first);
        begin_run_later(&view, &mut batch, &first, &second)?;
        timeline::subtract(&view, &mut batch, &first)?;
        self.write(batch, "forget a segment")?;
        Ok(Some(second.sequence))
    }
}

/// Takes the first segment out of the oldest run.
fn begin_run_later(
    view: &View<'_>,
    batch: &mut WriteBatch,
    first: &SegmentSummary,
    second: &SegmentSummary,
) -> Result<(), IndexError> {
    let key = Key::Run(first.sequence);
    let damaged = |what: &str| IndexError::damaged(&key.encode(), what);
    let run: Option<Run> = view.value(&key)?;
    let run = run.ok_or_else(|| damaged("no run begins with the oldest segment"))?;
    batch.delete(key.encode());
    if run.last_sequence > first.sequence {
        let later = run.without_first(first, second);
        let later = later.ok_or_else(|| damaged("its segments do not add up to it"))?;
        put(batch, &Key::Run(second.sequence), &later);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
