//! Reads from the primary what the target holds.

use hindsight_mongo::{Client, Failure, codes};
use hindsight_oplog::raw::{DocWriter, kind};
use hindsight_restore::commands::{VIEWS, raw_if_needed};
use hindsight_restore::{CountedDigest, Digest, PlannedCollection, Progress, RestoreError};

use super::{blame, command};

pub(super) async fn digest(
    client: &Client,
    collection: &PlannedCollection,
    progress: &Progress,
) -> Result<Digest, RestoreError> {
    let mut find = DocWriter::new();
    find.string(b"find", &collection.state.name);
    find.open(kind::DOCUMENT, b"hint").int32(b"$natural", 1).close();
    let find = raw_if_needed(find, collection);
    let mut digest = CountedDigest::new(collection, progress);
    let add = |document: &[u8]| {
        digest.add(document);
        Ok(())
    };
    let read = command::for_each_document(client, &collection.state.db, find, add).await;
    read.map_err(|failure| {
        blame::reading(&failure, &format!("{} back", collection.state.namespace()))
    })?;
    Ok(digest.finish())
}

pub(super) async fn catalog(client: &Client, db: &str) -> Result<Vec<Vec<u8>>, RestoreError> {
    list_collections(client, db).await.map_err(|failure| blame_catalog(&failure, db))
}

/// Returns the raw entries of `listCollections`.
pub(super) async fn list_collections(client: &Client, db: &str) -> Result<Vec<Vec<u8>>, Failure> {
    command::collect(client, db, command::simple("listCollections")).await
}

pub(super) async fn indexes(
    client: &Client,
    collection: &PlannedCollection,
) -> Result<Vec<Vec<u8>>, RestoreError> {
    let mut list = DocWriter::new();
    list.string(b"listIndexes", &collection.state.name);
    let list = raw_if_needed(list, collection);
    let held = command::collect(client, &collection.state.db, list).await;
    held.map_err(|failure| {
        blame::reading(&failure, &format!("the indexes of {}", collection.state.namespace()))
    })
}

/// Returns `None` when we may not read `system.views`.
pub(super) async fn views(client: &Client, db: &str) -> Result<Option<Vec<Vec<u8>>>, RestoreError> {
    match command::collect(client, db, command::named("find", VIEWS)).await {
        Ok(definitions) => Ok(Some(definitions)),
        Err(failure) if failure.is(codes::UNAUTHORIZED) => Ok(None),
        Err(failure) => Err(blame_catalog(&failure, db)),
    }
}

fn blame_catalog(failure: &Failure, db: &str) -> RestoreError {
    blame::reading(failure, &format!("the catalog of {db} back"))
}
