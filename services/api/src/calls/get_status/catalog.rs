//! Whether the source's catalog agrees with its entries, for `status`.

use hindsight_history::{History, Observed};
use hindsight_tailer::CatalogStatus;
use serde_json::{Value, json};

use crate::extended_json::of_timestamp;

/// Limit on the number of differing collections that are listed. `unlogged` counts all of them.
const MOST_LISTED: usize = 20;

/// `history` is `None` in a process that keeps no history.
pub(super) fn json(looks: &CatalogStatus, history: Option<&History>) -> Value {
    let mut observed = history.map(History::observed).unwrap_or_default();
    observed.sort_by_key(|it| std::cmp::Reverse(it.at));
    let ago = looks.checked_at.and_then(|at| at.elapsed().ok()).map(|ago| ago.as_secs());
    json!({
        "checked_seconds_ago": ago,
        "unchecked": looks.failed,
        "members_differ": looks.differing,
        "unlogged": observed.len(),
        "newest_unlogged": observed.iter().take(MOST_LISTED).map(unlogged).collect::<Vec<_>>(),
    })
}

fn unlogged(observed: &Observed) -> Value {
    json!({
        "ns": observed.ns,
        "at": of_timestamp(observed.at),
        "differences": observed.differences,
        "taken_up": observed.taken_up,
    })
}
