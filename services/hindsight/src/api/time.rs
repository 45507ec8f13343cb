//! Which times there are, and what one means.

use std::ops::ControlFlow;

use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_replayer::find::{EntryFilter, find_all, find_newest};
use hindsight_replayer::{Engine, Window};
use tonic::Status;

use super::{Reason, Service, invalid, status_of};
use crate::times::to_api;

fn window(window: Window) -> api::Window {
    api::Window { from: Some(to_api(window.from)), through: Some(to_api(window.through)) }
}

pub(super) fn windows(engine: &Engine) -> Result<api::ListWindowsResponse, Status> {
    let windows = engine.windows().map_err(status_of)?;
    let gaps = engine.gaps().map_err(status_of)?;
    Ok(api::ListWindowsResponse {
        windows: windows.into_iter().map(window).collect(),
        gaps: gaps
            .into_iter()
            .map(|gap| api::Gap {
                after: Some(to_api(gap.after.ts)),
                before: Some(to_api(gap.before.ts)),
                reason: gap.reason,
            })
            .collect(),
    })
}

pub(super) fn bases(engine: &Engine) -> Result<api::ListBasesResponse, Status> {
    let bases = engine.index.view().bases();
    let bases = bases.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
    let base = |base: hindsight_index::BaseSummary| api::Base {
        name: base.name,
        start: Some(to_api(base.start)),
        exact_from: Some(to_api(base.exact_from.ts)),
        created_ms: base.created_wall_ms,
        documents: base.documents,
        bytes: base.bytes,
    };
    Ok(api::ListBasesResponse { bases: bases.into_iter().map(base).collect() })
}

pub(super) async fn wait(
    service: &Service,
    request: api::WaitRestorableRequest,
) -> Result<api::WaitRestorableResponse, Status> {
    let live = service.live.as_ref();
    let live = live.ok_or_else(|| Reason::Unavailable.status("no process captures here"))?;
    let through = live.wait(&service.engine, request).await?;
    Ok(api::WaitRestorableResponse { restorable_through: Some(to_api(through)) })
}

/// The position, its window, and the entries on both sides.
pub(super) async fn resolve(
    engine: &Engine,
    request: api::ResolveTimeRequest,
) -> Result<api::ResolveTimeResponse, Status> {
    let time = request.time.ok_or_else(|| invalid("time", "it is missing"))?;
    let at = engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
    let windows = engine.windows().map_err(status_of)?;
    let holds = windows.into_iter().find(|window| window.from <= at && at <= window.through);
    let before = EntryFilter::between(Timestamp::ZERO, at);
    let last = find_newest(engine.log.as_ref(), &engine.index, &before, 1).await;
    let last = last.map_err(status_of)?.pop();
    let mut first = None;
    if at < Timestamp::MAX {
        let after = EntryFilter::between(at.successor(), Timestamp::MAX);
        let mut take = |entry: &[u8]| {
            first = Some(entry.to_vec());
            ControlFlow::Break(())
        };
        find_all(engine.log.as_ref(), &engine.index, &after, &mut take).await.map_err(status_of)?;
    }
    Ok(api::ResolveTimeResponse {
        at: Some(to_api(at)),
        window: holds.map(window),
        last_included: last.unwrap_or_default().into(),
        first_excluded: first.unwrap_or_default().into(),
    })
}
