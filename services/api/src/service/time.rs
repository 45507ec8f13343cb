//! Which times can be restored, and what a time means.

use std::sync::Arc;

use bytes::Bytes;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_replayer::find::{EntryFilter, Search, SearchOptions};
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
    let live =
        live.ok_or_else(|| Reason::Unavailable.status("no process runs on this data directory"))?;
    let through = live.wait(&service.engine, request).await?;
    Ok(api::WaitRestorableResponse { restorable_through: Some(to_api(through)) })
}

/// Resolves a time to its position, its window, and the entries on both sides of it.
pub(super) async fn resolve(
    engine: &Engine,
    request: api::ResolveTimeRequest,
) -> Result<api::ResolveTimeResponse, Status> {
    let time = request.time.ok_or_else(|| invalid("time", "it is missing"))?;
    let at = engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
    let windows = engine.windows().map_err(status_of)?;
    let holds = windows.into_iter().find(|window| window.from <= at && at <= window.through);
    let last = next(engine, Timestamp::ZERO, at, 1).await?;
    let first = next(engine, at.successor(), Timestamp::MAX, 0).await?;
    Ok(api::ResolveTimeResponse {
        at: Some(to_api(at)),
        window: holds.map(window),
        last_included: last.unwrap_or_default(),
        first_excluded: first.unwrap_or_default(),
    })
}

/// Returns the first entry between two times, both included; with a limit of 1, the last entry.
async fn next(
    engine: &Engine,
    from: Timestamp,
    to: Timestamp,
    limit: usize,
) -> Result<Option<Bytes>, Status> {
    let (log, index) = (Arc::clone(&engine.log), Arc::clone(&engine.index));
    let filter = EntryFilter { from, to, ..EntryFilter::all() };
    let options = SearchOptions { limit, before_context: 0 };
    let mut search =
        Search::new(log, index, filter, options, engine.memory.clone()).map_err(status_of)?;
    let found = search.next().await.map_err(status_of)?;
    Ok(found.and_then(|found| found.into_iter().next()).map(|found| found.entry))
}
