//! How a segment is laid out in records: each frame is one record, then header and seal together
//! are one record.
//!
//! A piece that is too long for one record is split over several.

use bytes::Bytes;
use hindsight_oplog::OpTime;
use hindsight_segment::SealedSegment;

use super::record::{Attempt, Count, Head, Header, Piece, PieceHead};

/// A record to be sent.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) head: PieceHead,
    /// Headers for people. Hindsight's readers ignore them.
    pub(super) notes: Vec<Header>,
    pub(super) value: Bytes,
}

impl Outgoing {
    pub(super) fn headers(&self) -> impl Iterator<Item = Header> {
        Head::Piece(self.head).headers().into_iter().chain(self.notes.iter().cloned())
    }
}

/// Returns the records of a segment in the order in which they are appended. No value is longer
/// than `value_limit` bytes.
pub(super) fn lay_out(
    segment: &SealedSegment,
    attempt: Attempt,
    value_limit: usize,
) -> Vec<Outgoing> {
    let info = segment.info();
    let pieces: Vec<&Bytes> = segment.pieces().collect();
    let [header, frames @ .., seal] = &pieces[..] else {
        unreachable!("a segment has a header and a seal");
    };
    let mut records = Vec::with_capacity(pieces.len());
    let mut push = |piece: Piece, bytes: Bytes, notes: Vec<Header>| {
        let parts = split(bytes, value_limit);
        let of = length_u32(parts.len());
        for (value, number) in parts.into_iter().zip(1..) {
            let part = Count { number, of };
            // The total is known only when all records are there; it is set below.
            let record = Count { number: length_u32(records.len() + 1), of: 0 };
            let head = PieceHead { attempt, sequence: info.sequence(), record, piece, part };
            records.push(Outgoing { head, notes: notes.clone(), value });
        }
    };
    for ((bytes, line), ordinal) in frames.iter().zip(&info.seal.frames).zip(0..) {
        let notes = vec![
            ("hs-first", optime(line.first)),
            ("hs-last", optime(line.last)),
            ("hs-entries", line.entries.to_string()),
        ];
        push(Piece::Frame(ordinal), Bytes::clone(bytes), notes);
    }
    let sealed = [&header[..], &seal[..]].concat();
    let piece = Piece::Seal { segment_bytes: info.segment_bytes };
    push(piece, sealed.into(), seal_notes(segment));
    let of = length_u32(records.len());
    records.iter_mut().for_each(|it| it.head.record.of = of);
    records
}

fn seal_notes(segment: &SealedSegment) -> Vec<Header> {
    let info = segment.info();
    let mut notes = vec![
        ("hs-set", info.header.source.to_string()),
        ("hs-first", optime(info.first())),
        ("hs-last", optime(info.last())),
        ("hs-entries", info.seal.entries.to_string()),
        ("hs-digest", info.digest.to_string()),
        ("hs-predecessor", info.header.predecessor.to_string()),
    ];
    if let Some(gap) = &info.header.gap {
        let (after, before) = (optime(gap.after), optime(gap.before));
        notes.push(("hs-gap", format!("after {after} before {before}: {}", gap.reason)));
    }
    notes
}

/// Writes the timestamp as the command line takes it.
fn optime(optime: OpTime) -> String {
    format!("{},{}", optime.ts.seconds(), optime.ts.increment())
}

fn split(bytes: Bytes, limit: usize) -> Vec<Bytes> {
    let limit = limit.max(1);
    let starts = (0..bytes.len().max(1)).step_by(limit);
    starts.map(|start| bytes.slice(start..bytes.len().min(start + limit))).collect()
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("the limits of a segment keep every count within 32 bits")
}
