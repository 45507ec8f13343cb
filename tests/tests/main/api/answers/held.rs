//! What a restored server holds, as bytes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use bson::raw::cstr;
use bson::{Bson, Document, RawBson, RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures_util::TryStreamExt;
use hindsight_oplog::id_key as key_of;
use hindsight_oplog::raw::Doc;
use hindsight_tests::Mongod;
use mongodb::Client;
use mongodb::options::Collation;
use serde_json::Value;

use crate::capture_checks::restored;

const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];

pub(super) struct Held {
    pub at: Timestamp,
    pub client: Client,
    /// All collections and views, by namespace.
    pub collections: BTreeMap<String, Collection>,
    _server: Mongod,
}

pub(super) struct Collection {
    /// `collection`, `view` or `timeseries`.
    pub kind: String,
    pub options: RawDocumentBuf,
    /// The UUID; absent for views.
    pub uuid: Option<Vec<u8>>,
    /// The indexes by name.
    pub indexes: BTreeMap<String, RawDocumentBuf>,
    /// The documents in the order of `_id`; empty for views.
    pub documents: Vec<RawDocumentBuf>,
}

impl Collection {
    /// Returns true if the collection compares strings by a collation.
    pub(super) fn is_collated(&self) -> bool {
        self.options.get("collation").is_ok_and(|collation| collation.is_some())
    }
}

pub(super) fn is_of_users(ns: &str) -> bool {
    let database = ns.split('.').next().unwrap_or_default();
    !SERVER_DATABASES.contains(&database)
}

/// The simple collation, which takes precedence over that of the collection.
pub(super) fn simple() -> Collation {
    Collation::builder().locale("simple").build()
}

impl Held {
    pub(super) async fn restore(data: &Path, at: Timestamp) -> Result<Self> {
        let server = restored(data, at).await?;
        let client = server.client().await?;
        let collections = collections_of(&client).await?;
        Ok(Self { at, client, collections, _server: server })
    }

    /// Returns the collections that hold documents themselves.
    pub(super) fn stored(&self) -> impl Iterator<Item = (&String, &Collection)> {
        self.collections.iter().filter(|(_, it)| it.kind == "collection")
    }

    /// Returns the document with this id.
    pub(super) fn find(&self, ns: &str, id: &RawDocument) -> Option<&RawDocumentBuf> {
        let wanted = id_key(id);
        let collection = self.collections.get(ns)?;
        collection.documents.iter().find(|document| id_key(document) == wanted)
    }
}

/// Returns everything that a server holds now, except the server's own databases.
pub(super) async fn collections_of(client: &Client) -> Result<BTreeMap<String, Collection>> {
    let mut collections = BTreeMap::new();
    for database in client.list_database_names().await? {
        if is_of_users(&database) {
            read_database(client, &database, &mut collections).await?;
        }
    }
    Ok(collections)
}

async fn read_database(
    client: &Client,
    name: &str,
    collections: &mut BTreeMap<String, Collection>,
) -> Result<()> {
    let database = client.database(name);
    let list: Vec<RawDocumentBuf> = database
        .run_raw_cursor_command(rawdoc! {"listCollections": 1, "cursor": {"batchSize": 10_000}})
        .await?
        .with_type()
        .try_collect()
        .await?;
    for found in list {
        let (collection, kind) = (found.get_str("name")?, found.get_str("type")?);
        let options = found.get_document("options")?.to_owned();
        let uuid = found.get_document("info")?.get_binary("uuid");
        let uuid = uuid.ok().map(|uuid| uuid.bytes.to_vec());
        let (mut documents, mut indexes) = (Vec::new(), BTreeMap::new());
        if kind == "collection" {
            let all = database.collection::<RawDocumentBuf>(collection);
            let sorted = all.find(doc! {}).sort(doc! {"_id": 1}).collation(simple());
            documents = sorted.allow_disk_use(true).await?.try_collect().await?;
            let command = rawdoc! {"listIndexes": collection, "cursor": {"batchSize": 10_000}};
            let list = database.run_raw_cursor_command(command).await?;
            let list: Vec<RawDocumentBuf> = list.with_type().try_collect().await?;
            for index in list {
                indexes.insert(index.get_str("name")?.to_owned(), index);
            }
        }
        let held = Collection { kind: kind.to_owned(), options, uuid, indexes, documents };
        collections.insert(format!("{name}.{collection}"), held);
    }
    Ok(())
}

/// Returns `{_id: …}` of a document.
pub(super) fn id(document: &RawDocument) -> RawDocumentBuf {
    let id = document.get("_id").unwrap().unwrap();
    let mut only = RawDocumentBuf::new();
    only.append(cstr!("_id"), RawBson::from(id));
    only
}

/// Returns a key that is equal for values that the server takes for one id, such as 1 and 1.0.
pub(super) fn id_key(document: &RawDocument) -> Vec<u8> {
    let id = Doc::new(document.as_bytes()).unwrap().get(b"_id").unwrap().unwrap();
    let mut key = Vec::new();
    key_of::encode(id, &mut key);
    key
}

/// Returns canonical Extended JSON, made by the BSON library.
pub(super) fn canonical(document: &RawDocument) -> Result<Value> {
    let document = Document::try_from(document).context("a document")?;
    Ok(Bson::Document(document).into_canonical_extjson())
}

/// Returns the JSON of a document if the same bytes can be made from it, which is not so if a name
/// looks like a type.
pub(super) fn as_argument(document: &RawDocument) -> Option<String> {
    let json = canonical(document).ok()?;
    let text = json.to_string();
    let back = Bson::try_from(json).ok()?;
    let back = RawDocumentBuf::try_from(back.as_document()?).ok()?;
    (back.as_bytes() == document.as_bytes()).then_some(text)
}
