//! Reads and expands the next segment while the previous one is applied, and finds the documents
//! that its entries write to.

use std::sync::Arc;

use hindsight_history::{Ahead, History};
use hindsight_log::SegmentLog;
use hindsight_oplog::raw::Malformed;
use hindsight_oplog::{Entry, Operation};
use hindsight_segment::{DecodedFrame, SegmentInfo, Sequence};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::follow::FollowError;

/// A segment's entries, verified and uncompressed.
pub(crate) struct DecodedSegment {
    pub(crate) info: Arc<SegmentInfo>,
    pub(crate) frames: Vec<DecodedFrame>,
    /// The documents that the entries write to, if the segment was read ahead.
    pub(crate) documents: Option<Ahead>,
}

/// Reads segments ahead. Holds at most one segment beside the one that it returned last.
pub(crate) struct ReadAhead<'a> {
    log: &'a Arc<dyn SegmentLog>,
    /// Where to find documents ahead of their entries.
    history: Option<&'a Arc<History>>,
    runtime: &'a Handle,
    next: Option<(Sequence, Reading)>,
}

type Reading = JoinHandle<Result<DecodedSegment, FollowError>>;

impl<'a> ReadAhead<'a> {
    pub(crate) fn new(
        log: &'a Arc<dyn SegmentLog>,
        history: Option<&'a Arc<History>>,
        runtime: &'a Handle,
    ) -> Self {
        Self { log, history, runtime, next: None }
    }

    /// Waits for the segment. With `go_on`, the log already holds the next segment, which is then
    /// read meanwhile.
    pub(crate) fn take(
        &mut self,
        sequence: Sequence,
        go_on: bool,
    ) -> Result<DecodedSegment, FollowError> {
        let begun = self.next.take().filter(|(begun, _)| *begun == sequence);
        let reading = begun.map_or_else(|| self.begin(sequence, None), |(_, reading)| reading);
        if go_on {
            let history = self.history.map(Arc::clone);
            self.next = Some((sequence.next(), self.begin(sequence.next(), history)));
        }
        self.runtime.block_on(reading).expect("reading a segment does not panic")
    }

    /// Begins to read a segment, and with a history also the documents.
    fn begin(&self, sequence: Sequence, history: Option<Arc<History>>) -> Reading {
        let log = Arc::clone(self.log);
        self.runtime.spawn(async move {
            let segment = log.read(sequence).await?;
            let decoded =
                tokio::task::spawn_blocking(move || -> Result<_, hindsight_segment::Error> {
                    let frames = segment.frames().iter().map(|frame| frame.decode());
                    let frames = frames.collect::<Result<Vec<_>, _>>()?;
                    let documents = history.and_then(|history| find_documents(&history, &frames));
                    Ok(DecodedSegment { info: Arc::clone(segment.info()), frames, documents })
                });
            decoded
                .await
                .expect("expanding frames does not panic")
                .map_err(|error| FollowError::Damaged { sequence, source: error.into() })
        })
    }
}

/// Finds the documents that the entries write to. Returns `None` when the store or an entry cannot
/// be read: the applier meets the same failure, and says where.
fn find_documents(history: &History, frames: &[DecodedFrame]) -> Option<Ahead> {
    let mut ahead = history.look_ahead()?;
    for bytes in frames.iter().flat_map(DecodedFrame::entries) {
        let entry = Entry::parse(bytes).ok()?;
        let mut want = |operation: Operation<'_>| ahead.want(&operation).map_err(|_| Unreadable);
        entry.for_each_operation::<Unreadable>(&mut want).ok()?;
    }
    ahead.read().ok()
}

/// The reason does not matter here.
struct Unreadable;

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Unreadable
    }
}

impl Drop for ReadAhead<'_> {
    fn drop(&mut self) {
        if let Some((_, reading)) = self.next.take() {
            reading.abort();
        }
    }
}
