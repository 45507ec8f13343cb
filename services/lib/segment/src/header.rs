//! The header of a segment: who wrote it, from which source, and which segment it follows.

use std::fmt;

use hindsight_oplog::OpTime;

use crate::error::{Error, Place};
use crate::fields::{FieldReader, put_i64, put_optime, put_u16, put_u32, put_u64};
use crate::identity::{Codec, SegmentDigest, Sequence, SourceIdentity, WriterEpoch};
use crate::limits::{MAX_GAP_DETAIL_BYTES, MAX_HEADER_BYTES, MAX_SET_NAME_BYTES};

pub(crate) const HEADER_MAGIC: [u8; 8] = *b"HSSEGMNT";
pub(crate) const FORMAT_VERSION: u16 = 1;
/// The same as version 1, and the seal also holds sightings of the catalog. A program that ignored
/// the sightings would derive another catalog, so a program that does not know them must not read
/// the segment.
pub(crate) const FORMAT_WITH_SIGHTINGS: u16 = 2;
/// The offset of the header's own length, in every format version.
const LENGTH_AT: usize = 10;
const CHECKSUM_BYTES: usize = 4;

/// What is known before a segment's first entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The replica set whose oplog the segment holds.
    pub source: SourceIdentity,
    /// The epoch of the segment's writer.
    pub epoch: WriterEpoch,
    /// The segment's place in its log.
    pub sequence: Sequence,
    /// The digest of the segment before this one, also across a gap. [`SegmentDigest::NONE`] for
    /// the first segment of a log.
    pub predecessor: SegmentDigest,
    /// The codec that the frames were to be compressed with. A frame that did not shrink is stored
    /// uncompressed.
    pub codec: Codec,
    /// Present when entries are missing between the segment before and this one.
    pub gap: Option<GapNotice>,
    /// True when the seal holds sightings of the catalog.
    pub has_sightings: bool,
}

/// Entries that existed and that the log does not hold. The notice is in the log itself, in the
/// header of the first segment after the gap. So everything that is derived from the log knows of
/// the gap too (I5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapNotice {
    /// The last entry held before the gap.
    pub after: OpTime,
    /// The first entry held after the gap.
    pub before: OpTime,
    /// Why the entries are missing.
    pub reason: GapReason,
    /// A text for people: which member, and what it still had.
    pub detail: String,
    /// When the writer noticed the gap, by its own clock, in milliseconds since the Unix epoch.
    pub detected_at_ms: i64,
}

/// Why entries are missing. The number of the variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapReason {
    /// The source's oplog no longer held the entry to resume from.
    RolledOver = 1,
    /// The source's entries contradict those in the log, and an operator decided to go on.
    Diverged = 2,
    /// An operator asked to start again from a later entry.
    Requested = 3,
}

impl GapReason {
    fn from_stored(number: u8) -> Option<Self> {
        use GapReason::*;
        [RolledOver, Diverged, Requested].into_iter().find(|&reason| reason as u8 == number)
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GapReason::RolledOver => "the source's oplog had rolled over",
            GapReason::Diverged => "the source diverged from the log",
            GapReason::Requested => "restarted on request",
        })
    }
}

