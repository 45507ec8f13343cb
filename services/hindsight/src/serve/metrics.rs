//! The metrics of a running process: positions, windows, bases, risks.

use hindsight_runtime::Metric;

/// Every metric of this part.
pub(crate) const METRICS: &[Metric] = &[
    POSITION,
    LEADING,
    CAPTURE_LAG,
    APPLY_LAG,
    HEADROOM,
    APPLY_RATE,
    APPLIED,
    EARLIEST,
    LATEST,
    GAPS,
];

const POSITION: Metric = Metric::gauge("hindsight_position_timestamp_seconds", "How far each position has come (majority, received, durable, indexed, applied): the seconds since 1970 of its timestamp.").by(&["position"]);
const LEADING: Metric = Metric::gauge(
    "hindsight_leading",
    "1 while this process captures, 0 while it stands by or only follows the log.",
);
const CAPTURE_LAG: Metric = Metric::gauge(
    "hindsight_capture_lag_seconds",
    "How far the durable position is behind the source's majority point. Alert when it grows.",
);
const APPLY_LAG: Metric = Metric::gauge(
    "hindsight_apply_lag_seconds",
    "How far the history is behind the durable position.",
);
const HEADROOM: Metric = Metric::gauge(
    "hindsight_rollover_headroom_seconds",
    "How much oplog, in seconds of source time, the member that is read still holds before the durable position: when it is 0, entries are lost. Alert when it is low.",
);
const APPLY_RATE: Metric = Metric::gauge(
    "hindsight_apply_entries_per_second",
    "Entries that the history applied in the last second.",
);
const APPLIED: Metric = Metric::gauge(
    "hindsight_applied_entries",
    "Entries that the history has applied since the process started.",
);
const EARLIEST: Metric = Metric::gauge(
    "hindsight_restorable_earliest_timestamp_seconds",
    "The first restorable time of the newest window, in seconds since 1970.",
);
const LATEST: Metric = Metric::gauge(
    "hindsight_restorable_latest_timestamp_seconds",
    "The last restorable time of the newest window, in seconds since 1970. Alert when it stops growing.",
);
const GAPS: Metric = Metric::gauge("hindsight_gaps", "Gaps in the log.");

pub(super) fn position(name: &str, seconds: u32) {
    POSITION.set(&[name], f64::from(seconds));
}

pub(super) fn leading(leads: bool) {
    LEADING.set(&[], f64::from(u8::from(leads)));
}

pub(super) fn capture_lag(seconds: u32) {
    CAPTURE_LAG.set(&[], f64::from(seconds));
}

pub(super) fn apply_lag(seconds: u32) {
    APPLY_LAG.set(&[], f64::from(seconds));
}

pub(super) fn rollover_headroom(seconds: u32) {
    HEADROOM.set(&[], f64::from(seconds));
}

pub(super) fn applied(entries: u64, per_second: f64) {
    APPLIED.set(&[], entries as f64);
    APPLY_RATE.set(&[], per_second);
}

pub(super) fn restorable(from: u32, through: u32) {
    EARLIEST.set(&[], f64::from(from));
    LATEST.set(&[], f64::from(through));
}

pub(super) fn gaps(count: usize) {
    GAPS.set(&[], count as f64);
}
