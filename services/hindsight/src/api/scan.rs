//! The documents of a collection at a time: all of them, or those that a filter lets through.

use bson::RawDocument;
use bytes::Bytes;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_query::{Filter, Projection};
use hindsight_replayer::{Engine, QueryError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::streams::{AHEAD, Gather};
use super::{Answers, Reason, Service, check_ns, invalid, status_of};
use crate::times::to_api;

/// Which documents, and what of them.
pub(super) struct Selection {
    filter: Option<Filter>,
    projection: Option<Projection>,
    limit: usize,
}

impl Selection {
    pub(super) fn parse(request: &api::ScanCollectionRequest) -> Result<Self, Status> {
        let (mut filter, mut projection) = (None, None);
        if !request.filter.is_empty() {
            let document = RawDocument::from_bytes(&request.filter[..])
                .map_err(|error| invalid("filter", error))?;
            filter = Some(Filter::parse(document).map_err(|error| invalid("filter", error))?);
        }
        if !request.projection.is_empty() {
            let document = RawDocument::from_bytes(&request.projection[..])
                .map_err(|error| invalid("projection", error))?;
            let parsed = Projection::parse(document);
            projection = Some(parsed.map_err(|error| invalid("projection", error))?);
        }
        let limit = match request.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        Ok(Self { filter, projection, limit })
    }

    /// What is answered for a document; nothing for one that the filter keeps out.
    fn select(&self, document: Vec<u8>) -> Result<Option<Bytes>, QueryError> {
        if self.filter.is_none() && self.projection.is_none() {
            return Ok(Some(document.into()));
        }
        let corrupt = |error: &dyn std::fmt::Display| QueryError::Corrupt(error.to_string());
        let raw = RawDocument::from_bytes(&document[..]).map_err(|error| corrupt(&error))?;
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(raw)) {
            return Ok(None);
        }
        match &self.projection {
            Some(projection) => {
                let selected = projection.apply(raw).map_err(|error| corrupt(&error))?;
                Ok(Some(selected.into_bytes().into()))
            }
            None => Ok(Some(document.into())),
        }
    }
}

pub(super) async fn scan(
    service: &Service,
    request: api::ScanCollectionRequest,
) -> Result<Answers<api::ScanCollectionResponse>, Status> {
    check_ns(&request.ns)?;
    let selection = Selection::parse(&request)?;
    if !request.page_token.is_empty() {
        return Err(Status::unimplemented("pages of scans are not built yet"));
    }
    let at = service.reach(request.at).await?;
    let (engine, ns) = (&service.engine, request.ns);
    // Answered here, so that it is the call's own status.
    if engine.view(at).map_err(status_of)?.collection(&ns).is_none() {
        return Err(Reason::NoSuchCollection.status(format!("{ns} does not exist at {at}")));
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    let engine = engine.clone();
    tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        let message = |documents| api::ScanCollectionResponse {
            documents,
            at: Some(to_api(at)),
            next_page_token: String::new(),
        };
        let mut gather = Gather::new(sender, message);
        if let Err(error) = scan_into(&engine, &ns, at, &selection, &mut gather) {
            let _ = failed.blocking_send(Err(status_of(error)));
            return;
        }
        gather.send();
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn scan_into<T, F: Fn(Vec<Bytes>) -> T>(
    engine: &Engine,
    ns: &str,
    at: Timestamp,
    selection: &Selection,
    gather: &mut Gather<T, F>,
) -> Result<(), QueryError> {
    let view = engine.view(at)?;
    let mut left = selection.limit;
    for document in view.scan(ns)? {
        // A filter may let nothing through for long: nobody may be there any more.
        if left == 0 || !gather.is_wanted() {
            break;
        }
        let document = document.map_err(|error| QueryError::Corrupt(error.to_string()))?;
        let Some(selected) = selection.select(document)? else { continue };
        left -= 1;
        if !gather.add(selected) {
            break;
        }
    }
    Ok(())
}
