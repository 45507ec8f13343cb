//! The headers of a record. All values are text, so that a person can read a topic with any Kafka
//! client.
//!
//! Headers say where a record belongs. They prove nothing: the digests prove what a segment
//! consists of.

use std::fmt;
use std::str::FromStr;

use hindsight_segment::{Sequence, WriterEpoch};

use crate::shared::{BaseDigest, Instance};

/// The record layout that this program writes, and the newest that it reads.
pub(super) const VERSION: u16 = 1;

pub(super) const KIND: &str = "hs-kind";
const RECORD_VERSION: &str = "hs-version";
const WRITER: &str = "hs-writer";
const EPOCH: &str = "hs-epoch";
const SUPERSEDES: &str = "hs-supersedes";
const ATTEMPT: &str = "hs-attempt";
const SEQUENCE: &str = "hs-sequence";
const RECORD: &str = "hs-record";
const PART: &str = "hs-part";
const FRAME: &str = "hs-frame";
const SEGMENT_BYTES: &str = "hs-bytes";
const INSTANCE: &str = "hs-instance";
const BASE_DIGEST: &str = "hs-base-digest";

/// Identifies a writer from its claim on. The number is drawn at random, so that two writers that
/// claim the same epoch can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriterId(pub(super) u64);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for WriterId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Number `number` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) number: u32,
    pub(super) of: u32,
}

impl Count {
    pub(super) fn is_last(self) -> bool {
        self.number == self.of
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Count {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, of) = text.split_once('/').ok_or(())?;
        let (number, of) = (number.parse().map_err(drop)?, of.parse().map_err(drop)?);
        if (1..=of).contains(&number) { Ok(Self { number, of }) } else { Err(()) }
    }
}

/// A writer takes the log over. The claim holds when the epoch it supersedes is the newest one at
/// the claim's place in the topic. So the first of several writers that saw the same epoch wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) writer: WriterId,
    pub(super) epoch: WriterEpoch,
    /// The epoch that the claim ends; 0 when there is none.
    pub(super) supersedes: WriterEpoch,
    /// The installation that the writer belongs to, across restarts.
    pub(super) instance: Instance,
}

/// What a writer says besides segments. A note counts as long as the writer's claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) writer: WriterId,
    pub(super) epoch: WriterEpoch,
    pub(super) says: Says,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// The writer lives, and has nothing to append.
    Beat,
    /// The writer gives the log up: others need not wait.
    Resign,
    /// The base that the record's value names belongs to this log; its manifest has this digest.
    Base(BaseDigest),
}

/// One try of one writer to append one segment. Records of different tries never make a segment
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) writer: WriterId,
    pub(super) epoch: WriterEpoch,
    /// The number of the try. It grows with every try of this writer.
    pub(super) number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The frame with this ordinal.
    Frame(u32),
    /// The segment's header, followed by its seal and trailer. This piece makes the segment real.
    Seal {
        /// The length of the whole segment, in bytes.
        segment_bytes: u64,
    },
}

/// The headers of a record that carries a piece of a segment, or a part of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceHead {
    pub(super) attempt: Attempt,
    pub(super) sequence: Sequence,
    /// The record's number among all records of the attempt. The last record is the seal, or the
    /// seal's last part.
    pub(super) record: Count,
    pub(super) piece: Piece,
    /// The part's number among the records of the piece.
    pub(super) part: Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Claim(Claim),
    Piece(PieceHead),
    Note(Note),
}

/// Why headers are not those of a Hindsight record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotOurs {
    /// Another program wrote the record.
    Foreign,
    /// The record claims to be Hindsight's, but this header is not as this program writes it.
    Malformed(&'static str),
    /// A newer program wrote the record, with this layout version.
    Newer(u16),
}