impl Header {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let set_name = self.source.set_name.as_bytes();
        if set_name.len() > MAX_SET_NAME_BYTES {
            return Err(Error::Refused(format!("set name of {} bytes", set_name.len())));
        }
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&HEADER_MAGIC);
        put_u16(&mut out, self.format_version());
        put_u16(&mut out, 0);
        out.push(self.codec as u8);
        out.push(u8::from(self.gap.is_some()));
        put_u16(&mut out, set_name.len() as u16);
        out.extend_from_slice(&self.source.replica_set_id);
        put_u64(&mut out, self.epoch.0);
        put_u64(&mut out, self.sequence.0);
        out.extend_from_slice(&self.predecessor.0);
        out.extend_from_slice(set_name);
        if let Some(gap) = &self.gap {
            gap.put(&mut out);
        }
        let length = u16::try_from(out.len() + CHECKSUM_BYTES).expect("the limits fit 8 KiB");
        out[LENGTH_AT..LENGTH_AT + 2].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32c::crc32c(&out);
        put_u32(&mut out, checksum);
        Ok(out)
    }

    fn format_version(&self) -> u16 {
        if self.has_sightings { FORMAT_WITH_SIGHTINGS } else { FORMAT_VERSION }
    }

    /// Reads the header at the front of `bytes`, which may be longer than the header. Returns the
    /// header's length too.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, usize), Error> {
        let (length, has_sightings) = checked_length(bytes)?;
        let mut fields = FieldReader::new(&bytes[12..length - CHECKSUM_BYTES], Place::Header);
        let codec =
            Codec::from_stored(fields.u8()?).ok_or(fields.corrupt("its codec is unknown"))?;
        let has_gap = fields.flag()?;
        let set_name_length = fields.u16()? as usize;
        let replica_set_id = fields.array()?;
        let epoch = WriterEpoch(fields.u64()?);
        let sequence = Sequence(fields.u64()?);
        let predecessor = SegmentDigest(fields.array()?);
        let set_name = fields.text(set_name_length)?.to_owned();
        let gap = if has_gap { Some(GapNotice::read(&mut fields)?) } else { None };
        fields.finish()?;
        let source = SourceIdentity { replica_set_id, set_name };
        let header = Header { source, epoch, sequence, predecessor, codec, gap, has_sightings };
        Ok((header, length))
    }
}

/// Checks magic, length and checksum first, in places that no version may move: a flipped bit must
/// not look like a newer version. Returns the length, and whether the seal holds sightings.
fn checked_length(bytes: &[u8]) -> Result<(usize, bool), Error> {
    let mut fields = FieldReader::new(bytes, Place::Header);
    fields.expect(&HEADER_MAGIC, "it does not begin with the mark of a segment")?;
    let version = fields.u16()?;
    let length = fields.u16()? as usize;
    let in_range = (12 + CHECKSUM_BYTES..=MAX_HEADER_BYTES).contains(&length);
    if !in_range || length > bytes.len() {
        return Err(fields.corrupt("its length is impossible"));
    }
    let (checked, checksum) = bytes[..length].split_at(length - CHECKSUM_BYTES);
    if crc32c::crc32c(checked).to_le_bytes() != checksum {
        return Err(fields.corrupt("its checksum does not match its bytes"));
    }
    match version {
        FORMAT_VERSION => Ok((length, false)),
        FORMAT_WITH_SIGHTINGS => Ok((length, true)),
        0 => Err(fields.corrupt("its format version is 0")),
        found => Err(Error::Unsupported { found, known: FORMAT_WITH_SIGHTINGS }),
    }
}

impl GapNotice {
    fn put(&self, out: &mut Vec<u8>) {
        // The detail is text for people: what is too long is cut, not refused.
        let detail = &self.detail[..self.detail.floor_char_boundary(MAX_GAP_DETAIL_BYTES)];
        put_optime(out, self.after);
        put_optime(out, self.before);
        put_i64(out, self.detected_at_ms);
        out.push(self.reason as u8);
        put_u16(out, detail.len() as u16);
        out.extend_from_slice(detail.as_bytes());
    }

    fn read(fields: &mut FieldReader<'_>) -> Result<Self, Error> {
        let after = fields.optime()?;
        let before = fields.optime()?;
        let detected_at_ms = fields.i64()?;
        let reason = GapReason::from_stored(fields.u8()?)
            .ok_or(fields.corrupt("its reason for a gap is unknown"))?;
        let detail_length = fields.u16()? as usize;
        let detail = fields.text(detail_length)?.to_owned();
        Ok(GapNotice { after, before, reason, detail, detected_at_ms })
    }
}
