//! Positions in an oplog.

use std::fmt;
use std::time::Duration;

use crate::raw::{Doc, Element, Malformed};

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

    /// Returns the beginning (increment 0) of the second that lies `span` before this one's, in
    /// whole seconds; [`Timestamp::ZERO`] when that would be before 1970.
    pub fn second_before(self, span: Duration) -> Self {
        let span = u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        Timestamp::new(self.seconds().saturating_sub(span), 0)
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

    /// Reads `ts` and `t`: of an entry, of a projection of one to these two fields, or of an optime
    /// that stands by itself. An entry need not have a term (O1), and then has that of
    /// [`OpTime::NONE`].
    ///
    /// # Errors
    /// Returns [`Malformed`] when there is no `ts`, or when it is not a timestamp.
    pub fn of_entry(entry: Doc<'_>) -> Result<Self, Malformed> {
        let ts = entry.get(b"ts")?.and_then(Element::as_timestamp);
        let ts = ts.ok_or(Malformed("an entry or optime without ts"))?;
        Ok(Self { ts, term: Self::term(entry.get(b"t")?) })
    }

    /// Returns the term that a `t` holds. Tools that wrote the entry anew write null there: such an
    /// entry has no usable term.
    pub(crate) fn term(t: Option<Element<'_>>) -> i64 {
        t.and_then(Element::as_integer).unwrap_or(Self::NONE.term)
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

#[cfg(test)]
mod tests {
    use crate::raw::{DocWriter, kind};

    use super::*;

    /// Reads the optime of an entry with these two fields, each a type and a value.
    fn read(ts: Option<(u8, &[u8])>, t: Option<(u8, &[u8])>) -> Result<OpTime, Malformed> {
        let mut entry = DocWriter::new();
        for (name, field) in [(&b"ts"[..], ts), (b"t", t)] {
            if let Some((kind, value)) = field {
                entry.value(kind, name, value);
            }
        }
        let bytes = entry.finish();
        OpTime::of_entry(Doc::new(&bytes)?)
    }

    #[test]
    fn an_entry_without_a_term_has_an_optime() {
        let eight_bytes = Timestamp::new(7, 8).as_u64().to_le_bytes();
        let ts = Some((kind::TIMESTAMP, &eight_bytes[..]));
        let term = 3_i64.to_le_bytes();
        let term = Some((kind::INT64, &term[..]));
        assert_eq!(read(ts, term), Ok(OpTime::new(7, 8, 3)));
        assert_eq!(read(ts, None), Ok(OpTime::new(7, 8, -1)));
        assert_eq!(read(ts, Some((kind::NULL, b""))), Ok(OpTime::new(7, 8, -1)));
        assert!(read(None, term).is_err());
        assert!(read(Some((kind::INT64, &eight_bytes)), term).is_err());
    }
}
