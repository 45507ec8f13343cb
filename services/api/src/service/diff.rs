//! The differences between two times.

use std::ops::ControlFlow;

use bson::RawDocument;
use bytes::Bytes;
use futures_util::StreamExt;
use hindsight_proto::v1 as api;
use hindsight_query::Filter;
use hindsight_replayer::find::NamespacePattern;
use hindsight_replayer::{DiffRequest, Difference, changed_fields};
use hindsight_runtime::CancellationToken;
use tokio::sync::mpsc;
use tonic::Status;

use super::scan::filter_of;
use super::streams::{AHEAD, Gather, answers};
use super::{Answers, Reason, Service, collation, invalid, status_of, whereabouts};
use crate::times::to_api;

pub(super) async fn diff(
    service: &Service,
    request: api::DiffTimesRequest,
) -> Result<Answers<api::DiffTimesResponse>, Status> {
    let from = request.from.ok_or_else(|| invalid("from", "it is missing"))?;
    let from = service.reach(Some(from)).await?;
    let to = service.reach(request.to).await?;
    let filter = filter_of(&service.engine, Some(from.max(to)), &request.filter)?;
    let namespace = (!request.ns.is_empty()).then(|| NamespacePattern::parse(&request.ns));
    for at in [from, to] {
        let states = service.engine.view(at).map_err(status_of)?.collections();
        let is_asked_for = |ns: &str| namespace.as_ref().is_none_or(|it| it.concerns(ns));
        let compared = states.iter().filter(|state| is_asked_for(&state.ns));
        collation::check_filter(filter.as_ref(), compared.map(|state| &**state))?;
    }
    let notes = whereabouts::notes(&service.engine, &request.ns);
    let asked = DiffRequest { from, to, namespace };
    let limit = if request.limit == 0 { u64::MAX } else { request.limit };
    let (sender, receiver) = mpsc::channel(AHEAD);
    let stop = CancellationToken::new();
    let reader = stop.clone().drop_guard();
    let engine = service.engine.clone();
    let runtime = tokio::runtime::Handle::current();
    let thread = tokio::task::spawn_blocking(move || {
        let message = |changes| api::DiffTimesResponse {
            changes,
            from: Some(to_api(from)),
            to: Some(to_api(to)),
            notes: Vec::new(),
        };
        let mut gather = Gather::new(sender, message);
        if !notes.is_empty() {
            gather.send_amended(|first| first.notes = notes);
        }
        let (mut left, mut failed) = (limit, None);
        let mut visit = |difference: Difference<'_>| {
            match change_of(&difference, filter.as_ref()) {
                Ok(None) => return ControlFlow::Continue(()),
                Ok(Some((change, bytes))) => {
                    left -= 1;
                    if gather.add(change, bytes) && left > 0 {
                        return ControlFlow::Continue(());
                    }
                }
                Err(status) => failed = Some(status),
            }
            ControlFlow::Break(())
        };
        let ended = runtime.block_on(engine.diff(&asked, &stop, &mut visit));
        let ended = ended.map_err(status_of).map(|_| ());
        gather.end(failed.map_or(ended, Err));
    });
    // The stream holds the guard, so the work stops when its reader goes away.
    let held_by_reader = move |_: &_| _ = &reader;
    Ok(answers(receiver, thread).inspect(held_by_reader).boxed())
}

/// Returns the change and its size, or `None` when neither side matches the filter.
fn change_of(
    difference: &Difference<'_>,
    filter: Option<&Filter>,
) -> Result<Option<(api::Change, usize)>, Status> {
    let corrupt = |error: &dyn std::fmt::Display| Reason::Corrupt.status(error.to_string());
    let (before, after) = (difference.before, difference.after);
    if let Some(filter) = filter {
        let mut matches = false;
        for side in [before, after].into_iter().flatten() {
            let raw = RawDocument::from_bytes(side).map_err(|error| corrupt(&error))?;
            matches |= filter.matches(raw);
        }
        if !matches {
            return Ok(None);
        }
    }
    let (kind, fields) = match (before, after) {
        (Some(before), Some(after)) => {
            let fields = changed_fields(before, after).map_err(|error| corrupt(&error))?;
            (api::change::Kind::Changed, fields)
        }
        (None, _) => (api::change::Kind::Added, Vec::new()),
        (Some(_), None) => (api::change::Kind::Removed, Vec::new()),
    };
    let id = difference.id_document().map_err(|error| corrupt(&error))?;
    let bytes = before.map_or(0, <[u8]>::len) + after.map_or(0, <[u8]>::len) + id.len();
    let change = api::Change {
        kind: kind.into(),
        ns: difference.ns.to_owned(),
        id: id.into(),
        before: before.map(Bytes::copy_from_slice),
        after: after.map(Bytes::copy_from_slice),
        fields,
    };
    Ok(Some((change, bytes)))
}
