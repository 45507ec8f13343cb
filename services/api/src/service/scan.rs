//! The documents of a collection at a time: all of them, or the documents that a filter selects.

use bson::RawDocument;
use bytes::{Bytes, BytesMut};
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_query::{Filter, Projection};
use hindsight_replayer::{Engine, QueryError};
use tokio::sync::mpsc;
use tonic::Status;

use super::absent::no_such_collection;
use super::filter_version::source_version;
use super::page::PageKey;
use super::streams::{AHEAD, Gather, MESSAGE_BYTES, answers};
use super::{Answers, Reason, Service, check_ns, collation, invalid, status_of};
use crate::times::to_api;

/// Which documents to return, and which of their fields.
struct Selection {
    filter: Option<Filter>,
    projection: Option<Projection>,
    limit: usize,
}

/// Parses a filter for documents of that time (`None`: of any time). Returns `None` when there are
/// no bytes.
pub(super) fn filter_of(
    engine: &Engine,
    at: Option<Timestamp>,
    bytes: &[u8],
) -> Result<Option<Filter>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let document = RawDocument::from_bytes(bytes).map_err(|error| invalid("filter", error))?;
    let version = source_version(engine, at);
    Filter::parse(document, version).map(Some).map_err(|error| invalid("filter", error))
}

/// Copies documents, many of them into one piece of memory: allocating memory for each document,
/// and freeing it on another thread, takes longer than copying the document.
#[derive(Default)]
struct Copies(BytesMut);

impl Copies {
    fn of(&mut self, document: &[u8]) -> Bytes {
        if self.0.capacity() < document.len() {
            self.0 = BytesMut::with_capacity(MESSAGE_BYTES.max(document.len()));
        }
        self.0.extend_from_slice(document);
        self.0.split().freeze()
    }
}

impl Selection {
    fn parse(
        engine: &Engine,
        at: Timestamp,
        request: &api::ScanCollectionRequest,
    ) -> Result<Self, Status> {
        let mut projection = None;
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
        let filter = filter_of(engine, Some(at), &request.filter)?;
        Ok(Self { filter, projection, limit })
    }

    /// Returns what the answer shows of a document, or `None` when the filter excludes the
    /// document.
    fn select(&self, document: &[u8], copies: &mut Copies) -> Result<Option<Bytes>, Status> {
        if self.filter.is_none() && self.projection.is_none() {
            return Ok(Some(copies.of(document)));
        }
        let corrupt = |error: &dyn std::fmt::Display| Reason::Corrupt.status(error.to_string());
        let raw = RawDocument::from_bytes(document).map_err(|error| corrupt(&error))?;
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(raw)) {
            return Ok(None);
        }
        match &self.projection {
            Some(projection) => {
                let selected = projection.apply(raw).map_err(|error| corrupt(&error))?;
                Ok(Some(selected.into_bytes().into()))
            }
            None => Ok(Some(copies.of(document))),
        }
    }
}

/// A scan, or the next page of a scan.
struct Scan {
    ns: String,
    at: Timestamp,
    /// The id key after which the scan continues.
    after: Option<Vec<u8>>,
    selection: Selection,
    key: PageKey,
}

pub(super) async fn scan(
    service: &Service,
    request: api::ScanCollectionRequest,
) -> Result<Answers<api::ScanCollectionResponse>, Status> {
    check_ns(&request.ns)?;
    let parts = [request.ns.as_bytes(), &request.filter, &request.projection];
    let key = PageKey::new("scan", &parts);
    let (at, after) = match key.position_and_time(&request.page_token)? {
        // Later pages show the same time as the first page.
        Some((at, after)) => {
            service.engine.check(at).map_err(status_of)?;
            (at, Some(after))
        }
        None => (service.reach(request.at.clone()).await?, None),
    };
    let selection = Selection::parse(&service.engine, at, &request)?;
    let scan = Scan { ns: request.ns, at, after, selection, key };
    // Checked here, so that an error becomes the status of the call itself.
    let view = service.engine.view(at).map_err(status_of)?;
    let Some(state) = view.collection(&scan.ns) else {
        return Err(no_such_collection(&view, &scan.ns));
    };
    collation::check_filter(scan.selection.filter.as_ref(), [&*state])?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let engine = service.engine.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let message = |documents| api::ScanCollectionResponse {
            documents,
            at: Some(to_api(at)),
            next_page_token: String::new(),
        };
        let mut gather = Gather::new(sender, message);
        let result = scan.run(&engine, &mut gather);
        gather.end(result);
    });
    Ok(answers(receiver, thread))
}

impl Scan {
    fn run<F>(
        &self,
        engine: &Engine,
        gather: &mut Gather<Bytes, api::ScanCollectionResponse, F>,
    ) -> Result<(), Status>
    where
        F: Fn(Vec<Bytes>) -> api::ScanCollectionResponse,
    {
        let view = engine.view(self.at).map_err(status_of)?;
        let after = self.after.as_deref();
        let documents = view.scan_after(&self.ns, after);
        let mut documents = documents.map_err(QueryError::from).map_err(status_of)?;
        let (mut left, mut copies) = (self.selection.limit, Copies::default());
        loop {
            let scanned = documents.next_document();
            let scanned = scanned.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
            let Some(scanned) = scanned else { return Ok(()) };
            // A filter may exclude documents for a long time, and the caller may be gone by then.
            if !gather.is_wanted() {
                return Ok(());
            }
            let Some(selected) = self.selection.select(scanned.document, &mut copies)? else {
                continue;
            };
            let bytes = selected.len();
            left -= 1;
            if !gather.add(selected, bytes) {
                return Ok(());
            }
            if left == 0 {
                let token = self.key.token_at(self.at, scanned.id_key)?;
                gather.send_amended(|last| last.next_page_token = token);
                return Ok(());
            }
        }
    }
}
