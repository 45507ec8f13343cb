//! Puts a segment together again from the records of one attempt.

use bytes::Bytes;
use hindsight_segment::limits::{MAX_HEADER_BYTES, MAX_SEAL_BYTES, MAX_SEGMENT_RAW_BYTES};
use hindsight_segment::{Error, Frame, Place as SegmentPlace, SegmentInfo, SegmentView};

use super::record::{Attempt, Piece, PieceHead};

/// More bytes than any segment has. A frame that did not shrink is longer than its entries, by the
/// length of its header.
const MAX_GATHERED_BYTES: u64 =
    2 * MAX_SEGMENT_RAW_BYTES + MAX_SEAL_BYTES as u64 + MAX_HEADER_BYTES as u64;

/// Where a segment lies in the topic, as offsets of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment's first record.
    pub(super) first: i64,
    /// The first record of the segment's seal.
    pub(super) seal: i64,
    /// The segment's last record.
    pub(super) last: i64,
}

/// Takes the records of one attempt, in the order of the topic.
#[derive(Debug)]
pub(super) struct Gather {
    attempt: Attempt,
    /// The number of the record that must come next, and the number of all records.
    next: u32,
    of: u32,
    first: i64,
    seal: i64,
    frames: Vec<Bytes>,
    /// The parts of a piece that is not complete yet.
    parts: Vec<Bytes>,
    bytes: u64,
}

/// The effect of a record.
#[derive(Debug)]
pub(super) enum Gathered {
    More,
    Whole(Box<Whole>),
    /// The record is not the one that must come next: the attempt makes no segment any more.
    Torn,
}

/// All that was sent of a segment, not verified.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) place: Place,
    frames: Vec<Bytes>,
    sealed: Sealed,
}

/// The value of the seal record, its parts joined: header, seal and trailer of a segment.
#[derive(Debug)]
pub(super) struct Sealed {
    bytes: Bytes,
    segment_bytes: u64,
}

impl Gather {
    /// Begins an attempt with the record at `offset`.
    pub(super) fn new(head: &PieceHead, offset: i64) -> Self {
        Self {
            attempt: head.attempt,
            next: 1,
            of: head.record.of,
            first: offset,
            seal: offset,
            frames: Vec::new(),
            parts: Vec::new(),
            bytes: 0,
        }
    }

    /// Begins with a seal record. The records before it are not gathered.
    pub(super) fn seal_only(head: &PieceHead, offset: i64) -> Self {
        Self { next: head.record.number, ..Self::new(head, offset) }
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    pub(super) fn take(&mut self, head: &PieceHead, offset: i64, value: Bytes) -> Gathered {
        self.bytes += value.len() as u64;
        let fits = head.record.number == self.next
            && head.record.of == self.of
            && head.part.number as usize == self.parts.len() + 1
            && self.bytes <= MAX_GATHERED_BYTES
            // The seal comes last, and nothing but the seal comes last.
            && (head.record.is_last() == (head.part.is_last() && !matches!(head.piece, Piece::Frame(_))));
        if !fits {
            return Gathered::Torn;
        }
        self.next = self.next.saturating_add(1);
        if head.part.number == 1 {
            self.seal = offset;
        }
        self.parts.push(value);
        if !head.part.is_last() {
            return Gathered::More;
        }
        let bytes = join(std::mem::take(&mut self.parts));
        match head.piece {
            Piece::Frame(ordinal) if ordinal as usize == self.frames.len() => {
                self.frames.push(bytes);
                Gathered::More
            }
            Piece::Frame(_) => Gathered::Torn,
            Piece::Seal { segment_bytes } => Gathered::Whole(Box::new(Whole {
                place: Place { first: self.first, seal: self.seal, last: offset },
                frames: std::mem::take(&mut self.frames),
                sealed: Sealed { bytes, segment_bytes },
            })),
        }
    }
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 { parts.remove(0) } else { parts.concat().into() }
}

impl Sealed {
    pub(super) fn info(&self) -> Result<SegmentInfo, Error> {
        SegmentInfo::from_ends(&self.bytes, &self.bytes, self.segment_bytes)
    }
}

impl Whole {
    pub(super) fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// Returns header and seal, after comparing every byte of the segment with them.
    pub(super) fn verify(&self) -> Result<SegmentInfo, Error> {
        let info = self.sealed.info()?;
        if info.seal.frames.len() != self.frames.len() {
            return Err(Error::Corrupt {
                place: SegmentPlace::Seal,
                what: "it was sent with another number of frames",
            });
        }
        for ((line, bytes), ordinal) in info.seal.frames.iter().zip(&self.frames).zip(0..) {
            Frame::verify(ordinal, line, Bytes::clone(bytes))?;
        }
        Ok(info)
    }

    /// Returns the segment, after comparing every byte with its digest.
    pub(super) fn into_view(self) -> Result<SegmentView, Error> {
        let header_bytes = self.sealed.info()?.header_bytes as usize;
        let (header, seal) = self.sealed.bytes.split_at(header_bytes);
        let frame_bytes: usize = self.frames.iter().map(Bytes::len).sum();
        let mut bytes = Vec::with_capacity(self.sealed.bytes.len() + frame_bytes);
        bytes.extend_from_slice(header);
        self.frames.iter().for_each(|frame| bytes.extend_from_slice(frame));
        bytes.extend_from_slice(seal);
        SegmentView::open(bytes.into())
    }
}
