//! Operations that create, change, rename and drop collections and databases.

use bson::{Document, doc};
use rand::Rng;

use super::model::{Kind, Target};
use super::values::one_of;
use super::{Outcome, Worker};

/// A database with more collections than this gets no new one by plain `create`.
const COLLECTIONS_WANTED: usize = 7;

impl Worker {
    pub(super) async fn create(&mut self) -> Outcome {
        self.create_with(Kind::Plain, doc! {}).await
    }

    pub(super) async fn create_validated(&mut self) -> Outcome {
        let options = doc! {
            "validator": self.validator(),
            "validationLevel": one_of(&mut self.random, &["strict", "moderate"]),
            "validationAction": one_of(&mut self.random, &["error", "warn"]),
        };
        self.create_with(Kind::Plain, options).await
    }

    /// In such a collection, string ids that differ only in case can be the same id.
    pub(super) async fn create_collated(&mut self) -> Outcome {
        let collation = match self.random.random_range(0..3) {
            0 => doc! {"locale": "en", "strength": 2},
            1 => doc! {"locale": "fr", "strength": 1, "numericOrdering": true},
            _ => doc! {"locale": "en_US", "caseLevel": true, "strength": 1},
        };
        self.create_with(Kind::Plain, doc! {"collation": collation}).await
    }

    pub(super) async fn create_capped(&mut self) -> Outcome {
        let mut options = doc! {"capped": true, "size": self.random.random_range(20_000..200_000)};
        if self.random.random() {
            options.insert("max", self.random.random_range(5..100));
        }
        self.create_with(Kind::Capped, options).await
    }

    pub(super) async fn create_clustered(&mut self) -> Outcome {
        let index = doc! {"key": {"_id": 1}, "unique": true, "name": "clustered by id"};
        self.create_with(Kind::Plain, doc! {"clusteredIndex": index}).await
    }

    pub(super) async fn create_timeseries(&mut self) -> Outcome {
        let granularity = one_of(&mut self.random, &["seconds", "minutes"]);
        let series = doc! {"timeField": "t", "metaField": "meta", "granularity": granularity};
        let mut options = doc! {"timeseries": series};
        if self.random.random() {
            options.insert("expireAfterSeconds", 1_000_000_000_i64);
        }
        self.create_with(Kind::TimeSeries, options).await
    }

    pub(super) async fn create_view(&mut self) -> Outcome {
        let Some(source) = self.any(Kind::Plain) else { return Ok(false) };
        let (database, source) = {
            let target = &self.model.targets[source];
            (target.database.clone(), target.name.clone())
        };
        let Some(name) = self.model.new_name(&mut self.random, &database) else { return Ok(false) };
        let view = doc! {"create": name, "viewOn": source, "pipeline": [self.view_stage()]};
        self.database(&database).run_command(view).await?;
        self.model.add(Target::new(&database, name, Kind::View));
        Ok(true)
    }

    fn view_stage(&mut self) -> Document {
        doc! {"$match": {"n": {"$gt": self.random.random_range(0..1_000)}}}
    }

    async fn create_with(&mut self, kind: Kind, options: Document) -> Outcome {
        let database = self.any_database();
        let crowded = self.model.count(&database) > COLLECTIONS_WANTED;
        let Some(name) = self.model.new_name(&mut self.random, &database).filter(|_| !crowded)
        else {
            return Ok(false);
        };
        let mut command = doc! {"create": name};
        command.extend(options);
        self.database(&database).run_command(command).await?;
        self.model.add(Target::new(&database, name, kind));
        Ok(true)
    }

    fn validator(&mut self) -> Document {
        match self.random.random_range(0..3) {
            0 => doc! {"n": {"$type": "number"}},
            1 => {
                doc! {"$jsonSchema": {"required": ["n"], "properties": {"n": {"bsonType": "number"}}}}
            }
            _ => doc! {"$or": [{"s": {"$exists": true}}, {"n": {"$gt": 0}}]},
        }
    }

    pub(super) async fn drop(&mut self) -> Outcome {
        let kinds = [Kind::Plain, Kind::Plain, Kind::Capped, Kind::TimeSeries];
        let kind = one_of(&mut self.random, &kinds);
        self.drop_any(kind).await
    }

    pub(super) async fn drop_view(&mut self) -> Outcome {
        self.drop_any(Kind::View).await
    }

    async fn drop_any(&mut self, kind: Kind) -> Outcome {
        let Some(target) = self.any(kind) else { return Ok(false) };
        self.collection(target).drop().await?;
        self.model.targets.swap_remove(target);
        Ok(true)
    }

