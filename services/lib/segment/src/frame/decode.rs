//! Turns a frame back into entries.

use bytes::Bytes;
use hindsight_oplog::raw::{Doc, Malformed};
use hindsight_oplog::{Entry, OpTime};

use super::{FRAME_HEADER_BYTES, FrameHeader, FrameInfo, compress};
use crate::error::{Error, Place};

/// One frame of a segment. Its checksum and digest were compared: its bytes are those that the
/// segment's seal names.
#[derive(Clone, Debug)]
pub struct Frame {
    ordinal: u32,
    header: std::sync::Arc<FrameHeader>,
    bytes: Bytes,
}

impl Frame {
    /// Compares the bytes of the frame with this ordinal with its line of the frame table.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] when they are not the bytes that were sealed.
    pub fn verify(ordinal: u32, info: &FrameInfo, bytes: Bytes) -> Result<Self, Error> {
        let place = Place::Frame(ordinal);
        let header = FrameHeader::read(&bytes, place)?;
        if blake3::hash(&bytes) != info.digest {
            return Err(Error::corrupt(place, "its digest is not the one in the seal"));
        }
        let in_table = FrameHeader {
            ordinal,
            codec: header.codec,
            payload_len: info.stored_len.saturating_sub(FRAME_HEADER_BYTES as u32),
            raw_len: info.raw_len,
            entries: info.entries,
            first: info.first,
            last: info.last,
        };
        if header != in_table {
            return Err(Error::corrupt(place, "its header contradicts the frame table"));
        }
        Ok(Self { ordinal, header: header.into(), bytes })
    }

    /// Returns the frame's position among the frames of its segment, from 0.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Returns the frame as it lies in the segment, its header included.
    pub fn stored_bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Expands the frame and checks the order of its entries. This takes milliseconds of CPU time.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] when the payload does not hold exactly the declared entries:
    /// their number, in order, from the first to the last.
    pub fn decode(&self) -> Result<DecodedFrame, Error> {
        let place = Place::Frame(self.ordinal);
        let header = &*self.header;
        let payload = &self.bytes[FRAME_HEADER_BYTES..];
        let raw = compress::expand(header.codec, payload, header.raw_len as usize, place)?;
        check_entries(&raw, header, place)?;
        Ok(DecodedFrame { ordinal: self.ordinal, raw: raw.into() })
    }
}

fn check_entries(raw: &[u8], header: &FrameHeader, place: Place) -> Result<(), Error> {
    const NOT_AN_ENTRY: &str = "its payload is not a run of entries";
    let (mut rest, mut entries) = (raw, 0u32);
    let mut last: Option<OpTime> = None;
    while !rest.is_empty() {
        let (doc, after) =
            Doc::split_first(rest).map_err(|_| Error::corrupt(place, NOT_AN_ENTRY))?;
        let optime = optime_of(doc).map_err(|_| Error::corrupt(place, NOT_AN_ENTRY))?;
        let in_order = match last {
            None => optime == header.first,
            Some(last) => optime.ts > last.ts && optime.term >= last.term,
        };
        if !in_order {
            return Err(Error::corrupt(place, "its entries are not in order"));
        }
        (rest, entries, last) = (after, entries.saturating_add(1), Some(optime));
    }
    if last != Some(header.last) || entries != header.entries {
        return Err(Error::corrupt(place, "it does not hold the entries it declares"));
    }
    Ok(())
}

/// Returns an entry's optime. It is read as [`Entry::parse`] reads it, at half the cost.
fn optime_of(entry: Doc<'_>) -> Result<OpTime, Malformed> {
    let mut ts = None;
    let mut term = -1;
    for element in entry.elements() {
        let element = element?;
        match element.name {
            b"ts" => ts = element.as_timestamp(),
            b"t" => term = element.as_integer().unwrap_or(-1),
            _ => {}
        }
    }
    Ok(OpTime { ts: ts.ok_or(Malformed("entry without ts"))?, term })
}

/// A frame's entries, uncompressed and checked.
#[derive(Clone, Debug)]
pub struct DecodedFrame {
    ordinal: u32,
    raw: Bytes,
}

impl DecodedFrame {
    /// Returns the bytes of all entries, one after another.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns the bytes of each entry, as the source returned them (I1).
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.raw[..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (doc, after) = Doc::split_first(rest).expect("decode() walked these entries");
            rest = after;
            Some(doc.as_bytes())
        })
    }

    /// Returns each entry, parsed.
    ///
    /// # Errors
    /// An item is [`Error::Corrupt`] when it has an optime but is not an entry.
    pub fn parsed(&self) -> impl Iterator<Item = Result<Entry<'_>, Error>> {
        self.entries().map(|bytes| {
            Entry::parse(bytes)
                .map_err(|malformed| Error::corrupt(Place::Frame(self.ordinal), malformed.0))
        })
    }
}
