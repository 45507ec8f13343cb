//! The log: an ordered, durable store of sealed segments. It is the truth; everything else is
//! derived from it.
//!
//! - [`SegmentLog`]: what every implementation promises
//! - [`Beginning`]: where a log begins after its oldest segments were removed
//! - [`SharedLog`]: what a log promises in addition when several processes may have it open
//! - [`DirectoryLog`]: a directory with a file per segment, and packs of older segments
//! - [`KafkaLog`]: a topic with one record per frame
//! - [`MemoryLog`]: a log in memory for tests, with scripted faults
//! - `conformance`: the tests that every implementation passes (feature `conformance`)

use std::sync::Arc;

use async_trait::async_trait;
use hindsight_segment::{Frame, SealedSegment, SegmentInfo, SegmentView, Sequence};

mod beginning;
mod blocking;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod directory;
mod error;
mod in_chain;
mod kafka;
mod memory;
mod shared;

pub use beginning::{Before, Beginning};
pub use directory::{DirectoryLog, DirectoryOptions, KnownEnd, PackLimits, Packed};
pub use error::{Damage, LogError};
pub use kafka::{KafkaLog, KafkaOptions};
pub use memory::{AppendFault, MemoryLog, ReadFault};
pub use shared::{BaseDigest, BaseNotice, Ignored, Instance, Leader, Risks, SharedLog};

/// An ordered, durable store of segments that form one chain.
///
/// Every method may be called from several tasks at once. There is at most one writer (I6).
#[async_trait]
pub trait SegmentLog: Send + Sync {
    /// Appends the segment that follows the end of the log, and returns when it is durable.
    ///
    /// Appending the segment that is already at the end does nothing. So a caller that lost the
    /// answer to an append can repeat the call.
    ///
    /// # Errors
    /// Returns [`LogError::NotNext`] when the segment does not follow the end (I3). Returns
    /// [`LogError::Unavailable`] when the store failed: the segment may or may not have become
    /// durable, and the caller can append the same segment again.
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError>;

    /// Returns a whole segment, after comparing every byte of it with its digest.
    ///
    /// # Errors
    /// Returns [`LogError::NotFound`] past the end, and [`LogError::Removed`] before the beginning.
    /// Returns [`LogError::Corrupt`] when the segment is damaged or is not the one that belongs at
    /// that place in the chain.
    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError>;

    /// Returns one frame of a segment whose header and seal are known, after comparing the frame
    /// with its digest in the seal. `ordinal` counts from 0.
    ///
    /// # Errors
    /// The same as [`SegmentLog::read`].
    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError>;

    /// Returns headers and seals of at most `limit` segments, beginning with `from`, or with the
    /// log's first segment when `from` was removed. Each is verified and compared with its
    /// predecessor, including the predecessor of `from`. The list is empty when `from` is past the
    /// end.
    ///
    /// # Errors
    /// Returns [`LogError::Corrupt`] for the first segment that is damaged or does not follow its
    /// predecessor.
    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError>;

    /// Returns header and seal of the last durable segment. None when the log is empty.
    ///
    /// # Errors
    /// Returns [`LogError::Unavailable`] when the store failed, and [`LogError::Corrupt`] when the
    /// log is damaged.
    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError>;

    /// Returns where the log begins. None when it is empty.
    ///
    /// # Errors
    /// The same as [`SegmentLog::end`].
    async fn begin(&self) -> Result<Option<Beginning>, LogError>;

    /// Removes the segments before `sequence`, and returns when they stay removed. Does nothing
    /// when there are none. The log begins with `sequence` from then on, also after a crash at any
    /// moment: it begins either where it began before or there.
    ///
    /// # Errors
    /// Returns [`LogError::EndStays`] when `sequence` is past the last segment, because a log
    /// always keeps its last segment: the next one must follow it. Returns [`LogError::ReadOnly`]
    /// and [`LogError::Fenced`] as [`SegmentLog::append`] does. After [`LogError::Unavailable`],
    /// the call can be repeated.
    async fn remove_before(&self, sequence: Sequence) -> Result<(), LogError>;

    /// Returns what the client of the store complained about recently, as text for people: it
    /// explains why a call takes long. None when there was no recent complaint.
    fn complaint(&self) -> Option<String> {
        None
    }
}
