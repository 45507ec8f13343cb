//! Frames: the unit of compression, checksum and input/output.
//!
//! A frame is a fixed header and a payload. The payload is entries, one after another as the source
//! returned them, compressed together. `docs/SEGMENT_FORMAT.md` draws it.

use bytes::Bytes;
use hindsight_oplog::{OpTime, Timestamp};

use crate::error::{Error, Place};
use crate::fields::{FieldReader, length_u32, put_optime, put_u32};
use crate::filter::KeyFilter;
use crate::identity::Codec;
use crate::limits::MAX_FRAME_RAW_BYTES;
use crate::tally::FrameKeys;

mod compress;
mod decode;

pub use compress::Effort;
pub use decode::{DecodedFrame, Frame};

pub(crate) const FRAME_MAGIC: [u8; 4] = *b"HSFR";
/// The length of the header in bytes, up to and including the checksum. The payload follows it.
pub(crate) const FRAME_HEADER_BYTES: usize = 60;
/// How many bytes of the header the checksum covers.
const CHECKED_HEADER_BYTES: usize = FRAME_HEADER_BYTES - 4;

/// A full frame that is not compressed yet.
#[derive(Debug)]
pub struct RawFrame {
    ordinal: u32,
    bytes: Vec<u8>,
    entries: u32,
    first: OpTime,
    last: OpTime,
    keys: FrameKeys,
}

impl RawFrame {
    pub(crate) fn new(ordinal: u32, first: OpTime, capacity: usize) -> Self {
        Self {
            ordinal,
            bytes: Vec::with_capacity(capacity),
            entries: 0,
            first,
            last: first,
            keys: FrameKeys::default(),
        }
    }

    pub(crate) fn add(&mut self, entry: &[u8], optime: OpTime) {
        self.bytes.extend_from_slice(entry);
        self.entries += 1;
        self.last = optime;
    }

    pub(crate) fn keys_mut(&mut self) -> &mut FrameKeys {
        &mut self.keys
    }

    /// Returns the length of the frame's entries in bytes, uncompressed.
    pub fn raw_len(&self) -> usize {
        self.bytes.len()
    }

    /// Compresses the frame, computes its checksum and digest, and builds its key filter. This
    /// takes milliseconds of CPU time: run it on a worker thread.
    ///
    /// A payload that does not shrink is stored uncompressed.
    pub fn encode(self, codec: Codec, effort: Effort) -> StoredFrame {
        let mut stored = vec![0; FRAME_HEADER_BYTES];
        let codec = compress::append(codec, effort, &self.bytes, &mut stored);
        let mut header = Vec::with_capacity(FRAME_HEADER_BYTES);
        header.extend_from_slice(&FRAME_MAGIC);
        put_u32(&mut header, self.ordinal);
        header.extend_from_slice(&[codec as u8, 0, 0, 0]);
        put_u32(&mut header, length_u32(stored.len() - FRAME_HEADER_BYTES));
        put_u32(&mut header, length_u32(self.bytes.len()));
        put_u32(&mut header, self.entries);
        put_optime(&mut header, self.first);
        put_optime(&mut header, self.last);
        stored[..CHECKED_HEADER_BYTES].copy_from_slice(&header);
        let checksum = frame_checksum(&stored);
        stored[CHECKED_HEADER_BYTES..FRAME_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        let filter =
            if self.keys.unknown { KeyFilter::Unknown } else { KeyFilter::build(self.keys.hashes) };
        let info = FrameInfo {
            stored_len: length_u32(stored.len()),
            raw_len: length_u32(self.bytes.len()),
            entries: self.entries,
            first: self.first,
            last: self.last,
            digest: *blake3::hash(&stored).as_bytes(),
            filter,
        };
        StoredFrame { ordinal: self.ordinal, bytes: stored.into(), info }
    }
}

/// A frame as it lies in a segment, and its line of the frame table.
#[derive(Clone, Debug)]
pub struct StoredFrame {
    pub(crate) ordinal: u32,
    pub(crate) bytes: Bytes,
    pub(crate) info: FrameInfo,
}

impl StoredFrame {
    /// Returns the frame's position among the frames of its segment, from 0.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Returns the stored bytes, frame header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the frame's line of the frame table.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }
}

/// A line of the frame table in a segment's seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// The frame's length in the segment in bytes, frame header included.
    pub stored_len: u32,
    /// The length of the entries in bytes, uncompressed.
    pub raw_len: u32,
    /// The number of entries.
    pub entries: u32,
    /// The first entry's optime.
    pub first: OpTime,
    /// The last entry's optime.
    pub last: OpTime,
    /// BLAKE3 of the stored bytes.
    pub digest: [u8; 32],
    /// The documents that the frame touches.
    pub filter: KeyFilter,
}

impl FrameInfo {
    /// Returns whether the frame may hold an entry with this timestamp.
    pub fn spans(&self, ts: Timestamp) -> bool {
        self.first.ts <= ts && ts <= self.last.ts
    }
}

/// A frame's own header, as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) ordinal: u32,
    pub(crate) codec: Codec,
    pub(crate) payload_len: u32,
    pub(crate) raw_len: u32,
    pub(crate) entries: u32,
    pub(crate) first: OpTime,
    pub(crate) last: OpTime,
}

impl FrameHeader {
    /// Reads the header of a whole frame, and checks its length and checksum.
    pub(crate) fn read(frame: &[u8], place: Place) -> Result<Self, Error> {
        let mut fields = FieldReader::new(frame, place);
        fields.expect(&FRAME_MAGIC, "it does not begin with the mark of a frame")?;
        let ordinal = fields.u32()?;
        let codec = Codec::from_stored(fields.u8()?)
            .ok_or(Error::corrupt(place, "its codec is unknown"))?;
        fields.expect(&[0; 3], "reserved bytes are not zero")?;
        let header = FrameHeader {
            ordinal,
            codec,
            payload_len: fields.u32()?,
            raw_len: fields.u32()?,
            entries: fields.u32()?,
            first: fields.optime()?,
            last: fields.optime()?,
        };
        let checksum = fields.u32()?;
        if fields.remaining() != header.payload_len as usize {
            return Err(Error::corrupt(place, "its length is not the one it declares"));
        }
        if checksum != frame_checksum(frame) {
            return Err(Error::corrupt(place, "its checksum does not match its bytes"));
        }
        if header.raw_len as usize > MAX_FRAME_RAW_BYTES {
            return Err(Error::corrupt(
                place,
                "it declares more entry bytes than a frame may hold",
            ));
        }
        Ok(header)
    }
}

/// CRC32C over the frame without its checksum field.
fn frame_checksum(frame: &[u8]) -> u32 {
    let header = crc32c::crc32c(&frame[..CHECKED_HEADER_BYTES]);
    crc32c::crc32c_append(header, &frame[FRAME_HEADER_BYTES..])
}
