//! Positions, lags and windows as metrics, updated once a second.

use std::time::Duration;

use hindsight_api::service::Live;
use hindsight_replayer::Engine;
use hindsight_runtime::CancellationToken;
use hindsight_tailer::Role;

use super::metrics;
use crate::exit::Result;

const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(engine: Engine, live: Live, shutdown: CancellationToken) -> Result<()> {
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
        metrics::applied(entries, rate);
        if let Ok(windows) = engine.windows()
            && let Some(newest) = windows.last()
        {
            metrics::restorable(newest.from.seconds(), newest.through.seconds());
        }
        if let Ok(gaps) = engine.gaps() {
            metrics::gaps(gaps.len());
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
            metrics::position(name, optime.ts.seconds());
        }
    }
    let leads = matches!(live.capture.now().role, Role::Leading { .. });
    metrics::leading(leads);
    if let Some(lag) = positions.capture_lag_seconds() {
        metrics::capture_lag(lag);
    }
    if let Some(lag) = positions.apply_lag_seconds(applied) {
        metrics::apply_lag(lag);
    }
    if let Some(headroom) = positions.headroom_seconds() {
        metrics::rollover_headroom(headroom);
    }
}
