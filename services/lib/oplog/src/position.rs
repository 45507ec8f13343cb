//! Positions in an oplog.

use std::fmt;

/// MongoDB cluster time: seconds and increment, ordered by both. It is what users restore to.
///
/// Values are not dense: increments may be skipped, so a hole between two of them proves nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    pub const fn new(seconds: u32, increment: u32) -> Self {
        Timestamp((seconds as u64) << 32 | increment as u64)
    }

    /// Seconds in the high half, increment in the low half: the order of BSON, and of our keys.
    pub const fn from_u64(value: u64) -> Self {
        Timestamp(value)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub const fn increment(self) -> u32 {
        self.0 as u32
    }

    /// The largest timestamp smaller than this one.
    pub const fn predecessor(self) -> Self {
        Timestamp(self.0.saturating_sub(1))
    }

    /// The smallest timestamp larger than this one.
    pub const fn successor(self) -> Self {
        Timestamp(self.0.saturating_add(1))
    }
}

/// `(seconds,increment)` without the brackets, as `mongosh` and `pbm` users write it.
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

/// An entry's identity: its timestamp and the election term it was written in.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpTime {
    pub ts: Timestamp,
    pub term: i64,
}

impl OpTime {
    /// What the server writes where there is no previous operation: `{ts: Timestamp(0,0), t: -1}`.
    pub const NONE: OpTime = OpTime { ts: Timestamp::ZERO, term: -1 };

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
