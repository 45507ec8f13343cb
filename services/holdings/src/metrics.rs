//! The metrics of bases, and of the log where it lies.

use hindsight_runtime::Metric;

use crate::disk::DiskUse;

/// Every metric of this crate.
pub const METRICS: &[Metric] = &[
    BASE_FAILURES,
    BASES_ABSENT,
    RETENTION_RISK,
    RETENTION_UNCHECKED,
    IGNORED_RECORDS,
    DISK_USED,
    DISK_FREE,
    DISK_GROWTH,
];

const BASE_FAILURES: Metric = Metric::counter(
    "hindsight_base_failures_total",
    "Copies of a base that failed; each is tried again.",
);
const BASES_ABSENT: Metric = Metric::gauge(
    "hindsight_bases_absent",
    "Bases that the log or the index knows and the directory does not hold.",
);
const RETENTION_RISK: Metric = Metric::gauge(
    "hindsight_retention_risk",
    "Settings of the topic by which Kafka may delete what the log needs. Alert when above 0.",
);
const RETENTION_UNCHECKED: Metric = Metric::gauge(
    "hindsight_retention_unchecked",
    "1 while not all of these settings can be read, else 0.",
);
const IGNORED_RECORDS: Metric = Metric::gauge(
    "hindsight_log_ignored_records",
    "Records of the topic that are no part of the log, by reason.",
)
.by(&["reason"]);

const DISK_USED: Metric = Metric::gauge(
    "hindsight_disk_used_bytes",
    "What the log, the bases and the history take on disk, in bytes.",
)
.by(&["part"]);
const DISK_FREE: Metric = Metric::gauge(
    "hindsight_disk_free_bytes",
    "What is free where they lie, in bytes; of several file systems, the least.",
);
const DISK_GROWTH: Metric = Metric::gauge(
    "hindsight_disk_growth_bytes_per_hour",
    "By how much their size grows in an hour, measured over the last six hours at most.",
);

pub(crate) fn disk(disk: &DiskUse) {
    DISK_USED.set(&["log"], disk.log_bytes as f64);
    DISK_USED.set(&["bases"], disk.base_bytes as f64);
    DISK_USED.set(&["history"], disk.history_bytes as f64);
    if let Some(free) = disk.free_bytes {
        DISK_FREE.set(&[], free as f64);
    }
    if let Some(growth) = disk.growth_bytes_per_hour {
        DISK_GROWTH.set(&[], growth as f64);
    }
}

pub(crate) fn bases_absent(count: usize) {
    BASES_ABSENT.set(&[], count as f64);
}

pub(crate) fn retention_risks(count: usize) {
    RETENTION_RISK.set(&[], count as f64);
}

pub(crate) fn retention_unchecked(is_blind: bool) {
    RETENTION_UNCHECKED.set(&[], f64::from(u8::from(is_blind)));
}

pub(crate) fn ignored_records(reason: &str, count: u64) {
    IGNORED_RECORDS.set(&[reason], count as f64);
}

pub(crate) fn base_failed() {
    BASE_FAILURES.add(&[], 1);
}
