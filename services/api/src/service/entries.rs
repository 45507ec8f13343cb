//! Searching entries.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use hindsight_oplog::Timestamp;
use hindsight_oplog::update::FieldPath;
use hindsight_proto::v1 as api;
use hindsight_replayer::Engine;
use hindsight_replayer::find::{
    EntryFilter, Found, NamespacePattern, Pattern, Search, SearchOptions,
};
use tonic::Status;

use super::scan::filter_of as query_of;
use super::{Answers, Service, id_of, invalid, missing, status_of, whereabouts};
use crate::metrics;

pub(super) fn search(
    service: &Service,
    request: &api::SearchEntriesRequest,
) -> Result<Answers<api::SearchEntriesResponse>, Status> {
    let engine = &service.engine;
    let filter = filter_of(engine, request)?;
    let mut notes = whereabouts::notes(engine, &request.ns);
    notes.extend(missing::notes(engine, Some(filter.from), Some(filter.to))?);
    if request.follow && request.to.is_some() {
        return Err(invalid("follow", "nothing follows after `to`: leave one of them out"));
    }
    let options = SearchOptions {
        limit: usize::try_from(request.limit).unwrap_or(usize::MAX),
        before_context: usize::try_from(request.before_context).unwrap_or(usize::MAX),
    };
    let (log, index) = (Arc::clone(&engine.log), Arc::clone(&engine.index));
    let search =
        Search::new(log, index, filter, options, engine.memory.clone()).map_err(status_of)?;
    let with_context = request.before_context > 0;
    let first =
        (!notes.is_empty()).then(|| api::SearchEntriesResponse { notes, ..Default::default() });
    let first = stream::iter(first.map(Ok));
    if !request.follow {
        return Ok(first.chain(found(search, with_context)).boxed());
    }
    let live = service.live.as_ref().ok_or_else(|| {
        invalid("follow", "no process takes in new entries here: start one, or ask without it")
    })?;
    let news = live.positions.watch();
    let answers = stream::try_unfold((search, news), move |(mut search, mut news)| async move {
        let next = search.follow(&mut news).await.map_err(status_of)?;
        Ok(Some((message(next, with_context), (search, news))))
    });
    Ok(first.chain(answers).boxed())
}

/// Returns the matching entries that are in the log now.
fn found(search: Search, with_context: bool) -> Answers<api::SearchEntriesResponse> {
    let answers = stream::try_unfold(search, move |mut search| async move {
        match search.next().await.map_err(status_of)? {
            Some(next) => Ok(Some((message(next, with_context), search))),
            None => {
                let searched = search.searched();
                metrics::searched(searched.segments, searched.frames, searched.entries);
                Ok(None)
            }
        }
    });
    answers.boxed()
}

fn message(found: Vec<Found>, with_context: bool) -> api::SearchEntriesResponse {
    let mut message = api::SearchEntriesResponse::default();
    for found in found {
        message.entries.push(found.entry);
        if with_context {
            message.context.push(found.is_context);
        }
    }
    message
}

fn filter_of(engine: &Engine, request: &api::SearchEntriesRequest) -> Result<EntryFilter, Status> {
    let bound = |time: &Option<api::TimeSpec>, lower: bool| match time {
        None => Ok(if lower { Timestamp::ZERO } else { Timestamp::MAX }),
        Some(time) => engine.bound(&time.text, lower).map_err(status_of),
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut filter = EntryFilter::all();
    filter.namespace = given(&request.ns).map(|ns| NamespacePattern::parse(&ns));
    filter.ops.clone_from(&request.op);
    (filter.from, filter.to) = (bound(&request.from, true)?, bound(&request.to, false)?);
    if !request.id.is_empty() {
        id_of(&request.id)?;
        let id = hindsight_oplog::raw::Doc::new(&request.id).expect("id_of checked it");
        filter.set_id(id).map_err(|error| invalid("id", error))?;
    }
    let parsed = given(&request.transaction).map(|text| text.parse()).transpose();
    filter.transaction = parsed.map_err(|error| invalid("transaction", error))?;
    let parsed = given(&request.session).map(|text| text.parse()).transpose();
    filter.session = parsed.map_err(|error| invalid("session", error))?;
    let parsed = given(&request.changed_field).map(|path| FieldPath::parse(&path)).transpose();
    filter.changed_field = parsed.map_err(|error| invalid("changed_field", error))?;
    let parsed = given(&request.grep).map(|text| Pattern::parse(&text)).transpose();
    filter.grep = parsed.map_err(|error| invalid("grep", error))?;
    let until = request.to.as_ref().map(|_| filter.to);
    filter.query = query_of(engine, until, &request.filter)?.map(Arc::new);
    Ok(filter)
}
