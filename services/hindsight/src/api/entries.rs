//! Searching entries.

use std::ops::ControlFlow;

use bytes::Bytes;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_replayer::Engine;
use hindsight_replayer::find::{EntryFilter, NamespacePattern, find_all, find_newest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::streams::{AHEAD, Gather};
use super::{Answers, Service, id_of, invalid, status_of};

/// Without a limit entries are streamed; with one, at most so many are held.
const MAX_LIMIT: u64 = 100_000;

pub(super) async fn search(
    service: &Service,
    request: api::SearchEntriesRequest,
) -> Result<Answers<api::SearchEntriesResponse>, Status> {
    let is_new = !request.transaction.is_empty()
        || !request.session.is_empty()
        || !request.changed_field.is_empty()
        || !request.grep.is_empty()
        || !request.filter.is_empty()
        || request.before_context > 0
        || request.follow;
    if is_new {
        return Err(Status::unimplemented("this condition is not built yet"));
    }
    let engine = service.engine.clone();
    let filter = filter_of(&engine, &request)?;
    if request.limit > MAX_LIMIT {
        return Err(invalid("limit", format!("it is at most {MAX_LIMIT}; 0 streams everything")));
    }
    if request.limit > 0 {
        let limit = request.limit as usize;
        let found = find_newest(engine.log.as_ref(), &engine.index, &filter, limit)
            .await
            .map_err(status_of)?;
        let messages = found.into_iter().map(|entry| {
            Ok(api::SearchEntriesResponse { entries: vec![entry.into()], context: Vec::new() })
        });
        return Ok(Box::pin(tokio_stream::iter(messages.collect::<Vec<_>>())));
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let message = |entries| api::SearchEntriesResponse { entries, context: Vec::new() };
        let mut gather = Gather::new(sender, message);
        let mut visit = |entry: &[u8]| match gather.add(Bytes::copy_from_slice(entry), entry.len())
        {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let searched = find_all(engine.log.as_ref(), &engine.index, &filter, &mut visit);
        let result = runtime.block_on(searched).map_err(status_of);
        gather.end(result);
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn filter_of(engine: &Engine, request: &api::SearchEntriesRequest) -> Result<EntryFilter, Status> {
    let bound = |time: &Option<api::TimeSpec>, lower: bool| match time {
        None => Ok(if lower { Timestamp::ZERO } else { Timestamp::MAX }),
        Some(time) => engine.bound(&time.text, lower).map_err(status_of),
    };
    let mut filter = EntryFilter {
        namespace: (!request.ns.is_empty()).then(|| NamespacePattern::parse(&request.ns)),
        ops: request.op.clone(),
        id: None,
        from: bound(&request.from, true)?,
        to: bound(&request.to, false)?,
    };
    if !request.id.is_empty() {
        id_of(&request.id)?;
        let id = hindsight_oplog::raw::Doc::new(&request.id).expect("id_of checked it");
        filter.set_id(id).map_err(|error| invalid("id", error))?;
    }
    Ok(filter)
}
