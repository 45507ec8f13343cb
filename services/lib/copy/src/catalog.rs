//! Lists the collections and indexes to copy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bson::{RawBson, RawDocumentBuf, rawdoc};
use hindsight_base::{CollectionInfo, Uuid, is_carried, uuid_text};
use hindsight_mongo::Incarnation;
use hindsight_oplog::raw::{Doc, Element};

use super::error::{CopyError, Reaction, Result};
use super::member::{Member, document};
use super::time_series::{self, VIEWLESS, raw_if_viewless};

/// How many listings are tried when the member changes its state during each of them.
const LISTINGS: u32 = 20;
const BETWEEN_LISTINGS: Duration = Duration::from_millis(500);

/// Lists all collections of a base, with their indexes. No part of the result can be rolled back
/// any more.
pub(super) async fn read(member: &Member, timeout: Duration) -> Result<Vec<CollectionInfo>> {
    for _ in 0..LISTINGS {
        let confirmation = Confirmation::begin(member).await?;
        let first = with_indexes(member, list_all(member).await?).await?;
        let listed = with_missed(member, first, list_all(member).await?).await?;
        let listed = time_series::with_marks(member, listed).await?;
        if confirmation.holds(member, timeout).await? {
            return Ok(listed.into_values().collect());
        }
        tokio::time::sleep(BETWEEN_LISTINGS).await;
    }
    Err(unstable())
}

/// Returns the UUIDs of the collections that exist, confirmed as in [`read`].
pub(super) async fn read_uuids(member: &Member, timeout: Duration) -> Result<BTreeSet<Uuid>> {
    for _ in 0..LISTINGS {
        let confirmation = Confirmation::begin(member).await?;
        let mut uuids: BTreeSet<Uuid> = list_all(member).await?.into_keys().collect();
        uuids.extend(list_all(member).await?.into_keys());
        if confirmation.holds(member, timeout).await? {
            return Ok(uuids);
        }
        tokio::time::sleep(BETWEEN_LISTINGS).await;
    }
    Err(unstable())
}

fn unstable() -> CopyError {
    CopyError::Unsettled(
        "the member changed its state during every listing of its collections".to_owned(),
    )
}

/// A check that everything listed since [`Confirmation::begin`] belongs to the member's committed
/// history.
struct Confirmation(Incarnation);

impl Confirmation {
    async fn begin(member: &Member) -> Result<Self> {
        Ok(Confirmation(member.hello().await?.incarnation))
    }

    async fn holds(self, member: &Member, timeout: Duration) -> Result<bool> {
        let after = member.hello().await?;
        if after.incarnation != self.0 {
            return Ok(false);
        }
        let target = after.last_applied.ts.max(member.seen());
        Ok(member.majority_at(target, Some(&self.0), timeout).await?.is_some())
    }
}

pub(super) type ByUuid = BTreeMap<Uuid, CollectionInfo>;

async fn list_all(member: &Member) -> Result<ByUuid> {
    let doing = "list databases";
    // Without the privilege for all databases the server would list only some of them, silently.
    let command = rawdoc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": false };
    let reply = member.command(doing, "admin", command).await?;
    let databases = document(doing, &reply)?.get(b"databases")?.and_then(Element::as_array);
    let mut listed = ByUuid::new();
    for database in databases.unwrap_or(Doc::EMPTY).elements() {
        let name = match database?.as_doc() {
            Some(database) => database.get(b"name")?.and_then(Element::as_str),
            None => None,
        };
        let db = name.ok_or_else(|| CopyError::Refused("a database without a name".to_owned()))?;
        if db != "local" {
            listed
                .extend(list_database(member, db).await?.into_iter().map(|info| (info.uuid, info)));
        }
    }
    Ok(listed)
}

/// Lists the collections of one database, without their indexes.
pub(super) async fn list_database(member: &Member, db: &str) -> Result<Vec<CollectionInfo>> {
    let doing = format!("list the collections of {db}");
    let documents = member.documents(&doing, db, rawdoc! { "listCollections": 1 }).await?;
    let mut collections = Vec::with_capacity(documents.len());
    for listed in &documents {
        collections.extend(collection(db, document(&doing, listed)?)?);
    }
    Ok(collections)
}

