//! The cutting task: puts entries in order into segments, and cuts a segment by bytes, age, gap or
//! shutdown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hindsight_oplog::Assembler;
use hindsight_oplog::{Entry, OpTime, Timestamp};
use hindsight_runtime::{compute, queue};
use hindsight_segment::{
    Codec, CutReason, Effort, FrameLimits, GapNotice, GapReason, OpenSegment, RawFrame,
    StoredFrame, Summary,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::{CaptureError, Cause};
use crate::metrics;
use crate::positions::PositionBoard;
use crate::reader::EntryBatch;
use crate::tail::Received;
use crate::unknown::UnknownNames;

/// When a segment is cut, and how it is stored.
#[derive(Debug, Clone, Copy)]
pub struct CutSettings {
    /// The limit on raw bytes of entries in a segment. The default of 8 MiB makes a few hundred
    /// segments in a busy hour, and memory stays small.
    pub bytes: u64,
    /// The limit on the time since the first entry of the segment arrived. It bounds what a crash
    /// of the source's whole set can cost.
    pub age: Duration,
    /// How frames are compressed.
    pub codec: Codec,
}

impl Default for CutSettings {
    fn default() -> Self {
        Self { bytes: 8 << 20, age: Duration::from_millis(250), codec: Codec::Zstd }
    }
}

/// A segment that was cut. Worker threads may still be compressing its frames.
#[derive(Debug)]
pub(crate) struct CutSegment {
    /// The frames, in order.
    pub frames: Vec<JoinHandle<StoredFrame>>,
    /// The facts about the entries.
    pub summary: Summary,
    /// Why the segment was cut.
    pub reason: CutReason,
    /// The gap before the segment, if there is one.
    pub gap: Option<GapNotice>,
    /// The source's majority point at the cut. It is at or after the last entry.
    pub majority: OpTime,
    /// The first entry of the oldest transaction that is neither committed nor aborted at the cut.
    pub oldest_unresolved: Option<OpTime>,
    /// The oldest prepare that is neither committed nor aborted at the cut.
    pub oldest_prepared: Option<Timestamp>,
}

/// Gathers entries and cuts segments.
pub(crate) struct Cutter {
    settings: CutSettings,
    positions: PositionBoard,
    /// The open transactions. Only their positions are kept here, not their operations.
    transactions: Assembler<()>,
    last: Option<OpTime>,
    open: OpenSegment,
    frames: Vec<JoinHandle<StoredFrame>>,
    /// The number of frames that worker threads have not compressed yet.
    compressing: Arc<AtomicUsize>,
    cores: usize,
    /// When the open segment must be cut.
    due: Option<Instant>,
    gap: Option<GapNotice>,
    unknown: UnknownNames,
    sender: queue::Sender<CutSegment>,
}

impl Cutter {
    /// Makes a cutter. `transactions` holds what is open at `last`, the last entry of the log.
    pub(crate) fn new(
        settings: CutSettings,
        positions: PositionBoard,
        transactions: Assembler<()>,
        last: Option<OpTime>,
        sender: queue::Sender<CutSegment>,
    ) -> Self {
        Self {
            settings,
            positions,
            transactions,
            last,
            open: OpenSegment::new(FrameLimits::default()),
            frames: Vec::new(),
            compressing: Arc::default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            due: None,
            gap: None,
            unknown: UnknownNames::default(),
            sender,
        }
    }

    /// Takes what was received already, then runs until the reading task has ended, and then cuts
    /// what is left.
    ///
    /// # Errors
    /// Returns an error when entries are out of order or malformed: capture stops rather than
    /// append them.
    pub(crate) async fn run(
        mut self,
        received: VecDeque<queue::Held<Received>>,
        mut receiver: queue::Receiver<Received>,
    ) -> Result<(), CaptureError> {
        for received in received {
            if !self.take(&received.item).await? {
                return Ok(());
            }
        }
        loop {
            let received = match self.due {
                None => receiver.recv().await,
                Some(due) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(due) => {
                        if !self.cut(CutReason::Age).await {
                            return Ok(());
                        }
                        continue;
                    }
                    received = receiver.recv() => received,
                },
            };
            let Some(received) = received else { break };
            if !self.take(&received.item).await? {
                return Ok(());
            }
        }
        self.cut(CutReason::Shutdown).await;
        Ok(())
    }

    /// Takes a batch or a gap. Returns false when the appending task is gone.
    async fn take(&mut self, received: &Received) -> Result<bool, CaptureError> {
        match received {
            Received::Batch { batch, .. } => self.take_batch(batch).await,
            Received::Gap { after, before, reason } => {
                let goes_on = self.cut(CutReason::Gap).await;
                self.begin_after_gap(*after, *before, reason);
                Ok(goes_on)
            }
        }
    }

    /// Begins anew after a gap. Transactions that were open at the gap can never be resolved: their
    /// entries may lie in it.
    fn begin_after_gap(&mut self, after: OpTime, before: OpTime, reason: &str) {
        self.transactions = Assembler::default();
        self.gap = Some(GapNotice {
            after,
            before,
            reason: GapReason::RolledOver,
            detail: reason.to_owned(),
            detected_at_ms: now_ms(),
        });
    }

    /// Takes the entries of a batch. Returns false when the appending task is gone.
    async fn take_batch(&mut self, batch: &EntryBatch) -> Result<bool, CaptureError> {
        for bytes in batch.entries()? {
            let bytes = bytes?;
            let entry = Entry::parse(bytes).map_err(|error| self.malformed(error))?;
            if self.open.raw_bytes() + bytes.len() as u64 > self.settings.bytes
                && !self.open.is_empty()
                && !self.cut(CutReason::Size).await
            {
                return Ok(false);
            }
            self.take_entry(&entry)?;
        }
        // During a long catch-up the timer never fires.
        if self.due.is_some_and(|due| due <= Instant::now()) {
            return Ok(self.cut(CutReason::Age).await);
        }
        Ok(true)
    }

    fn take_entry(&mut self, entry: &Entry<'_>) -> Result<(), CaptureError> {
        self.check_order(entry.optime)?;
        // A transaction that cannot be followed stays open and holds the restorable point back. The
        // entry itself is stored nevertheless (I1).
        if let Err(error) = self.transactions.push(entry, || ()) {
            tracing::error!(optime = %entry.optime, %error, "a transaction cannot be followed");
            metrics::transaction_not_followed();
        }
        self.unknown.note(entry);
        if self.open.is_empty() {
            self.due = Some(Instant::now() + self.settings.age);
        }
        let full = self.open.push(entry).map_err(|error| self.malformed(error))?;
        if let Some(frame) = full {
            self.compress(frame);
        }
        self.last = Some(entry.optime);
        Ok(())
    }

    fn check_order(&self, optime: OpTime) -> Result<(), CaptureError> {
        let Some(last) = self.last else { return Ok(()) };
        if optime.ts > last.ts && optime.term >= last.term {
            return Ok(());
        }
        Err(CaptureError::Diverged {
            at: last,
            detail: format!("the next entry is {optime}, which does not come after it"),
        })
    }

    fn malformed(&self, source: impl Into<Cause>) -> CaptureError {
        let after = self.last.unwrap_or(OpTime::NONE);
        CaptureError::Malformed { after, source: source.into() }
    }

    fn compress(&mut self, frame: RawFrame) {
        let codec = self.settings.codec;
        let effort = effort(self.compressing.load(Ordering::Relaxed), self.cores);
        let compressing = Arc::clone(&self.compressing);
        compressing.fetch_add(1, Ordering::Relaxed);
        self.frames.push(compute(move || {
            let stored = frame.encode(codec, effort);
            compressing.fetch_sub(1, Ordering::Relaxed);
            stored
        }));
    }

    /// Cuts the open segment. Waits while the log is slow, which in turn slows the reading. Returns
    /// false when the appending task is gone.
    async fn cut(&mut self, reason: CutReason) -> bool {
        self.due = None;
        let finished = std::mem::replace(&mut self.open, OpenSegment::new(FrameLimits::default()));
        let Some((frame, summary)) = finished.finish() else { return true };
        self.compress(frame);
        let bytes = usize::try_from(summary.raw_bytes).unwrap_or(usize::MAX);
        let majority = self.positions.now().majority.unwrap_or(summary.last);
        let segment = CutSegment {
            frames: std::mem::take(&mut self.frames),
            reason,
            gap: self.gap.take(),
            majority: majority.max(summary.last),
            oldest_unresolved: self.transactions.oldest_unresolved(),
            oldest_prepared: self.transactions.oldest_prepared(),
            summary,
        };
        self.sender.send(segment, bytes).await.is_ok()
    }
}

/// Chooses speed over size while compression takes half of the cores: the source keeps its oplog
/// for a limited time only, and fast compression catches up with a backlog sooner.
fn effort(frames_compressing: usize, cores: usize) -> Effort {
    if 2 * frames_compressing < cores { Effort::Normal } else { Effort::Fast }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the wall clock is noted for people, never decided by"
)]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_made_small_unless_half_of_the_cores_compress() {
        let efforts = |cores| [0, 1, 2, 4].map(|compressing| effort(compressing, cores));
        let (normal, fast) = (Effort::Normal, Effort::Fast);
        assert_eq!(efforts(1), [normal, fast, fast, fast]);
        assert_eq!(efforts(2), [normal, fast, fast, fast]);
        assert_eq!(efforts(8), [normal, normal, normal, fast]);
    }
}
