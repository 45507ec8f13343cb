//! Whether the source's catalog agrees with its entries.

use hindsight_history::{History, Observed};
use hindsight_proto::v1 as api;
use hindsight_tailer::CatalogStatus;

use crate::times::to_api;

/// Limit on the number of differing collections that are listed. `unlogged` counts all of them.
const MOST_LISTED: usize = 20;

/// `history` is `None` in a process that keeps no history.
pub(super) fn check_of(looks: &CatalogStatus, history: Option<&History>) -> api::CatalogCheck {
    let mut observed = history.map(History::observed).unwrap_or_default();
    observed.sort_by_key(|it| std::cmp::Reverse(it.at));
    let ago = looks.checked_at.and_then(|at| at.elapsed().ok()).map(|ago| ago.as_secs());
    api::CatalogCheck {
        checked_seconds_ago: ago,
        unchecked: looks.failed.clone(),
        members_differ: looks.differing.clone(),
        unlogged: observed.len() as u64,
        newest_unlogged: observed.iter().take(MOST_LISTED).map(unlogged).collect(),
    }
}

fn unlogged(observed: &Observed) -> api::UnloggedChange {
    api::UnloggedChange {
        ns: observed.ns.clone(),
        at: Some(to_api(observed.at)),
        differences: observed.differences.clone(),
        taken_up: observed.taken_up,
    }
}
