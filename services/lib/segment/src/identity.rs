//! The identities of sources, segments, writers and codecs.

use std::fmt;

use hindsight_oplog::Hex;

/// A segment's place in its log, counted from 1 without holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence of a log's first segment.
    pub const FIRST: Sequence = Sequence(1);

    /// Returns the segment's index in a list of all segments of a log. For a sequence that cannot
    /// exist, returns an index past the end of any list.
    pub fn index(self) -> usize {
        usize::try_from(self.0.wrapping_sub(1)).unwrap_or(usize::MAX)
    }

    /// Returns the sequence of the segment that follows.
    pub const fn next(self) -> Self {
        Sequence(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of a writer. It grows with every writer that takes a log over (I6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterEpoch(pub u64);

impl fmt::Display for WriterEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// BLAKE3 over a segment's header and seal. The seal holds the BLAKE3 of every frame, so the digest
/// stands for every byte of the segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentDigest(pub [u8; 32]);

impl SegmentDigest {
    /// The predecessor that the first segment of a log names.
    pub const NONE: SegmentDigest = SegmentDigest([0; 32]);
}

impl fmt::Display for SegmentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Hex(&self.0))
    }
}

impl fmt::Debug for SegmentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentDigest({self})")
    }
}

/// The replica set whose oplog a log holds. A log belongs to one replica set permanently.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity {
    /// `replicaSetId` of the replica set's configuration, an ObjectId.
    pub replica_set_id: [u8; 12],
    /// The name of the replica set.
    pub set_name: String,
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (replica set id {})", self.set_name, Hex(&self.replica_set_id))
    }
}

impl fmt::Debug for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceIdentity({self})")
    }
}

/// How frames are compressed. The number of the variant is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Frames are stored uncompressed.
    None = 0,
    /// LZ4 block format.
    Lz4 = 1,
    /// Zstandard, at the level of [`Effort`](crate::Effort).
    #[default]
    Zstd = 2,
}

impl Codec {
    pub(crate) fn from_stored(number: u8) -> Option<Self> {
        [Codec::None, Codec::Lz4, Codec::Zstd].into_iter().find(|&codec| codec as u8 == number)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::None => "none",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        })
    }
}

impl std::str::FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Codec::None),
            "lz4" => Ok(Codec::Lz4),
            "zstd" => Ok(Codec::Zstd),
            _ => Err(format!("unknown codec {text:?}: use zstd, lz4 or none")),
        }
    }
}

/// Why a segment was closed where it was. The number of the variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CutReason {
    /// The segment held enough raw bytes.
    Size = 1,
    /// The segment's first entry had waited long enough.
    Age = 2,
    /// The writer was asked to stop.
    Shutdown = 3,
    /// The source's next entries do not follow this segment.
    Gap = 4,
    /// The writer lost its source, and made durable what it had.
    SourceLost = 5,
}

impl CutReason {
    pub(crate) fn from_stored(number: u8) -> Option<Self> {
        use CutReason::*;
        [Size, Age, Shutdown, Gap, SourceLost].into_iter().find(|&reason| reason as u8 == number)
    }
}

impl fmt::Display for CutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CutReason::Size => "size",
            CutReason::Age => "age",
            CutReason::Shutdown => "shutdown",
            CutReason::Gap => "gap",
            CutReason::SourceLost => "source lost",
        })
    }
}
