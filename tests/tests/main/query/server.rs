//! Asks the server, and returns its answers as bytes.

use anyhow::Result;
use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use futures_util::TryStreamExt;
use hindsight_tests::mongod::server_version;
use mongodb::error::ErrorKind;
use mongodb::options::Hint;
use mongodb::{Client, Database, IndexModel};

const COLLECTION: &str = "c";

pub(super) struct Server {
    database: Database,
    pub(super) version: (i32, i32),
}

pub(super) enum Answer {
    Documents(Vec<RawDocumentBuf>),
    Refused(String),
}

impl Server {
    pub(super) async fn new(client: &Client) -> Result<Self> {
        let version = server_version(client).await?;
        Ok(Self { database: client.database("query"), version })
    }

    /// Replaces the documents of the collection, and returns what the server then holds.
    pub(super) async fn replace(&self, documents: &[Document]) -> Result<Vec<RawDocumentBuf>> {
        let collection = self.database.collection::<Document>(COLLECTION);
        collection.drop().await?;
        collection.insert_many(documents).await?;
        let all = self.database.collection::<RawDocumentBuf>(COLLECTION).find(doc! {}).await?;
        Ok(all.try_collect().await?)
    }

    /// Finds documents with a command, so that a projection and a filter reach the server
    /// unchanged.
    pub(super) async fn find(
        &self,
        filter: &RawDocumentBuf,
        projection: &RawDocumentBuf,
    ) -> Result<Answer> {
        let command = rawdoc! {
            "find": COLLECTION,
            "filter": filter.clone(),
            "projection": projection.clone(),
            "hint": {"$natural": 1},
            "batchSize": 10_000,
        };
        let cursor = match self.database.run_raw_cursor_command(command).await {
            Ok(cursor) => cursor.with_type::<RawDocumentBuf>(),
            Err(error) => {
                return match *error.kind {
                    ErrorKind::Command(refusal) => Ok(Answer::Refused(refusal.message)),
                    _ => Err(error.into()),
                };
            }
        };
        Ok(Answer::Documents(cursor.try_collect().await?))
    }

    /// Returns values in the order of an index. A sort in memory treats pointers with the same
    /// object id as equal, unlike an index and unlike a filter.
    pub(super) async fn sorted(&self, values: &[Bson]) -> Result<Vec<RawDocumentBuf>> {
        let collection = self.database.collection::<Document>("order");
        collection.drop().await?;
        let document = |(number, value): (usize, &Bson)| {
            doc! {"_id": i32::try_from(number).unwrap(), "v": value}
        };
        collection.insert_many(values.iter().enumerate().map(document)).await?;
        let keys = doc! {"v": 1, "_id": 1};
        collection.create_index(IndexModel::builder().keys(keys.clone()).build()).await?;
        let sorted = self.database.collection::<RawDocumentBuf>("order");
        let sorted = sorted.find(doc! {}).sort(keys.clone()).hint(Hint::Keys(keys)).await?;
        Ok(sorted.try_collect().await?)
    }
}
