//! The metrics of the history.

use hindsight_runtime::Metric;

/// Every metric of this crate.
pub const METRICS: &[Metric] = &[DOCUMENT_HASHES, SKIPPED, UNKNOWN, CLOCK_VALUES];

const DOCUMENT_HASHES: Metric = Metric::counter(
    "hindsight_history_document_hashes_total",
    "Versions of documents compared with the hash that the source put into the entry, by outcome.",
)
.by(&["outcome"]);
const SKIPPED: Metric = Metric::counter(
    "hindsight_history_skipped_total",
    "Entries skipped because the settings name their operation or command as one to skip.",
)
.by(&["name"]);
const UNKNOWN: Metric = Metric::counter("hindsight_history_unknown_total", "Entries with an operation or command that this version does not know, at which the history stops.").by(&["name"]);
const CLOCK_VALUES: Metric = Metric::counter(
    "hindsight_history_clock_values_total",
    "Values that each server takes from its own clock, where members differ and the history holds the time of the entry.",
);

pub(crate) fn hash_compared(outcome: &str) {
    DOCUMENT_HASHES.add(&[outcome], 1);
}

pub(crate) fn entry_skipped(name: &str) {
    SKIPPED.add(&[name], 1);
}

pub(crate) fn unknown_entry(name: &str) {
    UNKNOWN.add(&[name], 1);
}

pub(crate) fn clock_value() {
    CLOCK_VALUES.add(&[], 1);
}
