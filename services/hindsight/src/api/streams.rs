//! Answers of many documents or entries, in messages of bounded size.

use std::ops::ControlFlow;

use bytes::Bytes;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_replayer::Engine;
use hindsight_replayer::find::{EntryFilter, NamespacePattern, find_all, find_newest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Answers, check_ns, id_of, status_of};
use crate::times::to_api;

/// Documents are gathered up to this many bytes a message.
const MESSAGE_BYTES: usize = 256 << 10;
/// Messages made ahead of a slow reader.
pub(super) const AHEAD: usize = 8;
/// `find` without a limit streams; with one, it holds at most so many entries.
const MAX_LIMIT: u64 = 100_000;

/// Gathers items into messages and sends them; `false` once the reader is gone.
pub(super) struct Gather<T, F: Fn(Vec<Bytes>) -> T> {
    sender: mpsc::Sender<Result<T, Status>>,
    items: Vec<Bytes>,
    bytes: usize,
    message: F,
}

impl<T, F: Fn(Vec<Bytes>) -> T> Gather<T, F> {
    pub(super) fn new(sender: mpsc::Sender<Result<T, Status>>, message: F) -> Self {
        Self { sender, items: Vec::new(), bytes: 0, message }
    }

    pub(super) fn add(&mut self, item: Bytes) -> bool {
        self.bytes += item.len();
        self.items.push(item);
        self.bytes < MESSAGE_BYTES || self.send()
    }

    /// Whether somebody still wants answers.
    pub(super) fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn send(&mut self) -> bool {
        self.bytes = 0;
        if self.items.is_empty() {
            return true;
        }
        let message = (self.message)(std::mem::take(&mut self.items));
        self.sender.blocking_send(Ok(message)).is_ok()
    }
}

pub(super) async fn find(
    engine: Engine,
    request: api::FindRequest,
) -> Result<Answers<api::FindResponse>, Status> {
    let filter = filter_of(&engine, &request)?;
    if request.limit > MAX_LIMIT {
        return Err(Status::invalid_argument(format!(
            "limit is at most {MAX_LIMIT}; 0 streams everything"
        )));
    }
    if request.limit > 0 {
        let limit = request.limit as usize;
        let found =
            find_newest(&engine.log, &engine.index, filter, limit).await.map_err(status_of)?;
        let messages =
            found.into_iter().map(|entry| Ok(api::FindResponse { entries: vec![entry.into()] }));
        return Ok(Box::pin(tokio_stream::iter(messages.collect::<Vec<_>>())));
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        let mut gather = Gather::new(sender, |entries| api::FindResponse { entries });
        let result =
            runtime.block_on(find_all(
                &engine.log,
                &engine.index,
                filter,
                &mut |entry| match gather.add(Bytes::copy_from_slice(entry)) {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                },
            ));
        gather.send();
        if let Err(error) = result {
            let _ = failed.blocking_send(Err(status_of(error)));
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn filter_of(engine: &Engine, request: &api::FindRequest) -> Result<EntryFilter, Status> {
    let bound = |time: &Option<api::TimeSpec>, lower: bool| match time {
        None => Ok(if lower { Timestamp::ZERO } else { Timestamp::MAX }),
        Some(time) => engine.bound(&time.text, lower).map_err(status_of),
    };
    let mut filter = EntryFilter {
        namespace: (!request.ns.is_empty()).then(|| NamespacePattern::parse(&request.ns)),
        ops: request.op.clone(),
        from: bound(&request.from, true)?,
        to: bound(&request.to, false)?,
        ..EntryFilter::all()
    };
    if !request.id.is_empty() {
        id_of(&request.id)?;
        let id = hindsight_oplog::raw::Doc::new(&request.id).expect("id_of checked it");
        filter.set_id(id).map_err(|error| Status::invalid_argument(error.to_string()))?;
    }
    Ok(filter)
}

pub(super) fn history(
    engine: &Engine,
    request: &api::HistoryRequest,
) -> Result<Answers<api::HistoryResponse>, Status> {
    check_ns(&request.ns)?;
    let id = id_of(&request.id)?;
    let versions = engine.history().map_err(status_of)?.versions(&request.ns, id);
    let versions = versions.map_err(|error| Status::data_loss(error.to_string()))?;
    if versions.is_empty() {
        return Err(Status::not_found(format!(
            "{} never held a document with this _id, as far as the history reaches",
            request.ns
        )));
    }
    let messages = versions.into_iter().map(|version| {
        let version = api::Version {
            from: Some(to_api(version.visible)),
            document: version.document.map(Bytes::from),
        };
        Ok(api::HistoryResponse { versions: vec![version] })
    });
    Ok(Box::pin(tokio_stream::iter(messages.collect::<Vec<_>>())))
}
