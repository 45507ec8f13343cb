//! Fields that requests of several calls have: a namespace, an `_id`, a filter.

use bson::RawDocument;
use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::{Series, Timestamp};
use hindsight_query::Filter;
use hindsight_refusal::invalid;
use hindsight_replayer::Engine;
use tonic::Status;

/// Checks that a namespace is one: `db.collection`.
pub(crate) fn check_ns(ns: &str) -> Result<(), Status> {
    match ns.split_once('.') {
        Some((db, collection)) if !db.is_empty() && !collection.is_empty() => Ok(()),
        _ => Err(invalid("ns", format!("{ns:?} is not a namespace: write db.collection"))),
    }
}

/// Returns the element `_id` of a document `{_id: …}`.
pub(crate) fn id_of(document: &[u8]) -> Result<Element<'_>, Status> {
    let bad = |detail: &str| invalid("id", format!("not a BSON document {{_id: …}}: {detail}"));
    let document = Doc::new(document).map_err(|error| bad(&error.to_string()))?;
    document.validate().map_err(|error| bad(&error.to_string()))?;
    document.get(b"_id").map_err(|error| bad(&error.to_string()))?.ok_or_else(|| bad("no _id"))
}

/// Parses a filter for documents of that time (`None`: of any time). Returns `None` when there are
/// no bytes.
pub(crate) fn query_of(
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

/// The series to assume when the source's series is not known.
const UNKNOWN: Series = Series::new(6, 0);

/// Returns the server version that filters imitate (docs/decisions/0014): the source's series at
/// that time, or at the newest time that the history has, whichever is older. `at` is `None` for a
/// search of entries without an end.
fn source_version(engine: &Engine, at: Option<Timestamp>) -> Series {
    let through = engine.applied.borrow().through;
    let at = at.into_iter().chain(through).min();
    let told = at.and_then(|at| engine.source_version(at).ok()?.series());
    told.unwrap_or(UNKNOWN)
}
