//! The appending task: seals segments, makes them durable, indexes them, and only then moves the
//! positions.

use std::sync::Arc;
use std::time::Duration;

use hindsight_index::{Index, IndexError};
use hindsight_log::{LogError, SegmentLog};
use hindsight_runtime::{Backoff, CancellationToken, compute, queue};
use hindsight_segment::{
    ChainEnd, Codec, SealInput, SealedSegment, SegmentDigest, SegmentInfo, Sequence,
    SourceIdentity, StoredFrame, WriterEpoch, seal,
};
use tracing::{debug, warn};

use crate::absorb::restorable_through;
use crate::cutter::CutSegment;
use crate::error::CaptureError;
use crate::metrics;
use crate::overdue::told_while_overdue;
use crate::positions::PositionBoard;
use crate::sightings::SightingQueue;
use crate::status::StatusBoard;

/// What the appending task works with.
pub(crate) struct Appender {
    /// The log that segments are appended to.
    pub log: Arc<dyn SegmentLog>,
    /// The index that durable segments are absorbed into.
    pub index: Arc<Index>,
    /// The source, as segments name it.
    pub source: SourceIdentity,
    /// How frames are compressed.
    pub codec: Codec,
    /// The writer epoch that segments are sealed with.
    pub epoch: WriterEpoch,
    /// The end of the chain. None while the log is empty.
    pub end: Option<ChainEnd>,
    /// Where positions are published.
    pub positions: PositionBoard,
    /// Where failures are published.
    pub status: StatusBoard,
    /// The sightings that wait for a segment.
    pub sightings: SightingQueue,
    /// Ends the wait for a log that cannot be written.
    pub shutdown: CancellationToken,
}

impl Appender {
    /// Runs until the cutting task has ended and everything it cut is durable.
    ///
    /// # Errors
    /// Returns an error when the log or the index refuses a segment or is damaged. While the log is
    /// full or unreachable, this waits.
    pub(crate) async fn run(
        mut self,
        mut receiver: queue::Receiver<CutSegment>,
    ) -> Result<(), CaptureError> {
        while let Some(held) = receiver.recv().await {
            let segment = self.seal(held.item).await?;
            if !self.append(&segment).await? || !self.absorb(segment.info()).await? {
                return Ok(());
            }
            self.publish(segment.info());
        }
        Ok(())
    }

    async fn seal(&self, mut cut: CutSegment) -> Result<SealedSegment, CaptureError> {
        let mut frames: Vec<StoredFrame> = Vec::with_capacity(cut.frames.len());
        for frame in cut.frames {
            frames.push(frame.await.expect("compressing a frame does not panic"));
        }
        let (sequence, predecessor) = match &self.end {
            Some(end) => (end.sequence.next(), end.digest),
            None => (Sequence::FIRST, SegmentDigest::NONE),
        };
        cut.summary.sightings = self.sightings.take_for(cut.summary.last.ts);
        let input = SealInput {
            source: self.source.clone(),
            epoch: self.epoch,
            sequence,
            predecessor,
            codec: self.codec,
            gap: cut.gap,
            majority: cut.majority,
            oldest_unresolved: cut.oldest_unresolved,
            oldest_prepared: cut.oldest_prepared,
            reason: cut.reason,
            summary: cut.summary,
            frames,
        };
        let sealed = compute(move || seal(input)).await;
        sealed.expect("sealing does not panic").map_err(|error| {
            CaptureError::Refused(format!("segment {sequence} cannot be sealed: {error}"))
        })
    }

    /// Tries until the log says that the segment is durable. Returns false when shutdown was
    /// requested while the log could not be written: what is not durable is read from the source
    /// again at the next start.
    async fn append(&self, segment: &SealedSegment) -> Result<bool, CaptureError> {
        let mut backoff = patience();
        let appending = format!("appending segment {}", segment.info().sequence());
        loop {
            let append = self.log.append(segment.clone());
            let log = self.log.as_ref();
            match told_while_overdue(&self.status, log, &appending, append).await {
                Ok(()) => {
                    self.written("log", &backoff);
                    return Ok(true);
                }
                Err(error @ LogError::Unavailable { .. }) => {
                    if !self.pause("log", error.to_string(), &mut backoff).await {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Like [`Self::append`], but for the index. A segment that is durable and not indexed is
    /// indexed at the next start.
    async fn absorb(&self, info: &SegmentInfo) -> Result<bool, CaptureError> {
        let mut backoff = patience();
        loop {
            match self.index.absorb_segment(info) {
                Ok(_) => {
                    self.written("index", &backoff);
                    return Ok(true);
                }
                Err(error @ IndexError::Storage { .. }) => {
                    if !self.pause("index", error.to_string(), &mut backoff).await {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn written(&self, what: &str, backoff: &Backoff) {
        if backoff.failures() > 0 {
            self.status.log_failed(None);
            warn!(failures = backoff.failures(), "the {what} can be written again");
        }
    }

    /// Reports that capture is paused, and waits. Returns false when shutdown was requested
    /// meanwhile.
    async fn pause(&self, what: &str, error: String, backoff: &mut Backoff) -> bool {
        metrics::log_retried();
        warn!(%error, "the {what} cannot be written; capture is paused and nothing is lost");
        self.status.log_failed(Some(error));
        backoff.pause(&self.shutdown).await
    }

    /// Moves the positions, after the segment is durable and indexed. Progress moves nowhere else
    /// (I4).
    fn publish(&mut self, info: &SegmentInfo) {
        self.end = Some(info.chain_end());
        let seal = &info.seal;
        self.positions.durable(seal.last, info.sequence().0, restorable_through(info));
        let cut = seal.reason.to_string();
        metrics::durable(seal.entries, seal.raw_bytes, info.segment_bytes, &cut);
        debug!(sequence = %info.sequence(), last = %seal.last, entries = seal.entries, reason = %seal.reason, "durable");
    }
}

fn patience() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}