/// A header: its name and its text.
pub(super) type Header = (&'static str, String);

impl Head {
    pub(super) fn headers(&self) -> Vec<Header> {
        let kind = match self {
            Head::Claim(_) => "claim",
            Head::Piece(PieceHead { piece: Piece::Frame(_), .. }) => "frame",
            Head::Piece(PieceHead { piece: Piece::Seal { .. }, .. }) => "seal",
            Head::Note(Note { says: Says::Beat, .. }) => "beat",
            Head::Note(Note { says: Says::Resign, .. }) => "resign",
            Head::Note(Note { says: Says::Base(_), .. }) => "base",
        };
        let mut headers = vec![(KIND, kind.to_owned()), (RECORD_VERSION, VERSION.to_string())];
        match self {
            Head::Claim(claim) => headers.extend([
                (WRITER, claim.writer.to_string()),
                (EPOCH, claim.epoch.to_string()),
                (SUPERSEDES, claim.supersedes.to_string()),
                (INSTANCE, claim.instance.to_string()),
            ]),
            Head::Note(note) => {
                headers
                    .extend([(WRITER, note.writer.to_string()), (EPOCH, note.epoch.to_string())]);
                if let Says::Base(digest) = note.says {
                    headers.push((BASE_DIGEST, digest.to_string()));
                }
            }
            Head::Piece(head) => {
                headers.extend([
                    (WRITER, head.attempt.writer.to_string()),
                    (EPOCH, head.attempt.epoch.to_string()),
                    (ATTEMPT, head.attempt.number.to_string()),
                    (SEQUENCE, head.sequence.to_string()),
                    (RECORD, head.record.to_string()),
                    match head.piece {
                        Piece::Frame(ordinal) => (FRAME, ordinal.to_string()),
                        Piece::Seal { segment_bytes } => (SEGMENT_BYTES, segment_bytes.to_string()),
                    },
                    (PART, head.part.to_string()),
                ]);
            }
        }
        headers
    }

    /// Reads what [`Head::headers`] wrote. Additional headers are for people, and are ignored.
    pub(super) fn read<'a>(
        headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    ) -> Result<Self, NotOurs> {
        let fields = Fields(headers);
        let kind = fields.text(KIND).ok_or(NotOurs::Foreign)?;
        match fields.number::<u16>(RECORD_VERSION)? {
            VERSION => {}
            0 => return Err(NotOurs::Malformed(RECORD_VERSION)),
            newer => return Err(NotOurs::Newer(newer)),
        }
        let writer = fields.number(WRITER)?;
        let epoch = WriterEpoch(fields.number(EPOCH)?);
        let piece = match kind {
            "claim" => {
                let supersedes = WriterEpoch(fields.number(SUPERSEDES)?);
                let instance = fields.number(INSTANCE)?;
                return Ok(Head::Claim(Claim { writer, epoch, supersedes, instance }));
            }
            "beat" => return Ok(Head::Note(Note { writer, epoch, says: Says::Beat })),
            "resign" => return Ok(Head::Note(Note { writer, epoch, says: Says::Resign })),
            "base" => {
                let says = Says::Base(fields.number(BASE_DIGEST)?);
                return Ok(Head::Note(Note { writer, epoch, says }));
            }
            "frame" => Piece::Frame(fields.number(FRAME)?),
            "seal" => Piece::Seal { segment_bytes: fields.number(SEGMENT_BYTES)? },
            _ => return Err(NotOurs::Malformed(KIND)),
        };
        Ok(Head::Piece(PieceHead {
            attempt: Attempt { writer, epoch, number: fields.number(ATTEMPT)? },
            sequence: Sequence(fields.number(SEQUENCE)?),
            record: fields.number(RECORD)?,
            piece,
            part: fields.number(PART)?,
        }))
    }
}

struct Fields<I>(I);

impl<'a, I: Iterator<Item = (&'a str, &'a [u8])> + Clone> Fields<I> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.clone().find(|(found, _)| *found == name)?;
        std::str::from_utf8(value).ok()
    }

    fn number<T: FromStr>(&self, name: &'static str) -> Result<T, NotOurs> {
        let parsed = self.text(name).and_then(|text| text.parse().ok());
        parsed.ok_or(NotOurs::Malformed(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(headers: &[Header]) -> Result<Head, NotOurs> {
        Head::read(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    fn any_head() -> impl Strategy<Value = Head> {
        let count =
            (1u32..9, 0u32..9).prop_map(|(number, more)| Count { number, of: number + more });
        let piece = prop_oneof![
            any::<u32>().prop_map(Piece::Frame),
            any::<u64>().prop_map(|segment_bytes| Piece::Seal { segment_bytes }),
        ];
        let ids = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
        (0..8, ids, piece, count.clone(), count).prop_map(
            |(kind, (writer, epoch, number, other), piece, record, part)| {
                let (writer, epoch) = (WriterId(writer), WriterEpoch(epoch));
                match kind {
                    0 => {
                        let (supersedes, instance) = (WriterEpoch(other), Instance(number));
                        return Head::Claim(Claim { writer, epoch, supersedes, instance });
                    }
                    1 => return Head::Note(Note { writer, epoch, says: Says::Beat }),
                    2 => return Head::Note(Note { writer, epoch, says: Says::Resign }),
                    3 => {
                        let says = Says::Base(BaseDigest([number as u8; 32]));
                        return Head::Note(Note { writer, epoch, says });
                    }
                    _ => {}
                }
                let attempt = Attempt { writer, epoch, number };
                Head::Piece(PieceHead { attempt, sequence: Sequence(other), record, piece, part })
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(head in any_head()) {
            let mut headers = head.headers();
            prop_assert_eq!(read(&headers), Ok(head));
            headers.push(("hs-first", "1700000000,1".to_owned()));
            headers.insert(0, ("trace-id", "x".to_owned()));
            prop_assert_eq!(read(&headers), Ok(head), "headers for people do not matter");
        }

        /// A record that lacks one of its headers is not taken for another record.
        #[test]
        fn each_header_is_needed(head in any_head(), dropped in 0usize..9) {
            let mut headers = head.headers();
            let (name, _) = headers.remove(dropped % headers.len());
            let expected =
                if name == KIND { NotOurs::Foreign } else { NotOurs::Malformed(name) };
            prop_assert_eq!(read(&headers), Err(expected));
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let (epoch, supersedes) = (WriterEpoch(2), WriterEpoch(1));
        let claim = Claim { writer: WriterId(1), epoch, supersedes, instance: Instance(3) };
        let mut headers = Head::Claim(claim).headers();
        assert_eq!(headers[1], (RECORD_VERSION, "1".to_owned()));
        for (version, expected) in
            [("2", NotOurs::Newer(2)), ("0", NotOurs::Malformed(RECORD_VERSION))]
        {
            headers[1].1 = version.to_owned();
            assert_eq!(read(&headers), Err(expected));
        }
    }

    #[test]
    fn counts_begin_at_one_and_end_at_their_number() {
        for text in ["", "1", "0/1", "2/1", "-1/2", "1/1/1", "a/b"] {
            assert!(text.parse::<Count>().is_err(), "{text:?}");
        }
        assert_eq!("2/3".parse::<Count>(), Ok(Count { number: 2, of: 3 }));
    }
}