    pub(super) async fn drop_database(&mut self) -> Outcome {
        let database = self.any_database();
        if self.model.count(&database) == 0 {
            return Ok(false);
        }
        self.database(&database).drop().await?;
        self.model.remove_database(&database);
        Ok(true)
    }

    pub(super) async fn rename(&mut self) -> Outcome {
        let Some(source) = self.renamable() else { return Ok(false) };
        let database = self.model.targets[source].database.clone();
        let Some(name) = self.model.new_name(&mut self.random, &database) else { return Ok(false) };
        self.rename_to(source, &database, name, false).await
    }

    pub(super) async fn rename_drop_target(&mut self) -> Outcome {
        let (Some(source), Some(over)) = (self.renamable(), self.renamable()) else {
            return Ok(false);
        };
        let over = self.model.targets[over].clone();
        let from = &self.model.targets[source];
        if from.database != over.database || from.name == over.name {
            return Ok(false);
        }
        self.rename_to(source, &over.database, &over.name, true).await
    }

    /// The server copies the collection under a temporary name, renames the copy, and drops the
    /// source.
    pub(super) async fn rename_across_databases(&mut self) -> Outcome {
        let Some(source) = self.renamable() else { return Ok(false) };
        let from = self.model.targets[source].database.clone();
        let Some(to) = self.databases.iter().find(|database| **database != from).cloned() else {
            return Ok(false);
        };
        let over = self.model.targets.iter().find(|t| t.database == to && t.kind == Kind::Plain);
        match over.map(|target| target.name.clone()).filter(|_| self.random.random()) {
            Some(name) => self.rename_to(source, &to, &name, true).await,
            None => match self.model.new_name(&mut self.random, &to) {
                Some(name) => self.rename_to(source, &to, name, false).await,
                None => Ok(false),
            },
        }
    }

    fn renamable(&mut self) -> Option<usize> {
        let kind = if self.random.random_ratio(1, 6) { Kind::Capped } else { Kind::Plain };
        self.any(kind)
    }

    async fn rename_to(
        &mut self,
        source: usize,
        database: &str,
        name: &str,
        drop_target: bool,
    ) -> Outcome {
        let mut target = self.model.targets[source].clone();
        let command = doc! {
            "renameCollection": target.namespace(),
            "to": format!("{database}.{name}"),
            "dropTarget": drop_target,
        };
        self.database("admin").run_command(command).await?;
        self.model.remove(&target.database, &target.name);
        target.database = database.to_owned();
        target.name = name.to_owned();
        self.model.add(target);
        Ok(true)
    }

    pub(super) async fn convert_to_capped(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let size = self.random.random_range(20_000..200_000);
        let command = doc! {"convertToCapped": &self.model.targets[target].name, "size": size};
        self.collection_database(target).run_command(command).await?;
        self.model.targets[target].kind = Kind::Capped;
        // The collection keeps no index except that on `_id`.
        self.model.targets[target].indexes.clear();
        Ok(true)
    }

    pub(super) async fn collmod_validator(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        let validator = if self.random.random_ratio(1, 3) {
            doc! {}
        } else {
            self.validator()
        };
        let command = doc! {
            "collMod": &self.model.targets[target].name,
            "validator": validator,
            "validationLevel": one_of(&mut self.random, &["off", "strict", "moderate"]),
        };
        self.collection_database(target).run_command(command).await.map(|_| true)
    }

    pub(super) async fn collmod_view(&mut self) -> Outcome {
        let (Some(view), Some(source)) = (self.any(Kind::View), self.any(Kind::Plain)) else {
            return Ok(false);
        };
        let source = self.model.targets[source].name.clone();
        let command = doc! {
            "collMod": &self.model.targets[view].name,
            "viewOn": source,
            "pipeline": [self.view_stage()],
        };
        self.collection_database(view).run_command(command).await.map(|_| true)
    }

    pub(super) async fn collmod_timeseries(&mut self) -> Outcome {
        let Some(target) = self.any(Kind::TimeSeries) else { return Ok(false) };
        let change = if self.random.random() {
            doc! {"expireAfterSeconds": 1_000_000_000_i64 + self.random.random_range(1..9)}
        } else {
            doc! {"timeseries": {"granularity": "minutes"}}
        };
        let mut command = doc! {"collMod": &self.model.targets[target].name};
        command.extend(change);
        self.collection_database(target).run_command(command).await.map(|_| true)
    }
}
