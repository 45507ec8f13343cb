//! Decides which server version filters imitate: the version of the source at the time that the
//! request asks for (docs/decisions/0014).

use hindsight_oplog::{Series, Timestamp};
use hindsight_replayer::Engine;

/// The series to assume when the source's series is not known.
const UNKNOWN: Series = Series::new(6, 0);

/// Returns the source's series at that time, or at the newest time that the history has, whichever
/// is older. `at` is `None` for a search of entries without an end.
pub(super) fn source_version(engine: &Engine, at: Option<Timestamp>) -> Series {
    let through = engine.applied.borrow().through;
    let at = at.into_iter().chain(through).min();
    let told = at.and_then(|at| engine.source_version(at).ok()?.series());
    told.unwrap_or(UNKNOWN)
}
