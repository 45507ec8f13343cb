//! What listed options do not tell of time-series collections.
//!
//! From 9.0 on a time-series is one collection without a view (made by hand after the server's
//! sources, for no 9.0 was to be had): its buckets are read with `rawData: true`, which takes the
//! privilege `performRawDataOperations`.

use std::collections::BTreeSet;

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use hindsight_base::{CollectionInfo, Uuid};
use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::time_series::with_mixed_schema_mark;

use super::catalog::ByUuid;
use super::error::{CopyError, Result};
use super::member::{Member, document};

/// The type of a time-series that is one collection, in `listCollections`.
pub(super) const VIEWLESS: &str = "timeseries";

/// Replies of servers that keep no mark: below 6.0 there is no such stage, and below that feature
/// compatibility version the stage is not enabled.
const NO_SUCH_STAGE: [i32; 2] = [40324, 224];

/// Asks for the buckets, where the collection would show measurements.
pub(super) fn raw_if_viewless(
    info: &CollectionInfo,
    mut command: RawDocumentBuf,
) -> RawDocumentBuf {
    if info.kind == VIEWLESS {
        command.append(cstr!("rawData"), true);
    }
    command
}

/// Writes the mark of mixed types into the options of the collections that have the mark in the
/// member's catalog. 6.0.5 does not list it, and later patches do not list what 6.0.5 marked.
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

/// The UUIDs of all marked collections.
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
        Err(CopyError::Server { source, .. }) if NO_SUCH_STAGE.contains(&source.code()) => {
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
