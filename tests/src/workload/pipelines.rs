//! Aggregations that write.

use bson::{Document, doc};
use rand::Rng;

use super::model::{Kind, Target};
use super::{Outcome, Worker};

impl Worker {
    /// Replaces a collection, or creates one, with a part of another, by way of a temporary
    /// collection.
    pub(super) async fn out(&mut self) -> Outcome {
        let Some(source) = self.any(Kind::Plain) else { return Ok(false) };
        let database = self.any_database();
        let existing =
            self.model.any(&mut self.random, Kind::Plain).filter(|_| self.random.random());
        let (database, name) = match existing {
            Some(at) if at != source => {
                let target = &self.model.targets[at];
                (target.database.clone(), target.name.clone())
            }
            _ => match self.model.new_name(&mut self.random, &database) {
                Some(name) => (database, name.to_owned()),
                None => return Ok(false),
            },
        };
        let stages = vec![self.some_documents(), doc! {"$out": {"db": &database, "coll": &name}}];
        self.aggregate(source, stages).await?;
        let mut target = Target::new(&database, &name, Kind::Plain);
        target.ids = self.model.targets[source].ids.clone();
        if let Some(at) = existing {
            target.indexes = self.model.targets[at].indexes.clone();
        }
        self.model.add(target);
        Ok(true)
    }

    /// Merges into an existing collection, in every way to treat documents that are already there.
    pub(super) async fn merge(&mut self) -> Outcome {
        let (Some(source), Some(into)) = (self.any(Kind::Plain), self.any(Kind::Plain)) else {
            return Ok(false);
        };
        let matched: bson::Bson = match self.random.random_range(0..4) {
            0 => "replace".into(),
            1 => "merge".into(),
            2 => "keepExisting".into(),
            _ => vec![doc! {"$set": {"merged": "$$new.n", "n": {"$add": ["$n", 1]}}}].into(),
        };
        let not_matched = if self.random.random_ratio(3, 4) { "insert" } else { "discard" };
        let target = &self.model.targets[into];
        let merge = doc! {
            "into": {"db": &target.database, "coll": &target.name},
            "whenMatched": matched,
            "whenNotMatched": not_matched,
        };
        let stages = vec![self.some_documents(), doc! {"$merge": merge}];
        self.aggregate(source, stages).await
    }

    fn some_documents(&mut self) -> Document {
        let from = self.random.random_range(0..1_000);
        doc! {"$match": {"n": {"$gte": from, "$lt": from + self.random.random_range(10..200)}}}
    }

    async fn aggregate(&self, source: usize, stages: Vec<Document>) -> Outcome {
        self.collection(source).aggregate(stages).await.map(|_| true)
    }
}
