//! What a server holds, in a form in which two servers can be compared: the server's own `dbHash`
//! of each collection, and the collection's options and indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use anyhow::{Context, Result};
use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::Client;

/// Databases that belong to the server itself.
const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];
/// The most documents that a list of differences names.
const DOCUMENTS_SHOWN: usize = 10;

/// All user databases of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// By namespace: `db.collection`.
    pub collections: BTreeMap<String, CollectionState>,
    /// `admin.system.users` and `admin.system.roles`, by `_id`.
    pub accounts: BTreeMap<String, Document>,
}

/// One collection or view.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionState {
    /// `collection`, `view` or `timeseries`.
    pub kind: String,
    /// The options as `listCollections` shows them.
    pub options: Document,
    /// The description of the `_id` index, if there is one.
    pub id_index: Option<Document>,
    /// The indexes by name; a view has none.
    pub indexes: BTreeMap<String, Document>,
    /// The MD5 hash of the documents, from `dbHash`; `None` for what the server does not hash
    /// (views).
    pub hash: Option<String>,
    /// For a capped collection: a hash of the ids in natural order, which `dbHash` ignores.
    pub natural_order: Option<String>,
    /// The number of documents, which says more than a hash when two collections differ.
    pub documents: Option<u64>,
}

/// Takes the snapshot of a server, which should be at a quiet point.
pub async fn snapshot(client: &Client) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for database in client.list_database_names().await? {
        if !SERVER_DATABASES.contains(&database.as_str()) {
            add_database(client, &database, &mut snapshot).await?;
        }
    }
    snapshot.accounts = accounts(client).await?;
    Ok(snapshot)
}

async fn add_database(client: &Client, name: &str, snapshot: &mut Snapshot) -> Result<()> {
    let database = client.database(name);
    let hashes = database.run_command(doc! {"dbHash": 1}).await?;
    let hashes = hashes.get_document("collections")?.clone();
    let mut list = database.run_cursor_command(doc! {"listCollections": 1}).await?;
    while let Some(found) = list.try_next().await? {
        let collection = found.get_str("name")?;
        let kind = found.get_str("type")?.to_owned();
        // A time-series whose buckets were renamed has no indexes to list either.
        let is_view =
            kind == "view" || kind == "timeseries" && found.get_document("options")?.is_empty();
        let documents = match kind.as_str() {
            "collection" => Some(count(client, name, collection).await?),
            _ => None,
        };
        let state = CollectionState {
            options: found.get_document("options")?.clone(),
            id_index: found.get_document("idIndex").ok().cloned(),
            indexes: if is_view {
                BTreeMap::new()
            } else {
                indexes(client, name, collection).await?
            },
            natural_order: match found.get_document("options")?.get_bool("capped") {
                Ok(true) => Some(natural_order(client, name, collection).await?),
                _ => None,
            },
            hash: hashes.get_str(collection).ok().map(str::to_owned),
            documents,
            kind,
        };
        snapshot.collections.insert(format!("{name}.{collection}"), state);
    }
    Ok(())
}

/// Counts by scanning, because the fast count is wrong after an unclean shutdown.
async fn count(client: &Client, database: &str, collection: &str) -> Result<u64> {
    let collection = client.database(database).collection::<Document>(collection);
    Ok(collection
        .count_documents(doc! {})
        .hint(mongodb::options::Hint::Keys(doc! {"$natural": 1}))
        .await?)
}

