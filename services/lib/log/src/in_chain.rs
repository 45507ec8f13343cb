//! Whether a segment that is whole is also the one of its log.

use hindsight_segment::SegmentInfo;

use crate::error::LogError;

/// The next one, as it can be read, names its digest; the last one is the one that is known. A
/// damaged next one is no reason to withhold it.
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
