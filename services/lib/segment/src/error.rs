//! What can be wrong with a segment. The errors are divided by what the reader of the message must
//! do next.

use std::fmt;

/// Why a segment cannot be read or built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not what was written. Restore the file from a copy; never go on with the
    /// damaged one.
    #[error("segment is damaged: {place}: {what}")]
    Corrupt { place: Place, what: &'static str },
    /// A newer program wrote the segment.
    #[error(
        "segment has format version {found}, this program reads up to version {known}: use a newer hindsight"
    )]
    Unsupported { found: u16, known: u16 },
    /// The caller asked for a segment that must not exist.
    #[error("refused to build a segment: {0}")]
    Refused(String),
}

impl Error {
    pub(crate) fn corrupt(place: Place, what: &'static str) -> Self {
        Error::Corrupt { place, what }
    }
}

/// The part of a segment that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Header,
    /// The frame with this ordinal, counted from 0.
    Frame(u32),
    Seal,
    Trailer,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header => f.write_str("header"),
            Place::Frame(ordinal) => write!(f, "frame {ordinal}"),
            Place::Seal => f.write_str("seal"),
            Place::Trailer => f.write_str("trailer"),
        }
    }
}
