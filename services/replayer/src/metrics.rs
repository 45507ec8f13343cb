//! The metrics of following the log.

use hindsight_runtime::Metric;

/// Every metric of this crate.
pub const METRICS: &[Metric] = &[STOPPED, UNLOGGED];

const STOPPED: Metric = Metric::counter(
    "hindsight_history_stopped_total",
    "Times that the history stopped at an entry that it cannot apply. Alert on any increase.",
);
const UNLOGGED: Metric = Metric::counter(
    "hindsight_catalog_unlogged_total",
    "Differences of options and indexes that no entry tells of, taken over from the members' catalogs.",
);

pub(crate) fn history_stopped() {
    STOPPED.add(&[], 1);
}

pub(crate) fn unlogged_differences(count: usize) {
    UNLOGGED.add(&[], count as u64);
}
