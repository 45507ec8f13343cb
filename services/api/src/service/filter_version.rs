//! Which server's answers filters give: those of the source at the time asked for
//! (docs/decisions/0014).

use hindsight_oplog::{Series, Timestamp};
use hindsight_replayer::Engine;

/// Where nothing is known of the source.
const UNKNOWN: Series = Series::new(6, 0);

/// The source's series at that time, or at the newest one that the history has. `at` is none for a
/// search of entries without an end.
pub(super) fn source_version(engine: &Engine, at: Option<Timestamp>) -> Series {
    let through = engine.applied.borrow().through;
    let at = at.into_iter().chain(through).min();
    let told = at.and_then(|at| engine.source_version(at).ok()?.series());
    told.unwrap_or(UNKNOWN)
}
