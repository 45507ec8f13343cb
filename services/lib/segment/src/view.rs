//! Opens a segment's bytes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hindsight_oplog::OpTime;

use crate::chain::ChainEnd;
use crate::error::{Error, Place};
use crate::fields::FieldReader;
use crate::frame::Frame;
use crate::header::Header;
use crate::identity::{SegmentDigest, Sequence};
use crate::limits::MAX_SEAL_BYTES;
use crate::seal::{DIGEST_BYTES, Seal};

const TRAILER_MAGIC: [u8; 8] = *b"HSSEGEND";
/// The length of the trailer in bytes: the length of the seal, the CRC32C of the seal, and the
/// magic.
pub const TRAILER_BYTES: usize = 16;

pub(crate) fn encode_trailer(seal_length: u32, seal: &[u8]) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..4].copy_from_slice(&seal_length.to_le_bytes());
    trailer[4..8].copy_from_slice(&crc32c::crc32c(seal).to_le_bytes());
    trailer[8..].copy_from_slice(&TRAILER_MAGIC);
    trailer
}

pub(crate) fn digest_of(header: &[u8], seal_body: &[u8]) -> SegmentDigest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(seal_body);
    SegmentDigest(*hasher.finalize().as_bytes())
}

/// Returns how many bytes at the end of a segment are its seal and trailer. `end` must hold at
/// least the segment's last [`TRAILER_BYTES`] bytes. The returned number of bytes at the end and
/// the first 8 KiB are enough for [`SegmentInfo::from_ends`].
///
/// # Errors
/// Returns [`Error::Corrupt`] when `end` is not the end of a segment.
pub fn tail_bytes(end: &[u8]) -> Result<usize, Error> {
    Ok(read_trailer(end)?.0 + TRAILER_BYTES)
}

/// Returns the length and the checksum of the seal.
fn read_trailer(end: &[u8]) -> Result<(usize, u32), Error> {
    let cut = Error::corrupt(Place::Trailer, "the segment is cut short");
    let start = end.len().checked_sub(TRAILER_BYTES).ok_or(cut.clone())?;
    let mut fields = FieldReader::new(&end[start..], Place::Trailer);
    let seal_length = fields.u32()? as usize;
    let checksum = fields.u32()?;
    if fields.bytes(8)? != TRAILER_MAGIC {
        return Err(cut);
    }
    if !(DIGEST_BYTES..=MAX_SEAL_BYTES).contains(&seal_length) {
        return Err(Error::corrupt(Place::Trailer, "the seal's length is impossible"));
    }
    Ok((seal_length, checksum))
}

/// Header and seal of a segment, verified: their checksums, their digest, and that the frames
/// between them take as many bytes as the seal says. The frames' own bytes are compared when they
/// are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The segment's header.
    pub header: Header,
    /// The segment's seal.
    pub seal: Seal,
    /// The segment's digest.
    pub digest: SegmentDigest,
    /// The length of the header in bytes.
    pub header_bytes: u32,
    /// The length of the whole segment in bytes.
    pub segment_bytes: u64,
}

impl SegmentInfo {
    /// Reads a segment of `segment_bytes` bytes from its two ends. `head` holds at least the
    /// header. `tail` ends where the segment ends and holds at least as many bytes as
    /// [`tail_bytes`] returns.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] when header or seal is damaged, and [`Error::Unsupported`] for a
    /// segment of a newer version.
    pub fn from_ends(head: &[u8], tail: &[u8], segment_bytes: u64) -> Result<Self, Error> {
        let (header, header_bytes) = Header::read(head)?;
        let (seal_length, checksum) = read_trailer(tail)?;
        let seal_and_trailer = seal_length + TRAILER_BYTES;
        let start = tail
            .len()
            .checked_sub(seal_and_trailer)
            .ok_or(Error::corrupt(Place::Seal, "it is longer than what is there"))?;
        let seal_bytes = &tail[start..start + seal_length];
        if crc32c::crc32c(seal_bytes) != checksum {
            return Err(Error::corrupt(Place::Seal, "its checksum does not match its bytes"));
        }
        let (body, stored_digest) = seal_bytes.split_at(seal_length - DIGEST_BYTES);
        let digest = digest_of(&head[..header_bytes], body);
        if digest.0 != stored_digest {
            return Err(Error::corrupt(Place::Seal, "its digest does not match header and seal"));
        }
        let seal = Seal::read_body(body)?;
        if header_bytes as u64 + seal.stored_bytes + seal_and_trailer as u64 != segment_bytes {
            return Err(Error::corrupt(Place::Seal, "its parts do not add up to the segment"));
        }
        if header.gap.as_ref().is_some_and(|gap| gap.before != seal.first) {
            return Err(Error::corrupt(Place::Header, "its gap does not end at its first entry"));
        }
        if header.has_sightings != seal.sightings.is_some() {
            return Err(Error::corrupt(Place::Seal, "its header and it disagree about sightings"));
        }
        Ok(SegmentInfo { header, seal, digest, header_bytes: header_bytes as u32, segment_bytes })
    }

    /// Returns the segment's place in its log.
    pub fn sequence(&self) -> Sequence {
        self.header.sequence
    }

    /// Returns the first entry's optime.
    pub fn first(&self) -> OpTime {
        self.seal.first
    }

    /// Returns the last entry's optime.
    pub fn last(&self) -> OpTime {
        self.seal.last
    }

    /// Returns what the next segment is compared with.
    pub fn chain_end(&self) -> ChainEnd {
        ChainEnd {
            source: self.header.source.clone(),
            epoch: self.header.epoch,
            sequence: self.header.sequence,
            digest: self.digest,
            last: self.seal.last,
        }
    }

    /// Returns where each frame lies in the segment, in bytes, in order.
    pub fn frame_ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let mut at = u64::from(self.header_bytes);
        self.seal.frames.iter().map(move |frame| {
            let start = at;
            at += u64::from(frame.stored_len);
            start..at
        })
    }
}

/// A segment whose every byte has been compared with its digest.
#[derive(Clone, Debug)]
pub struct SegmentView {
    info: Arc<SegmentInfo>,
    frames: Vec<Frame>,
}

impl SegmentView {
    /// Opens a segment. `bytes` must be exactly the bytes of one segment.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] when any byte is not what was sealed, and [`Error::Unsupported`]
    /// for a newer version.
    pub fn open(bytes: Bytes) -> Result<Self, Error> {
        let info = SegmentInfo::from_ends(&bytes, &bytes, bytes.len() as u64)?;
        let mut frames = Vec::with_capacity(info.seal.frames.len());
        for ((range, frame), ordinal) in info.frame_ranges().zip(&info.seal.frames).zip(0u32..) {
            let stored = bytes.slice(range.start as usize..range.end as usize);
            frames.push(Frame::verify(ordinal, frame, stored)?);
        }
        Ok(SegmentView { info: info.into(), frames })
    }

    /// Returns the segment's header and seal.
    pub fn info(&self) -> &Arc<SegmentInfo> {
        &self.info
    }

    /// Returns the segment's frames, in order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }
}
