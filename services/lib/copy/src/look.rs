//! Lists a member's catalog for its own sake, while no copy runs.

use std::collections::BTreeSet;
use std::time::Duration;

use hindsight_base::{CollectionInfo, Uuid};
use hindsight_mongo::Client;
use hindsight_oplog::Timestamp;

use super::catalog::{self, list_database, list_indexes};
use super::error::Result;
use super::member::Member;

/// Attempts of each request. After a failure the caller soon lists again anyway.
const ATTEMPTS: u32 = 2;

/// What one member lists, and when.
#[derive(Debug)]
pub struct CatalogListing {
    /// The listing includes the effects of every entry up to here.
    pub from: Timestamp,
    /// The newest entry that the member had applied when the listing ended, or a later entry.
    pub to: Timestamp,
    /// The collections with their options and finished indexes.
    pub collections: Vec<CollectionInfo>,
}

/// Lists the whole catalog. No part of the result can be rolled back any more. `patience` limits
/// the wait for the majority point to pass the listing.
///
/// # Errors
/// Returns [`CopyError`](super::CopyError) when a request fails, or when no listing could be
/// confirmed.
pub async fn list_catalog(client: &Client, patience: Duration) -> Result<CatalogListing> {
    let member = Member::new(client, ATTEMPTS);
    let from = member.hello().await?.last_applied.ts;
    let collections = catalog::read(&member, patience).await?;
    let to = member.hello().await?.last_applied.ts.max(member.seen());
    Ok(CatalogListing { from, to, collections })
}

/// Lists the wanted collections that the member has, as they are now. Each wanted collection is a
/// database and a UUID. The result is not confirmed: it could still be rolled back.
///
/// # Errors
/// Returns [`CopyError`](super::CopyError) when a request fails.
pub async fn list_these(
    client: &Client,
    wanted: &BTreeSet<(String, Uuid)>,
) -> Result<Vec<CollectionInfo>> {
    let member = Member::new(client, ATTEMPTS);
    let databases: BTreeSet<&String> = wanted.iter().map(|(db, _)| db).collect();
    let mut found = Vec::with_capacity(wanted.len());
    for db in databases {
        for mut info in list_database(&member, db).await? {
            if wanted.contains(&(info.db.clone(), info.uuid)) {
                info.indexes = list_indexes(&member, &info).await?;
                found.push(info);
            }
        }
    }
    Ok(found)
}
