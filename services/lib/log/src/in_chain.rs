//! Checks whether an intact segment is also the one that belongs to its log.

use hindsight_segment::SegmentInfo;

use crate::error::LogError;

/// Returns whether `info` is part of the chain: the next segment, if it can be read, names its
/// digest, or it is the known last segment. A damaged next segment is no reason to withhold it.
pub(crate) fn is_in_chain(
    info: &SegmentInfo,
    next: Option<Result<SegmentInfo, LogError>>,
    end: Option<&SegmentInfo>,
) -> bool {
    match next {
        Some(Ok(next)) => next.header.predecessor == info.digest,
        Some(Err(_)) => true,
        None => {
            end.is_none_or(|end| end.sequence() != info.sequence() || end.digest == info.digest)
        }
    }
}
