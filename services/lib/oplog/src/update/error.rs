//! Why an update cannot be applied.

use crate::raw::Malformed;

/// An update that does not fit its grammar or its document. No retry helps against any of these
/// errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The update or the document is not BSON.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The update has none of the three forms: an unknown server version wrote it, or it is not an
    /// update at all.
    #[error("not a replacement, a delta or operators: {0}")]
    UnknownForm(&'static str),
    /// A delta breaks its grammar.
    #[error("delta breaks its grammar at field {at:?}: {fault}{}", server_code(*.fault))]
    InvalidDelta { fault: DiffFault, at: String },
    /// Operators break their grammar, or do not fit the value at a path.
    #[error("operators break their grammar at {at:?}: {reason}")]
    InvalidModifier { reason: &'static str, at: String },
    /// The condition of a `$pull` is in a part of the query language that is not known here.
    #[error("$pull by a condition that cannot be judged: {reason}")]
    Condition { reason: String },
    /// A delta patches a value that is not a BSON column. The server itself stops here.
    #[error("delta patches the binary value of {0:?}, which is no BSON column in the document")]
    NotAColumn(String),
    /// The update removes or changes `_id`, or the document has no `_id`.
    #[error("update removes or changes _id, or the document has none")]
    IdChanged,
    /// The document after the update would exceed [`MAX_DOCUMENT`](super::MAX_DOCUMENT) bytes.
    #[error("updated document exceeds {} bytes", super::limit::MAX_DOCUMENT)]
    TooLarge,
}

impl UpdateError {
    pub(super) fn delta(fault: DiffFault, at: &[u8]) -> Self {
        Self::InvalidDelta { fault, at: shown(at) }
    }

    pub(super) fn modifier(reason: &'static str, at: &[u8]) -> Self {
        Self::InvalidModifier { reason, at: shown(at) }
    }
}

/// What is wrong with a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiffFault {
    #[error("diff is empty")]
    Empty,
    #[error("subdiff of an array element is not a document")]
    ArraySubDiffType,
    #[error("array entry is neither u nor s")]
    UnknownArrayEntry,
    #[error("section is unknown or out of order")]
    UnexpectedSection,
    #[error("section has no name")]
    EmptySectionName,
    #[error("section has the wrong type")]
    SectionType,
    #[error("array index is not an unsigned integer")]
    InvalidIndex,
    #[error("section follows a subdiff")]
    AfterSubDiff,
    #[error("array header is not a bool")]
    HeaderType,
    #[error("array header is not true")]
    HeaderValue,
    #[error("array entry has no index")]
    MissingIndex,
    #[error("field is changed twice")]
    DuplicateField,
    #[error("subdiff is not a document")]
    SubDiffType,
    /// The server treats a negative length as a huge one, and never ends.
    #[error("array length is negative")]
    NegativeLength,
    /// The server would pad until it runs out of memory.
    #[error("array indexes do not ascend")]
    IndexOrder,
    /// The server itself stops here.
    #[error("array index lies beyond the array's new length")]
    IndexBeyondLength,
    #[error("binary patch is not {{o: int32, d: binary}}")]
    InvalidBinary,
    #[error("nested too deeply")]
    TooDeep,
}

impl DiffFault {
    /// Returns the number under which the server reports the fault, so that both logs can be
    /// searched for the same number; `None` where the server has no report of its own.
    pub fn server_code(self) -> Option<u32> {
        Some(match self {
            Self::Empty => 4_770_500,
            Self::ArraySubDiffType => 4_770_501,
            Self::UnknownArrayEntry => 4_770_502,
            Self::UnexpectedSection => 4_770_503,
            Self::EmptySectionName => 4_770_505,
            Self::SectionType => 4_770_507,
            Self::InvalidIndex => 4_770_512,
            Self::AfterSubDiff => 4_770_514,
            Self::HeaderType => 4_770_519,
            Self::HeaderValue => 4_770_520,
            Self::MissingIndex => 4_770_521,
            Self::DuplicateField => 4_728_000,
            Self::SubDiffType => 470_510,
            Self::NegativeLength
            | Self::IndexOrder
            | Self::IndexBeyondLength
            | Self::InvalidBinary
            | Self::TooDeep => return None,
        })
    }
}

fn server_code(fault: DiffFault) -> String {
    fault.server_code().map(|code| format!(" (server error {code})")).unwrap_or_default()
}

/// A name for a message: readable, and no longer than a line.
fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 100;
    String::from_utf8_lossy(&name[..name.len().min(LONGEST)]).into_owned()
}
