//! What the listed options of time-series collections leave out.
//!
//! From 9.0 on a time-series is one collection without a view. Its buckets are read with
//! `rawData: true`, which requires the privilege `performRawDataOperations`. This was written after
//! the server's sources, because no 9.0 server was available.

use std::collections::BTreeSet;

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use hindsight_base::{CollectionInfo, Uuid};
use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::time_series::with_mixed_schema_mark;

use super::catalog::ByUuid;
use super::error::{CopyError, Result};
use super::member::{Member, document};

/// The type that `listCollections` returns for a time-series that is one collection.
pub(super) const VIEWLESS: &str = "timeseries";

/// Error codes of servers that keep no mark: before 6.0 there is no such stage, and below feature
/// compatibility version 6.0 the stage is not enabled.
const NO_SUCH_STAGE: [i32; 2] = [40324, 224];

/// Asks for the buckets of a collection that would otherwise return measurements.
pub(super) fn raw_if_viewless(
    info: &CollectionInfo,
    mut command: RawDocumentBuf,
) -> RawDocumentBuf {
    if info.kind == VIEWLESS {
        command.append(cstr!("rawData"), true);
    }
    command
}

/// Writes the mark of mixed types into the options of the collections that carry the mark in the
/// member's catalog. 6.0.5 does not list the mark, and later patch releases do not list what 6.0.5
/// marked.
pub(super) async fn with_marks(member: &Member, mut listed: ByUuid) -> Result<ByUuid> {
    let mut is_needed = false;
    for info in listed.values() {
        is_needed |= Doc::new(&info.options)?.get(b"timeseries")?.is_some();
    }
    if !is_needed {
        return Ok(listed);
    }
    for uuid in marked(member).await? {
        if let Some(info) = listed.get_mut(&uuid) {
            info.options = with_mixed_schema_mark(Doc::new(&info.options)?, Some(true))?;
        }
    }
    Ok(listed)
}

/// Returns the UUIDs of all marked collections.
async fn marked(member: &Member) -> Result<BTreeSet<Uuid>> {
    let doing = "read which time-series may hold buckets of mixed types";
    let command = rawdoc! {
        "aggregate": 1,
        "pipeline": [
            { "$listCatalog": {} },
            { "$match": { "md.timeseriesBucketsMayHaveMixedSchemaData": true } },
            { "$project": { "md.options.uuid": 1 } },
        ],
        "cursor": {},
        "readConcern": { "level": "local" },
    };
    let found = match member.documents(doing, "admin", command).await {
        Err(CopyError::Server { failure, .. }) if NO_SUCH_STAGE.contains(&failure.code()) => {
            return Ok(BTreeSet::new());
        }
        found => found?,
    };
    found.iter().map(|entry| uuid_of(document(doing, entry)?)).collect()
}

fn uuid_of(entry: Doc<'_>) -> Result<Uuid> {
    let metadata = entry.get(b"md")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    let options = metadata.get(b"options")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    options.get(b"uuid")?.and_then(Element::as_uuid).ok_or_else(|| {
        CopyError::Refused("the member's catalog holds a time-series without a UUID".to_owned())
    })
}
