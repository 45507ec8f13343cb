//! Positions in an oplog.

use std::fmt;

/// MongoDB cluster time: seconds and increment, ordered by both. Users restore to a timestamp.
///
/// Timestamps are not dense: increments may be skipped, so a hole between two of them proves
/// nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The smallest timestamp.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The largest timestamp.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// Returns the timestamp of a second (since 1970, UTC) and an increment.
    pub const fn new(seconds: u32, increment: u32) -> Self {
        Timestamp((seconds as u64) << 32 | increment as u64)
    }

    /// Returns the timestamp with the seconds in the high half and the increment in the low half:
    /// the order of BSON, and of our keys.
    pub const fn from_u64(value: u64) -> Self {
        Timestamp(value)
    }

    /// Returns the seconds in the high half and the increment in the low half.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the seconds since 1970 (UTC).
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Returns the increment within the second.
    pub const fn increment(self) -> u32 {
        self.0 as u32
    }

    /// Returns the largest timestamp smaller than this one; [`Timestamp::ZERO`] for itself.
    pub const fn predecessor(self) -> Self {
        Timestamp(self.0.saturating_sub(1))
    }

    /// Returns the smallest timestamp larger than this one; [`Timestamp::MAX`] for itself.
    pub const fn successor(self) -> Self {
        Timestamp(self.0.saturating_add(1))
    }
}

/// `seconds,increment` without brackets, as `mongosh` and `pbm` users write it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.seconds(), self.increment())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({self})")
    }
}

/// The identity of an entry: its timestamp and the election term in which it was written.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpTime {
    /// The timestamp of the entry.
    pub ts: Timestamp,
    /// The election term; -1 where none is known.
    pub term: i64,
}

impl OpTime {
    /// What the server writes when there is no previous operation: `{ts: Timestamp(0,0), t: -1}`.
    pub const NONE: OpTime = OpTime { ts: Timestamp::ZERO, term: -1 };

    /// Returns the optime of a timestamp, given by its seconds and increment, in a term.
    pub const fn new(seconds: u32, increment: u32, term: i64) -> Self {
        OpTime { ts: Timestamp::new(seconds, increment), term }
    }
}

impl fmt::Display for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (term {})", self.ts, self.term)
    }
}

impl fmt::Debug for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({self})")
    }
}
