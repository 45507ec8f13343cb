//! Operations that write documents.

use bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::action::Action;
use mongodb::error::Error;
use rand::Rng;

use super::model::Kind;
use super::updates::{self, Update};
use super::{Outcome, Worker, values};

impl Worker {
    pub(super) fn fields(&mut self) -> Document {
        values::fields(&mut self.random, self.version >= (5, 0))
    }

    /// Returns fields for a replacement: the server refuses operator-like names at its top level.
    pub(super) fn replacement(&mut self) -> Document {
        self.fields().into_iter().filter(|(name, _)| !name.starts_with('$')).collect()
    }

    /// Returns a document, mostly with `_id` first; the server moves a later `_id` to the front.
    pub(super) fn document(&mut self, id: Bson) -> Document {
        let fields = self.fields();
        if self.random.random_ratio(1, 20) {
            let (mut head, tail): (Vec<_>, Vec<_>) =
                fields.into_iter().enumerate().partition(|(at, _)| *at < 2);
            head.extend(tail);
            let mut document: Document = head.into_iter().map(|(_, field)| field).collect();
            document.insert("_id", id);
            return document;
        }
        let mut document = doc! {"_id": id};
        document.extend(fields);
        document
    }

    /// Returns an id that the collection has, sometimes in another spelling, or else any id.
    pub(super) fn known_id(&mut self, target: usize) -> Bson {
        let ids = &self.model.targets[target].ids;
        if ids.is_empty() || self.random.random_ratio(1, 25) {
            return values::id(&mut self.random);
        }
        let id = ids[self.random.random_range(0..ids.len())].clone();
        values::respelled(&mut self.random, &id)
    }

    fn remember(&mut self, target: usize, id: Bson) {
        self.model.targets[target].remember(&mut self.random, id);
    }

    fn forget(&mut self, target: usize, id: &Bson) {
        self.model.targets[target].ids.retain(|known| known != id);
    }

    pub(super) async fn insert_one(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let id = values::id(&mut self.random);
        let document = self.document(id.clone());
        self.collection(target).insert_one(document).await?;
        self.remember(target, id);
        Ok(true)
    }

    /// Inserts documents, ordered or not. Duplicates leave only a part of the statement done.
    pub(super) async fn insert_many(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let count = self.random.random_range(2..20);
        let ids: Vec<Bson> = (0..count).map(|_| values::id(&mut self.random)).collect();
        let documents: Vec<Document> = ids.iter().map(|id| self.document(id.clone())).collect();
        let ordered = self.random.random();
        let inserted = self.collection(target).insert_many(documents).ordered(ordered).await;
        ids.into_iter().for_each(|id| self.remember(target, id));
        inserted.map(|_| true)
    }