async fn natural_order(client: &Client, database: &str, collection: &str) -> Result<String> {
    let collection = client.database(database).collection::<RawDocumentBuf>(collection);
    let ids = collection.find(doc! {}).projection(doc! {"_id": 1}).sort(doc! {"$natural": 1});
    let mut cursor = ids.await?;
    let mut hasher = DefaultHasher::new();
    while let Some(id) = cursor.try_next().await? {
        hasher.write(id.as_bytes());
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Returns the indexes that are built. An index that is being built answers no query yet, and the
/// build may never complete.
async fn indexes(
    client: &Client,
    database: &str,
    collection: &str,
) -> Result<BTreeMap<String, Document>> {
    // Without this option, the list does not distinguish the two.
    let command = doc! {"listIndexes": collection, "includeBuildUUIDs": true};
    let mut cursor = client.database(database).run_cursor_command(command).await?;
    let mut indexes = BTreeMap::new();
    while let Some(index) = cursor.try_next().await? {
        if !index.contains_key("buildUUID") {
            indexes.insert(index.get_str("name")?.to_owned(), index);
        }
    }
    Ok(indexes)
}

async fn accounts(client: &Client) -> Result<BTreeMap<String, Document>> {
    let mut accounts = BTreeMap::new();
    for collection in ["system.users", "system.roles"] {
        let source = client.database("admin").collection::<Document>(collection);
        let mut cursor = source.find(doc! {}).await?;
        while let Some(account) = cursor.try_next().await? {
            accounts.insert(format!("{collection} {}", account.get_str("_id")?), account);
        }
    }
    Ok(accounts)
}

/// Returns what differs between two snapshots, one line for each difference; `None` when nothing
/// differs. UUIDs are not compared.
pub fn diff(left: &Snapshot, right: &Snapshot) -> Option<String> {
    let mut lines = Vec::new();
    let names: BTreeSet<&String> =
        left.collections.keys().chain(right.collections.keys()).collect();
    for name in names {
        match (left.collections.get(name), right.collections.get(name)) {
            (Some(left), Some(right)) => diff_collection(name, left, right, &mut lines),
            (Some(_), None) => lines.push(format!("{name}: only on the left")),
            (None, _) => lines.push(format!("{name}: only on the right")),
        }
    }
    diff_maps("admin", &left.accounts, &right.accounts, &mut lines);
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn diff_collection(
    name: &str,
    left: &CollectionState,
    right: &CollectionState,
    lines: &mut Vec<String>,
) {
    let mut field = |what: &str, left: &dyn ToString, right: &dyn ToString| {
        let (left, right) = (left.to_string(), right.to_string());
        if left != right {
            lines.push(format!("{name}: {what}: {left} <> {right}"));
        }
    };
    let number = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let text = |s: &Option<String>| s.clone().unwrap_or_else(|| "none".to_owned());
    let document =
        |d: &Option<Document>| d.as_ref().map_or_else(|| "none".to_owned(), Document::to_string);
    field("type", &left.kind, &right.kind);
    field("options", &left.options, &right.options);
    field("_id index", &document(&left.id_index), &document(&right.id_index));
    field("documents", &number(left.documents), &number(right.documents));
    field("natural order", &text(&left.natural_order), &text(&right.natural_order));
    field("dbHash", &text(&left.hash), &text(&right.hash));
    diff_maps(&format!("{name}: index"), &left.indexes, &right.indexes, lines);
}

fn diff_maps(
    what: &str,
    left: &BTreeMap<String, Document>,
    right: &BTreeMap<String, Document>,
    lines: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for name in names {
        match (left.get(name), right.get(name)) {
            (Some(left), Some(right)) if left == right || same_bytes(left, right) => {}
            (Some(left), Some(right)) => lines.push(format!("{what} {name}: {left} <> {right}")),
            (Some(_), None) => lines.push(format!("{what} {name}: only on the left")),
            (None, _) => lines.push(format!("{what} {name}: only on the right")),
        }
    }
}

/// Compares bytes, because NaN is not equal to itself.
fn same_bytes(left: &Document, right: &Document) -> bool {
    match (bson::serialize_to_vec(left), bson::serialize_to_vec(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

/// Lists the documents that differ, byte for byte, between a collection on two servers, to explain
/// why the hashes differ. Reads both collections into memory.
pub async fn diff_documents(
    left: &Client,
    right: &Client,
    database: &str,
    collection: &str,
) -> Result<String> {
    let left = documents(left, database, collection).await?;
    let right = documents(right, database, collection).await?;
    let ids: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let mut lines = Vec::new();
    for id in ids.into_iter().filter(|id| left.get(*id) != right.get(*id)) {
        let show = |side: Option<&RawDocumentBuf>| {
            side.map_or_else(|| "nothing".to_owned(), |document| format!("{document:?}"))
        };
        lines.push(format!(
            "_id {id}:\n  left  {}\n  right {}",
            show(left.get(id)),
            show(right.get(id))
        ));
    }
    let total = lines.len();
    lines.truncate(DOCUMENTS_SHOWN);
    lines.push(format!("{total} documents of {database}.{collection} differ"));
    Ok(lines.join("\n"))
}

async fn documents(
    client: &Client,
    database: &str,
    collection: &str,
) -> Result<BTreeMap<String, RawDocumentBuf>> {
    let collection = client.database(database).collection::<RawDocumentBuf>(collection);
    let mut cursor = collection.find(doc! {}).await?;
    let mut documents = BTreeMap::new();
    while let Some(document) = cursor.try_next().await? {
        let id = document.get("_id")?.context("a document without _id")?;
        let id = Bson::try_from(id)?.into_canonical_extjson();
        documents.insert(id.to_string(), document);
    }
    Ok(documents)
}
