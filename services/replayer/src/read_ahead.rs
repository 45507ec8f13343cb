//! Reads and expands the next segment while the previous one is applied.

use std::sync::Arc;

use hindsight_log::SegmentLog;
use hindsight_segment::{DecodedFrame, SegmentInfo, Sequence};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::follow::FollowError;

/// A segment's entries, verified and uncompressed.
pub(crate) struct DecodedSegment {
    pub(crate) info: Arc<SegmentInfo>,
    pub(crate) frames: Vec<DecodedFrame>,
}

/// Reads segments ahead. Holds at most one segment beside the one that it returned last.
pub(crate) struct ReadAhead<'a> {
    log: &'a Arc<dyn SegmentLog>,
    runtime: &'a Handle,
    next: Option<(Sequence, Reading)>,
}

type Reading = JoinHandle<Result<DecodedSegment, FollowError>>;

impl<'a> ReadAhead<'a> {
    pub(crate) fn new(log: &'a Arc<dyn SegmentLog>, runtime: &'a Handle) -> Self {
        Self { log, runtime, next: None }
    }

    /// Waits for the segment. With `go_on`, the log already holds the next segment, which is then
    /// read meanwhile.
    pub(crate) fn take(
        &mut self,
        sequence: Sequence,
        go_on: bool,
    ) -> Result<DecodedSegment, FollowError> {
        let begun = self.next.take().filter(|(begun, _)| *begun == sequence);
        let reading = begun.map_or_else(|| self.begin(sequence), |(_, reading)| reading);
        if go_on {
            self.next = Some((sequence.next(), self.begin(sequence.next())));
        }
        self.runtime.block_on(reading).expect("reading a segment does not panic")
    }

    fn begin(&self, sequence: Sequence) -> Reading {
        let log = Arc::clone(self.log);
        self.runtime.spawn(async move {
            let segment = log.read(sequence).await?;
            let decoded = tokio::task::spawn_blocking(move || {
                let frames = segment.frames().iter().map(|frame| frame.decode());
                let frames = frames.collect::<Result<Vec<_>, _>>();
                frames.map(|frames| DecodedSegment { info: Arc::clone(segment.info()), frames })
            });
            decoded
                .await
                .expect("expanding frames does not panic")
                .map_err(|error| FollowError::Damaged { sequence, source: error.into() })
        })
    }
}

impl Drop for ReadAhead<'_> {
    fn drop(&mut self) {
        if let Some((_, reading)) = self.next.take() {
            reading.abort();
        }
    }
}
