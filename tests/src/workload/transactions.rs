//! Multi-document transactions.

use bson::{Bson, doc};
use mongodb::ClientSession;
use rand::Rng;

use super::model::{Kind, Target};
use super::{Outcome, Worker, updates, values};

/// The documents of a big transaction. Four of them need more than one oplog entry of 16 MB.
const BIG_DOCUMENTS: usize = 4;
const BIG_DOCUMENT_BYTES: usize = 5 << 20;
const BIG_COLLECTION: &str = "big";

impl Worker {
    pub(super) async fn transaction(&mut self) -> Outcome {
        self.run_transaction(true).await
    }

    pub(super) async fn transaction_abort(&mut self) -> Outcome {
        self.run_transaction(false).await
    }

    async fn run_transaction(&mut self, commit: bool) -> Outcome {
        if self.any(Kind::Plain).is_none() {
            return Ok(false);
        }
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        let body = self.statements(&mut session).await;
        match body {
            Ok(written) if commit => {
                session.commit_transaction().await?;
                for (target, id) in written {
                    self.model.targets[target].remember(&mut self.random, id);
                }
                Ok(true)
            }
            Ok(_) => session.abort_transaction().await.map(|()| true),
            Err(error) => {
                // The server has already aborted the transaction, if it can.
                let _ = session.abort_transaction().await;
                Err(error)
            }
        }
    }

    /// Runs one to twelve statements over several collections and databases.
    async fn statements(
        &mut self,
        session: &mut ClientSession,
    ) -> mongodb::error::Result<Vec<(usize, Bson)>> {
        let mut written = Vec::new();
        for _ in 0..self.random.random_range(1..=12) {
            let Some(target) = self.any(Kind::Plain) else { break };
            let collection = self.collection(target);
            let known = self.known_id(target);
            match self.random.random_range(0..10) {
                0..5 => {
                    let id: Bson = values::object_id(&mut self.random).into();
                    let document = self.document(id.clone());
                    collection.insert_one(document).session(&mut *session).await?;
                    written.push((target, id));
                }
                5..8 => {
                    let update = updates::pipeline(&mut self.random, self.version);
                    collection
                        .update_one(doc! {"_id": known}, update.change)
                        .session(&mut *session)
                        .await?;
                }
                8 => {
                    let fields = self.replacement();
                    collection
                        .replace_one(doc! {"_id": known}, fields)
                        .session(&mut *session)
                        .await?;
                }
                _ => {
                    collection.delete_one(doc! {"_id": known}).session(&mut *session).await?;
                }
            }
        }
        Ok(written)
    }

    /// Creates a collection, and sometimes an index, inside a transaction.
    pub(super) async fn transaction_with_create(&mut self) -> Outcome {
        let database = self.any_database();
        let Some(name) = self.model.new_name(&mut self.random, &database) else { return Ok(false) };
        let id: Bson = values::object_id(&mut self.random).into();
        let document = self.document(id.clone());
        let handle = self.database(&database);
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        let explicit: bool = self.random.random();
        let body = async {
            if explicit {
                handle.create_collection(name).session(&mut session).await?;
                let index = doc! {"createIndexes": name, "indexes": [{"key": {"n": 1}, "name": "in_transaction"}]};
                handle.run_command(index).session(&mut session).await?;
            }
            handle.collection(name).insert_one(document).session(&mut session).await
        };
        if let Err(error) = body.await {
            let _ = session.abort_transaction().await;
            return Err(error);
        }
        session.commit_transaction().await?;
        let mut target = Target::new(&database, name, Kind::Plain);
        target.ids.push(id);
        self.model.add(target);
        Ok(true)
    }

    /// Writes more than 16 MB in one transaction, which makes several oplog entries. First deletes
    /// the documents of the previous big transaction.
    pub(super) async fn big_transaction(&mut self) -> Outcome {
        let collection = self.database(&self.databases[0]).collection(BIG_COLLECTION);
        collection.delete_many(doc! {}).await?;
        // Outside the transaction, because creating the collection inside would change what is
        // tested.
        collection.insert_one(doc! {"_id": "small"}).await?;
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        for _ in 0..BIG_DOCUMENTS {
            let mut document = doc! {"_id": values::id(&mut self.random)};
            let letter = self.random.random_range(b'a'..=b'z') as char;
            document.insert("filler", letter.to_string().repeat(BIG_DOCUMENT_BYTES));
            document.insert("n", self.random.random_range(0..1_000));
            if let Err(error) = collection.insert_one(document).session(&mut session).await {
                let _ = session.abort_transaction().await;
                return Err(error);
            }
        }
        collection
            .update_one(doc! {"_id": "small"}, doc! {"$inc": {"n": 1}})
            .session(&mut session)
            .await?;
        session.commit_transaction().await.map(|()| true)
    }
}
