//! Positions and lags of a process as metrics.

use hindsight_oplog::OpTime;
use hindsight_runtime::Metric;

use crate::{PositionBoard, Role, StatusBoard};

/// Every metric of this part.
pub const METRICS: &[Metric] = &[POSITION, LEADING, CAPTURE_LAG, APPLY_LAG, HEADROOM];

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

/// Takes over where this process stands. `applied` is how far its history has come.
pub fn update(positions: &PositionBoard, status: &StatusBoard, applied: Option<OpTime>) {
    let positions = positions.now();
    let named = [
        ("majority", positions.majority),
        ("received", positions.received),
        ("durable", positions.durable),
        ("indexed", positions.indexed),
        ("applied", applied),
    ];
    for (name, optime) in named {
        if let Some(optime) = optime {
            POSITION.set(&[name], f64::from(optime.ts.seconds()));
        }
    }
    let leads = matches!(status.now().role, Role::Leading { .. });
    LEADING.set(&[], f64::from(u8::from(leads)));
    if let Some(lag) = positions.capture_lag_seconds() {
        CAPTURE_LAG.set(&[], f64::from(lag));
    }
    if let Some(lag) = positions.apply_lag_seconds(applied) {
        APPLY_LAG.set(&[], f64::from(lag));
    }
    if let Some(headroom) = positions.headroom_seconds() {
        HEADROOM.set(&[], f64::from(headroom));
    }
}
