//! Windows, gaps and the speed of applying as metrics.

use std::time::Duration;

use hindsight_runtime::Metric;

use crate::Engine;

/// Every metric of this part.
pub const METRICS: &[Metric] = &[APPLY_RATE, APPLIED, EARLIEST, LATEST, HORIZON, GAPS];

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
const HORIZON: Metric = Metric::gauge(
    "hindsight_history_horizon_timestamp_seconds",
    "The oldest time that the history keeps, in seconds since 1970; 0 while nothing was ever forgotten.",
);
const GAPS: Metric = Metric::gauge("hindsight_gaps", "Gaps in the log.");

/// What the metrics were computed from last.
#[derive(Debug, Default)]
pub struct Gauges {
    entries: u64,
}

impl Gauges {
    /// Takes over what can be restored now, and what was applied since the last call, which was
    /// `elapsed` ago.
    pub fn update(&mut self, engine: &Engine, elapsed: Duration) {
        let entries = engine.applied.borrow().entries;
        let since = entries.saturating_sub(self.entries);
        self.entries = entries;
        APPLIED.set(&[], entries as f64);
        APPLY_RATE.set(&[], since as f64 / elapsed.as_secs_f64());
        if let Ok(windows) = engine.windows()
            && let Some(newest) = windows.last()
        {
            EARLIEST.set(&[], f64::from(newest.from.seconds()));
            LATEST.set(&[], f64::from(newest.through.seconds()));
        }
        HORIZON.set(&[], f64::from(engine.horizon().seconds()));
        if let Ok(gaps) = engine.gaps() {
            GAPS.set(&[], gaps.len() as f64);
        }
    }
}
