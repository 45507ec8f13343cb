//! Reads the next segments while the current one is appended.

use std::sync::Arc;

use hindsight_log::{LogError, SegmentLog};
use hindsight_runtime::queue::{self, Receiver};
use hindsight_segment::{SegmentView, Sequence};
use tokio::task::JoinSet;

use crate::progress::Tell;
use crate::retry::patiently;

/// Bytes of segments that are read and not yet appended (I11).
const AHEAD_BYTES: usize = 64 << 20;

/// A segment, or the reason why there is no next segment.
pub(crate) type Read = Result<SegmentView, LogError>;

/// Segments that are being read. Reading ends when this is dropped.
pub(crate) struct Ahead {
    segments: Receiver<Read>,
    _reader: JoinSet<()>,
}

impl Ahead {
    /// Returns the next segment. None after the last segment, and after an error.
    pub(crate) async fn next(&mut self) -> Option<Read> {
        Some(self.segments.recv().await?.item)
    }
}

/// Reads the segments from `next` on, in order, up to and including `last`. When a segment cannot
/// be read, its error comes as the last item.
pub(crate) fn read_ahead(
    log: Arc<dyn SegmentLog>,
    mut next: Sequence,
    last: Option<Sequence>,
    tell: Tell,
) -> Ahead {
    let (sender, segments) = queue::bounded(AHEAD_BYTES);
    let mut reader = JoinSet::new();
    reader.spawn(async move {
        while last.is_none_or(|last| next <= last) {
            let read = patiently(&tell, || log.read(next)).await;
            let bytes = read.as_ref().map_or(0, |view| view.info().segment_bytes as usize);
            let is_end = read.is_err();
            if sender.send(read, bytes).await.is_err() || is_end {
                break;
            }
            next = next.next();
        }
    });
    Ahead { segments, _reader: reader }
}