/// Reads what `listCollections` returns for one collection. None for what a base does not hold as a
/// collection.
pub(super) fn collection(db: &str, listed: Doc<'_>) -> Result<Option<CollectionInfo>> {
    let name = listed.get(b"name")?.and_then(Element::as_str).ok_or_else(|| {
        CopyError::Refused(format!("database {db} has a collection whose name is not UTF-8"))
    })?;
    if !is_carried(db, name) {
        return Ok(None);
    }
    let kind = listed.get(b"type")?.and_then(Element::as_str).unwrap_or("collection");
    let info = listed.get(b"info")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    let uuid = info.get(b"uuid")?.and_then(Element::as_uuid);
    let uuid = match (kind, uuid) {
        // A view is a document of `system.views`. The measurements of a time-series are in its
        // `system.buckets` collection.
        ("view", _) | ("timeseries", None) => return Ok(None),
        // From 9.0 on a time-series is one collection without a view.
        ("collection" | VIEWLESS, Some(uuid)) => uuid,
        _ => {
            return Err(CopyError::Refused(format!(
                "{db}.{name} is of type {kind:?} ({}), which this version cannot copy",
                if uuid.is_some() { "with a UUID" } else { "without a UUID" }
            )));
        }
    };
    let options = listed.get(b"options")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    let id_index = listed.get(b"idIndex")?.and_then(Element::as_doc);
    Ok(Some(CollectionInfo {
        db: db.to_owned(),
        name: name.to_owned(),
        uuid,
        kind: kind.to_owned(),
        options: options.as_bytes().to_vec(),
        id_index: id_index.map(|index| index.as_bytes().to_vec()),
        indexes: Vec::new(),
    }))
}

async fn with_indexes(member: &Member, listed: ByUuid) -> Result<ByUuid> {
    let mut complete = ByUuid::new();
    for (uuid, mut info) in listed {
        info.indexes = list_indexes(member, &info).await?;
        complete.insert(uuid, info);
    }
    Ok(complete)
}

/// Merges two listings: takes the second where they differ, and keeps what only the first has.
async fn with_missed(member: &Member, mut first: ByUuid, second: ByUuid) -> Result<ByUuid> {
    for (uuid, mut info) in second {
        info.indexes = match first.remove(&uuid) {
            Some(known) => known.indexes,
            None => list_indexes(member, &info).await?,
        };
        first.insert(uuid, info);
    }
    Ok(first)
}

/// Lists the finished indexes of a collection. Empty when the collection is gone by now.
pub(super) async fn list_indexes(member: &Member, info: &CollectionInfo) -> Result<Vec<Vec<u8>>> {
    let doing = format!("list the indexes of {}.{}", info.db, info.name);
    let command = rawdoc! {
        "listIndexes": by_uuid(info),
        "includeBuildUUIDs": true,
    };
    let command = raw_if_viewless(info, command);
    let listed = match member.documents(&doing, &info.db, command).await {
        Err(error) if error.reaction() == Reaction::Vanished => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut finished = Vec::with_capacity(listed.len());
    for index in listed {
        if is_finished(document(&doing, &index)?)? {
            finished.push(index);
        }
    }
    Ok(finished)
}

/// Whether a listed index is finished. An index that is still being built is listed as
/// `{spec, buildUUID}`; its `commitIndexBuild` is still to come in the log.
pub(super) fn is_finished(listed: Doc<'_>) -> Result<bool> {
    Ok(listed.get(b"buildUUID")?.is_none())
}

/// The collection's UUID, as the first value of a command. A name could belong to another
/// collection by the time the command runs.
fn by_uuid(info: &CollectionInfo) -> RawBson {
    RawBson::Binary(bson::Binary {
        subtype: bson::spec::BinarySubtype::Uuid,
        bytes: info.uuid.to_vec(),
    })
}

/// The command of a scan. Natural order is the order of capped collections, and the fastest order
/// for all collections.
pub(super) fn scan_command(
    info: &CollectionInfo,
    after: hindsight_oplog::Timestamp,
) -> RawDocumentBuf {
    let command = rawdoc! {
        "find": by_uuid(info),
        "filter": {},
        "hint": { "$natural": 1 },
        "readConcern": {
            "level": "majority",
            "afterClusterTime": super::start::bson_timestamp(after),
        },
        "comment": format!("hindsight base copy of {}.{} {}", info.db, info.name, uuid_text(&info.uuid)),
    };
    raw_if_viewless(info, command)
}
