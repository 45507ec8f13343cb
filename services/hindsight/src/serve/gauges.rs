//! Positions, lags and windows as metrics, brought up to date once a second.

use std::time::Duration;

use anyhow::Result;
use hindsight_oplog::OpTime;
use hindsight_replayer::Engine;
use hindsight_runtime::CancellationToken;
use hindsight_tailer::Role;
use metrics::gauge;

use crate::api::{Live, headroom};

const INTERVAL: Duration = Duration::from_secs(1);

pub async fn run(engine: Engine, live: Live, shutdown: CancellationToken) -> Result<()> {
    let mut last_entries = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        positions(&live);
        let entries = live.applied.borrow().entries;
        let rate = entries.saturating_sub(last_entries) as f64 / INTERVAL.as_secs_f64();
        last_entries = entries;
        gauge!("hindsight_apply_entries_per_second").set(rate);
        gauge!("hindsight_applied_entries").set(entries as f64);
        if let Ok(windows) = engine.windows()
            && let Some(newest) = windows.last()
        {
            gauge!("hindsight_restorable_earliest_timestamp_seconds").set(newest.from.seconds());
            gauge!("hindsight_restorable_latest_timestamp_seconds").set(newest.through.seconds());
        }
        if let Ok(gaps) = engine.gaps() {
            gauge!("hindsight_gaps").set(gaps.len() as f64);
        }
    }
}

fn positions(live: &Live) {
    let positions = live.positions.now();
    let applied = live.applied.borrow().applied;
    let named = [
        ("majority", positions.majority),
        ("received", positions.received),
        ("durable", positions.durable),
        ("indexed", positions.indexed),
        ("applied", applied),
    ];
    for (name, optime) in named {
        if let Some(optime) = optime {
            gauge!("hindsight_position_timestamp_seconds", "position" => name)
                .set(optime.ts.seconds());
        }
    }
    let leads = matches!(live.capture.now().role, Role::Leading { .. });
    gauge!("hindsight_leading").set(f64::from(u8::from(leads)));
    let lag = |ahead: Option<OpTime>, behind: Option<OpTime>| {
        Some(ahead?.ts.seconds().saturating_sub(behind?.ts.seconds()))
    };
    if let Some(lag) = lag(positions.majority, positions.durable) {
        gauge!("hindsight_capture_lag_seconds").set(lag);
    }
    if let Some(lag) = lag(positions.durable, applied) {
        gauge!("hindsight_apply_lag_seconds").set(lag);
    }
    if let Some(headroom) = headroom(&positions) {
        gauge!("hindsight_rollover_headroom_seconds").set(headroom);
    }
}
