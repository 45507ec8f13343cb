//! Frames, segments and the chain they form, as pure values: no I/O, no clock, no threads.
//!
//! - [`OpenSegment`] gathers entries into [`RawFrame`]s; [`RawFrame::encode`] compresses a frame
//!   and computes its checksum
//! - [`seal()`] closes the segment and returns a [`SealedSegment`], ready to be appended to a log
//! - [`SegmentView`] opens a segment's bytes and verifies them; [`SegmentInfo`] is its header and
//!   seal, readable from the two ends of a file
//! - [`Frame::decode`] returns the entries, byte for byte (I1)
//! - [`check_next`] checks whether a segment extends a chain (I3)
//!
//! The bytes are drawn in `docs/SEGMENT_FORMAT.md`.

mod chain;
mod error;
mod fields;
mod filter;
mod frame;
mod header;
mod identity;
pub mod limits;
mod open;
mod seal;
mod sealed;
mod sighting;
mod tally;
mod view;

#[cfg(test)]
mod tests;

pub use chain::{ChainBreak, ChainEnd, check_next};
pub use error::{Error, Place};
pub use filter::{KeyFilter, any_may_contain, filters_to_bytes};
pub use frame::{DecodedFrame, Effort, Frame, FrameInfo, RawFrame, StoredFrame};
pub use header::{GapNotice, GapReason, Header};
pub use identity::{Codec, CutReason, SegmentDigest, Sequence, SourceIdentity, WriterEpoch};
pub use open::{FrameLimits, OpenSegment, Summary};
pub use seal::Seal;
pub use sealed::{SealInput, SealedSegment, seal};
pub use sighting::{CatalogSighting, Sightings};
pub use tally::{CommandNote, NamespaceCounts, OpCounts};
pub use view::{SegmentInfo, SegmentView, TRAILER_BYTES, tail_bytes};