    /// Inserts enough documents for the oldest to be removed.
    pub(super) async fn insert_capped(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Capped) else { return Ok(false) };
        let count = self.random.random_range(1..30);
        let documents: Vec<Document> = (0..count)
            .map(|_| {
                let id = values::object_id(&mut self.random);
                self.document(id.into())
            })
            .collect();
        self.collection(target).insert_many(documents).await.map(|_| true)
    }

    /// Inserts many measurements for each bucket, mostly in the order of time.
    pub(super) async fn insert_measurements(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::TimeSeries) else { return Ok(false) };
        let mut measurements = Vec::new();
        for _ in 0..self.random.random_range(1..60) {
            self.seconds += self.random.random_range(0..40);
            let late = if self.random.random_ratio(1, 20) { 7_200 } else { 0 };
            measurements.push(values::measurement(&mut self.random, self.seconds + 7_200 - late));
        }
        self.collection(target).insert_many(measurements).await.map(|_| true)
    }

    /// Deletes measurements by the field that groups them, because no other filter is possible
    /// before 7.0.
    pub(super) async fn delete_measurements(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::TimeSeries) else { return Ok(false) };
        let host = format!("h{}", self.random.random_range(0..4));
        self.collection(target).delete_many(doc! {"meta.host": host}).await.map(|_| true)
    }

    pub(super) async fn update_one(&mut self) -> Outcome {
        let update = updates::operators(&mut self.random);
        self.update_known(update).await
    }

    pub(super) async fn update_pipeline(&mut self) -> Outcome {
        let update = updates::pipeline(&mut self.random, self.version);
        self.update_known(update).await
    }

    async fn update_known(&mut self, update: Update) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let mut filter = doc! {"_id": self.known_id(target)};
        filter.extend(update.condition);
        let collection = self.collection(target);
        let statement = collection.update_one(filter, update.change);
        statement
            .optional(update.array_filters, |s, filters| s.array_filters(filters))
            .await
            .map(|_| true)
    }

    /// Such an update is not retryable, so its entries carry no statement ids.
    pub(super) async fn update_many(&mut self) -> Outcome {
        let update = updates::operators(&mut self.random);
        self.update_range(update).await
    }

    pub(super) async fn update_many_pipeline(&mut self) -> Outcome {
        let update = updates::pipeline(&mut self.random, self.version);
        self.update_range(update).await
    }

    async fn update_range(&mut self, update: Update) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let mut filter = self.range_of_documents(40);
        filter.extend(update.condition);
        let collection = self.collection(target);
        let statement = collection.update_many(filter, update.change);
        statement
            .optional(update.array_filters, |s, filters| s.array_filters(filters))
            .await
            .map(|_| true)
    }

    /// Returns a filter for about `width` thousandths of a collection.
    fn range_of_documents(&mut self, width: i32) -> Document {
        let from = self.random.random_range(0..1_000);
        doc! {"n": {"$gte": from, "$lt": from + width}}
    }

    pub(super) async fn upsert(&mut self) -> Outcome {
        let update = updates::operators(&mut self.random);
        self.upsert_with(update).await
    }

    pub(super) async fn upsert_pipeline(&mut self) -> Outcome {
        let update = updates::pipeline(&mut self.random, self.version);
        self.upsert_with(update).await
    }

    async fn upsert_with(&mut self, update: Update) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let id = values::id(&mut self.random);
        let mut filter = doc! {"_id": id.clone(), "d.x": 5};
        // Without this condition, the filter finds the document if there is one.
        if self.random.random() {
            filter.remove("d.x");
        }
        filter.extend(update.condition);
        let collection = self.collection(target);
        let statement = collection.update_one(filter, update.change).upsert(true);
        statement.optional(update.array_filters, |s, filters| s.array_filters(filters)).await?;
        self.remember(target, id);
        Ok(true)
    }

    pub(super) async fn replace(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let (id, fields) = (self.known_id(target), self.replacement());
        self.collection(target).replace_one(doc! {"_id": id}, fields).await.map(|_| true)
    }

    pub(super) async fn replace_upsert(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let (id, fields) = (values::id(&mut self.random), self.replacement());
        self.collection(target).replace_one(doc! {"_id": id.clone()}, fields).upsert(true).await?;
        self.remember(target, id);
        Ok(true)
    }

    pub(super) async fn delete_one(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let id = self.known_id(target);
        self.collection(target).delete_one(doc! {"_id": id.clone()}).await?;
        self.forget(target, &id);
        Ok(true)
    }

    pub(super) async fn delete_many(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let filter = self.range_of_documents(60);
        self.collection(target).delete_many(filter).await.map(|_| true)
    }

    /// Deletes a document, and inserts the same id again, possibly as another type.
    pub(super) async fn delete_and_insert(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let id = self.known_id(target);
        self.collection(target).delete_one(doc! {"_id": id.clone()}).await?;
        self.forget(target, &id);
        let id = values::respelled(&mut self.random, &id);
        let document = self.document(id.clone());
        self.collection(target).insert_one(document).await?;
        self.remember(target, id);
        Ok(true)
    }

    pub(super) async fn find_and_update(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let update = if self.random.random() {
            updates::operators(&mut self.random)
        } else {
            updates::pipeline(&mut self.random, self.version)
        };
        let mut filter = doc! {"_id": self.known_id(target)};
        filter.extend(update.condition);
        let after = if self.random.random() {
            mongodb::options::ReturnDocument::After
        } else {
            mongodb::options::ReturnDocument::Before
        };
        let collection = self.raw_collection(target);
        let statement =
            collection.find_one_and_update(filter, update.change).return_document(after);
        statement
            .optional(update.array_filters, |s, filters| s.array_filters(filters))
            .await
            .map(|_| true)
    }

    pub(super) async fn find_and_replace(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let (id, fields) = (self.known_id(target), self.replacement());
        let fields = RawDocumentBuf::try_from(&fields)?;
        let collection = self.raw_collection(target);
        collection.find_one_and_replace(doc! {"_id": id}, fields).await.map(|_| true)
    }

    pub(super) async fn find_and_delete(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let id = self.known_id(target);
        self.raw_collection(target).find_one_and_delete(doc! {"_id": id.clone()}).await?;
        self.forget(target, &id);
        Ok(true)
    }

    /// Writes without a session or a transaction number, as old clients and tools do.
    pub(super) async fn bulk_command(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let deletes: Vec<Document> = (0..self.random.random_range(1..5))
            .map(|_| doc! {"q": {"_id": self.known_id(target)}, "limit": 1})
            .collect();
        let inserts: Vec<Document> = (0..self.random.random_range(1..5))
            .map(|_| {
                let id = values::id(&mut self.random);
                self.document(id)
            })
            .collect();
        let (database, name) =
            (self.collection_database(target), self.collection(target).name().to_owned());
        let delete = doc! {"delete": &name, "deletes": deletes, "ordered": false};
        refuse_write_errors(&database.run_command(delete).await?)?;
        let insert = doc! {"insert": &name, "documents": inserts, "ordered": false};
        refuse_write_errors(&database.run_command(insert).await?)?;
        Ok(true)
    }

    pub(super) fn collection_database(&self, target: usize) -> mongodb::Database {
        self.database(&self.model.targets[target].database)
    }
}

/// Turns write errors into an error, because a command returns them inside a successful answer.
fn refuse_write_errors(answer: &Document) -> mongodb::error::Result<()> {
    match answer.get_array("writeErrors") {
        Ok(errors) if !errors.is_empty() => Err(Error::custom(Refused(errors[0].to_string()))),
        _ => Ok(()),
    }
}

/// A write error in a command's answer.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);
