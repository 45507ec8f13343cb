//! The metrics of capture.

use hindsight_runtime::Metric;

/// Every metric of this crate.
pub const METRICS: &[Metric] = &[
    RECEIVED_BYTES,
    SOURCE_RETRIES,
    GAPS,
    UNFOLLOWED,
    UNKNOWN_ENTRIES,
    DURABLE_ENTRIES,
    DURABLE_RAW_BYTES,
    DURABLE_STORED_BYTES,
    SEGMENTS,
    LOG_RETRIES,
    CATALOG_UNCHECKED,
    CATALOG_DIFFERING,
    CATALOG_FAILURES,
];

const RECEIVED_BYTES: Metric = Metric::counter(
    "hindsight_received_bytes_total",
    "Bytes of oplog replies read from the source.",
);
const SOURCE_RETRIES: Metric = Metric::counter(
    "hindsight_source_retries_total",
    "Times that reading the source stopped and was tried again.",
);
const GAPS: Metric = Metric::counter(
    "hindsight_gaps_total",
    "Gaps met: entries left every member's oplog before they were read. Alert on any increase.",
);
const UNFOLLOWED: Metric = Metric::counter(
    "hindsight_unfollowed_transactions_total",
    "Entries of transactions whose chain could not be followed. The entries are stored all the same.",
);
const UNKNOWN_ENTRIES: Metric = Metric::counter(
    "hindsight_unknown_entries_total",
    "Entries with an operation or command that this version does not know, by its name.",
)
.by(&["name"]);
const DURABLE_ENTRIES: Metric =
    Metric::counter("hindsight_durable_entries_total", "Entries made durable in the log.");
const DURABLE_RAW_BYTES: Metric = Metric::counter(
    "hindsight_durable_raw_bytes_total",
    "Bytes of these entries as the source returned them.",
);
const DURABLE_STORED_BYTES: Metric = Metric::counter(
    "hindsight_durable_stored_bytes_total",
    "Bytes of the segments that hold them.",
);
const SEGMENTS: Metric = Metric::counter(
    "hindsight_segments_total",
    "Segments made durable, by the reason for which they were cut.",
)
.by(&["cut"]);
const LOG_RETRIES: Metric = Metric::counter(
    "hindsight_log_retries_total",
    "Times that a segment could not be written to the log or the index, and capture paused.",
);
const CATALOG_UNCHECKED: Metric = Metric::gauge(
    "hindsight_catalog_unchecked",
    "1 when the last comparison of the members' catalogs failed, else 0.",
);
const CATALOG_DIFFERING: Metric = Metric::gauge(
    "hindsight_catalog_differing_members",
    "Collections that members list differently.",
);
const CATALOG_FAILURES: Metric = Metric::counter(
    "hindsight_catalog_check_failures_total",
    "Comparisons of the members' catalogs that failed.",
);

pub(crate) fn received(bytes: usize) {
    RECEIVED_BYTES.add(&[], bytes as u64);
}

pub(crate) fn source_retried() {
    SOURCE_RETRIES.add(&[], 1);
}

pub(crate) fn gap_met() {
    GAPS.add(&[], 1);
}

pub(crate) fn transaction_not_followed() {
    UNFOLLOWED.add(&[], 1);
}

pub(crate) fn unknown_entry(name: &str) {
    UNKNOWN_ENTRIES.add(&[name], 1);
}

/// Counts a segment that became durable. `cut` is why it was cut.
pub(crate) fn durable(entries: u64, raw_bytes: u64, stored_bytes: u64, cut: &str) {
    DURABLE_ENTRIES.add(&[], entries);
    DURABLE_RAW_BYTES.add(&[], raw_bytes);
    DURABLE_STORED_BYTES.add(&[], stored_bytes);
    SEGMENTS.add(&[cut], 1);
}

pub(crate) fn log_retried() {
    LOG_RETRIES.add(&[], 1);
}

/// Notes that the members' catalogs were compared, and how many collections are listed differently.
pub(crate) fn catalogs_compared(differing: usize) {
    CATALOG_UNCHECKED.set(&[], 0.0);
    CATALOG_DIFFERING.set(&[], differing as f64);
}

pub(crate) fn catalogs_not_compared() {
    CATALOG_UNCHECKED.set(&[], 1.0);
    CATALOG_FAILURES.add(&[], 1);
}
