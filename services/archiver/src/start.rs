//! Where a copy begins: the decision alone, from what is known of both logs.

use hindsight_segment::{SegmentInfo, Sequence};

use crate::error::ArchiveError;

/// Returns the first segment that the target lacks. `begins` is the first segment that the source
/// has, and `held` the last segment of the target. `beside` is the segment of the source in the
/// place of `held`, or the source's first segment when that place was removed.
///
/// # Errors
/// Returns the reason why nothing of the source can be appended to the target.
pub(crate) fn first_missing(
    begins: Sequence,
    held: Option<&SegmentInfo>,
    beside: Option<&SegmentInfo>,
) -> Result<Sequence, ArchiveError> {
    let Some(held) = held else {
        return match begins {
            Sequence::FIRST => Ok(begins),
            _ => Err(ArchiveError::BeginsTooLate { begins, ends: None }),
        };
    };
    let next = held.sequence().next();
    if next < begins {
        return Err(ArchiveError::BeginsTooLate { begins, ends: Some(held.sequence()) });
    }
    let is_the_log = beside.is_some_and(|beside| match beside.sequence() == held.sequence() {
        true => beside.digest == held.digest,
        false => beside.header.predecessor == held.digest,
    });
    match is_the_log {
        true => Ok(next),
        false => Err(ArchiveError::OtherLog { sequence: held.sequence(), through: held.last() }),
    }
}
