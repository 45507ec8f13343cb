//! The log: an ordered, durable store of sealed segments. It is the truth; everything else is
//! derived from it.
//!
//! - [`SegmentLog`]: what every implementation promises
//! - [`SharedLog`]: what those promise besides which several processes may have open
//! - [`DirectoryLog`]: one file per segment
//! - [`KafkaLog`]: one topic, a record per frame
//! - [`MemoryLog`]: for tests, with scripted faults
//! - `conformance`: the suite each of them passes (feature `conformance`)

use std::sync::Arc;

use async_trait::async_trait;
use hindsight_segment::{Frame, SealedSegment, SegmentInfo, SegmentView, Sequence};

mod blocking;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod directory;
mod error;
mod in_chain;
mod kafka;
mod memory;
mod shared;

pub use directory::{DirectoryLog, DirectoryOptions, KnownEnd};
pub use error::{Damage, LogError};
pub use kafka::{Ignored, KafkaLog, KafkaOptions};
pub use memory::{AppendFault, MemoryLog, ReadFault};
pub use shared::{BaseDigest, BaseNotice, Instance, Leader, Risks, SharedLog};

/// An ordered, durable store of segments which form one chain.
///
/// Every method may be called from several tasks at once; there is at most one writer (I6).
#[async_trait]
pub trait SegmentLog: Send + Sync {
    /// Appends the segment that follows the end of the log, and returns when it is durable.
    ///
    /// Appending the very segment that is already at the end does nothing, so that an append whose
    /// answer was lost can be repeated.
    ///
    /// # Errors
    /// [`LogError::NotNext`] when it does not follow the end (I3). [`LogError::Unavailable`] when
    /// the store failed: the segment may have become durable or not, and the same one can be
    /// appended again.
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError>;

    /// A whole segment, every byte of it compared with its digest.
    ///
    /// # Errors
    /// [`LogError::NotFound`] past the end; [`LogError::Corrupt`] when it is damaged, or not the
    /// segment of that place in the chain.
    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError>;

    /// One frame of a segment whose header and seal are known, compared with its digest in the
    /// seal.
    ///
    /// # Errors
    /// As [`SegmentLog::read`].
    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError>;

    /// Headers and seals of at most `limit` segments beginning with `from`, each verified and
    /// compared with its predecessor (that of `from` included). Past the end there are none.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for the first segment that is damaged or does not follow.
    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError>;

    /// Header and seal of the last durable segment; nothing for an empty log.
    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError>;

    /// What the client of the store complained about lately, for people: it tells why a call takes
    /// long.
    fn complaint(&self) -> Option<String> {
        None
    }
}
