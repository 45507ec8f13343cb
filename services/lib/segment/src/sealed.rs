//! Closes a segment.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hindsight_oplog::{OpTime, Timestamp};

use crate::error::Error;
use crate::fields::length_u32;
use crate::frame::Frame;
use crate::frame::StoredFrame;
use crate::header::{GapNotice, Header};
use crate::identity::{Codec, CutReason, SegmentDigest, Sequence, SourceIdentity, WriterEpoch};
use crate::limits::MAX_SEAL_BYTES;
use crate::open::Summary;
use crate::seal::DIGEST_BYTES;
use crate::seal::Seal;
use crate::view::{SegmentInfo, SegmentView, TRAILER_BYTES, digest_of, encode_trailer};

/// Everything that a segment is sealed with.
#[derive(Clone, Debug)]
pub struct SealInput {
    /// The replica set whose oplog the segment holds.
    pub source: SourceIdentity,
    /// The epoch of the segment's writer.
    pub epoch: WriterEpoch,
    /// The segment's place in its log.
    pub sequence: Sequence,
    /// The digest of the segment before this one. [`SegmentDigest::NONE`] for the first segment of
    /// a log.
    pub predecessor: SegmentDigest,
    /// The codec that the frames were to be compressed with.
    pub codec: Codec,
    /// Present when entries are missing between the segment before and this one.
    pub gap: Option<GapNotice>,
    /// The source's majority point. It is at or after the last entry (I2).
    pub majority: OpTime,
    /// The first entry of the oldest transaction that was neither committed nor aborted at the cut.
    pub oldest_unresolved: Option<OpTime>,
    /// The oldest prepare that was neither committed nor aborted at the cut.
    pub oldest_prepared: Option<Timestamp>,
    /// Why the segment is closed here.
    pub reason: CutReason,
    /// The facts about the entries.
    pub summary: Summary,
    /// All frames of the segment, in order.
    pub frames: Vec<StoredFrame>,
}

/// Builds the segment: header, unchanged frames, seal.
///
/// # Errors
/// Returns [`Error::Refused`] when the parts do not make a segment: there are no frames, frames are
/// missing or out of order, sums do not match the summary, or the majority point is before the last
/// entry.
pub fn seal(input: SealInput) -> Result<SealedSegment, Error> {
    let SealInput { summary, frames, .. } = input;
    if let Some(index) = frames.iter().zip(0u32..).position(|(it, want)| it.ordinal() != want) {
        return Err(Error::Refused(format!("frame {index} is missing or out of place")));
    }
    let header = Header {
        source: input.source,
        epoch: input.epoch,
        sequence: input.sequence,
        predecessor: input.predecessor,
        codec: input.codec,
        gap: input.gap,
        has_sightings: summary.sightings.is_some(),
    };
    let gap_ends_elsewhere = header.gap.as_ref().is_some_and(|gap| gap.before != summary.first);
    if gap_ends_elsewhere {
        return Err(Error::Refused("its gap does not end at its first entry".to_owned()));
    }
    let facts = Seal {
        first: summary.first,
        last: summary.last,
        majority: input.majority,
        reason: input.reason,
        first_wall_ms: summary.first_wall_ms,
        last_wall_ms: summary.last_wall_ms,
        oldest_unresolved: input.oldest_unresolved,
        oldest_prepared: input.oldest_prepared,
        entries: summary.entries,
        raw_bytes: summary.raw_bytes,
        stored_bytes: frames.iter().map(|it| u64::from(it.info.stored_len)).sum(),
        namespaces: summary.namespaces,
        commands: summary.commands,
        frames: frames.iter().map(|it| it.info.clone()).collect(),
        sightings: summary.sightings,
    };
    facts.check().map_err(|what| Error::Refused(what.to_owned()))?;
    let header = header.encode()?;
    let seal = encode_seal(&header, &facts)?;
    let segment_bytes = header.len() as u64 + facts.stored_bytes + seal.len() as u64;
    // What was written is read back: a segment that this program could not open again must not
    // become durable.
    let info = SegmentInfo::from_ends(&header, &seal, segment_bytes)?;
    Ok(SealedSegment {
        info: info.into(),
        header: header.into(),
        frames: frames.into_iter().map(|it| it.bytes).collect(),
        seal: seal.into(),
    })
}

/// Encodes the seal's body, digest and trailer.
fn encode_seal(header: &[u8], facts: &Seal) -> Result<Vec<u8>, Error> {
    let mut seal = facts.encode_body();
    let digest = digest_of(header, &seal);
    seal.extend_from_slice(&digest.0);
    if seal.len() > MAX_SEAL_BYTES {
        return Err(Error::Refused(format!("its seal has {} bytes", seal.len())));
    }
    let trailer = encode_trailer(length_u32(seal.len()), &seal);
    seal.extend_from_slice(&trailer);
    Ok(seal)
}

/// A closed segment, ready to be appended. Cloning it is cheap, because the clones share the bytes.
#[derive(Clone, Debug)]
pub struct SealedSegment {
    info: Arc<SegmentInfo>,
    header: Bytes,
    frames: Vec<Bytes>,
    seal: Bytes,
}

impl SealedSegment {
    /// Returns exactly the segment that was read, so that it can be appended to another log.
    ///
    /// # Errors
    /// Returns [`Error::Refused`] when writing header and seal again would not produce the bytes
    /// that were read.
    pub fn of(view: &SegmentView) -> Result<Self, Error> {
        let info = Arc::clone(view.info());
        let header = info.header.encode()?;
        let seal = encode_seal(&header, &info.seal)?;
        let digest = digest_of(&header, &seal[..seal.len() - DIGEST_BYTES - TRAILER_BYTES]);
        if digest != info.digest {
            return Err(Error::Refused(format!(
                "segment {} was not written as this program writes",
                info.sequence()
            )));
        }
        let frames = view.frames().iter().map(Frame::stored_bytes).collect();
        Ok(Self { info, header: header.into(), frames, seal: seal.into() })
    }

    /// Returns the segment's header and seal.
    pub fn info(&self) -> &Arc<SegmentInfo> {
        &self.info
    }

    /// Returns the segment's digest.
    pub fn digest(&self) -> SegmentDigest {
        self.info.digest
    }

    /// Returns the header, each frame, and the seal with the trailer. Concatenated, they are the
    /// segment's bytes.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.header).chain(&self.frames).chain(std::iter::once(&self.seal))
    }

    /// Returns a copy of the whole segment.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.info.segment_bytes as usize);
        self.pieces().for_each(|piece| bytes.extend_from_slice(piece));
        bytes.into()
    }

    /// Writes the whole segment to `out`.
    ///
    /// # Errors
    /// Returns the error of `out` when a write fails.
    pub fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        self.pieces().try_for_each(|piece| out.write_all(piece))
    }
}
