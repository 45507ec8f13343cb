//! Reads the next segments while the current one is appended.

use std::sync::Arc;

use hindsight_log::{LogError, SegmentLog};
use hindsight_runtime::queue::{self, Receiver};
use hindsight_segment::{SegmentView, Sequence};

use super::patiently;

/// Bytes of segments that are read and not yet appended (I11).
const AHEAD_BYTES: usize = 64 << 20;

/// A segment, or the reason why there is no next segment.
pub(super) type Read = Result<SegmentView, LogError>;

/// Reads the segments from `next` on, in order, up to and including `through`. When a segment
/// cannot be read, its error is sent as the last item. Reading ends when the receiver is dropped.
pub(super) fn read_ahead(
    log: Arc<dyn SegmentLog>,
    mut next: Sequence,
    through: Option<Sequence>,
) -> Receiver<Read> {
    let (sender, receiver) = queue::bounded(AHEAD_BYTES);
    tokio::spawn(async move {
        while through.is_none_or(|through| next <= through) {
            let read = patiently(|| log.read(next)).await;
            let bytes = read.as_ref().map_or(0, |view| view.info().segment_bytes as usize);
            let is_last = read.is_err();
            if sender.send(read, bytes).await.is_err() || is_last {
                break;
            }
            next = next.next();
        }
    });
    receiver
}
