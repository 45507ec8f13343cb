//! Listing a member's catalog for its own sake, while nothing is copied.

use std::collections::BTreeSet;
use std::time::Duration;

use hindsight_base::{CollectionInfo, Uuid};
use hindsight_mongo::Client;
use hindsight_oplog::Timestamp;

use super::catalog::{self, list_database, list_indexes};
use super::error::Result;
use super::member::Member;

/// Tries of each request. What fails is looked at again before long anyway.
const ATTEMPTS: u32 = 2;

/// What one member lists, and when.
#[derive(Debug)]
pub struct CatalogListing {
    /// It holds every entry up to here.
    pub from: Timestamp,
    /// The newest entry that the member had applied when it was listed, or a later one.
    pub to: Timestamp,
    pub collections: Vec<CollectionInfo>,
}

/// Lists the whole catalog; nothing of it can be rolled back any more.
pub async fn list_catalog(client: &Client, patience: Duration) -> Result<CatalogListing> {
    let member = Member::new(client, ATTEMPTS);
    let from = member.hello().await?.last_applied.ts;
    let collections = catalog::read(&member, patience).await?;
    let to = member.hello().await?.last_applied.ts.max(member.seen());
    Ok(CatalogListing { from, to, collections })
}

/// Lists those of the collections that the member has, as they are now.
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
