//! Operations that build, change and drop indexes.

use bson::{Document, doc};
use rand::Rng;

use super::model::Kind;
use super::{Outcome, Worker};

/// Many years, so that no document ever expires.
const FAR_SECONDS: i32 = 1_000_000_000;

const INDEX_KINDS: usize = 15;

impl Worker {
    pub(super) async fn create_index(&mut self) -> Outcome {
        self.create_some_indexes(1).await
    }

    pub(super) async fn create_indexes(&mut self) -> Outcome {
        self.create_some_indexes(3).await
    }

    async fn create_some_indexes(&mut self, count: usize) -> Outcome {
        let Some(target) = self.any(Kind::Plain) else { return Ok(false) };
        // The server refuses two equal indexes in one command.
        let first = self.random.random_range(0..INDEX_KINDS);
        let kinds = (0..count).map(|i| (first + 4 * i) % INDEX_KINDS);
        let indexes: Vec<Document> = kinds.map(|kind| self.index(kind)).collect();
        let names: Vec<String> =
            indexes.iter().filter_map(|i| i.get_str("name").ok()).map(str::to_owned).collect();
        let command = doc! {"createIndexes": &self.model.targets[target].name, "indexes": indexes};
        self.collection_database(target).run_command(command).await?;
        self.model.targets[target].indexes.extend(names);
        Ok(true)
    }

    /// Creates the collection, too.
    pub(super) async fn create_index_on_missing(&mut self) -> Outcome {
        let database = self.any_database();
        let Some(name) = self.model.new_name(&mut self.random, &database) else { return Ok(false) };
        let command = doc! {"createIndexes": name, "indexes": [self.index(0)]};
        self.database(&database).run_command(command).await?;
        self.model.add(super::model::Target::new(&database, name, Kind::Plain));
        Ok(true)
    }

    /// Returns an index of a kind below [`INDEX_KINDS`]. Its name begins with the type, for later
    /// use.
    fn index(&mut self, kind: usize) -> Document {
        let (name, mut index) = match kind {
            0 => ("unique", doc! {"key": {"u": 1}, "unique": true, "sparse": true}),
            1 => ("sparse", doc! {"key": {"f0": 1, "d.x": -1}, "sparse": true}),
            2 => {
                ("partial", doc! {"key": {"n": -1}, "partialFilterExpression": {"n": {"$gt": 500}}})
            }
            3 | 4 => ("ttl", doc! {"key": {"w": 1}, "expireAfterSeconds": FAR_SECONDS}),
            5 => ("text", doc! {"key": {"s": "text", "d.y": "text"}, "weights": {"s": 3}}),
            6 => ("sphere", doc! {"key": {"geo": "2dsphere"}}),
            7 => ("wildcard", doc! {"key": {"$**": 1}}),
            8 => {
                ("wildcard_part", doc! {"key": {"$**": 1}, "wildcardProjection": {"d": 1, "f1": 1}})
            }
            9 => ("hashed", doc! {"key": {"n": "hashed"}}),
            10 => {
                ("collated", doc! {"key": {"s": 1}, "collation": {"locale": "de", "strength": 1}})
            }
            11 => ("hidden", doc! {"key": {"s": 1, "n": 1}, "hidden": true}),
            12 => ("multikey", doc! {"key": {"a": 1, "n": 1}}),
            13 => ("unique_number", doc! {"key": {"n": 1}, "unique": true}),
            _ => ("descending", doc! {"key": {"d.x": -1, "l.k": 1}}),
        };
        let n = self.random.random_range(0..4);
        index.insert("name", format!("{name}_{n}"));
        index
    }

    pub(super) async fn drop_index(&mut self) -> Outcome {
        let Some((target, name)) = self.any_index("") else { return Ok(false) };
        let command = doc! {"dropIndexes": &self.model.targets[target].name, "index": &name};
        self.collection_database(target).run_command(command).await?;
        self.model.targets[target].indexes.retain(|known| *known != name);
        Ok(true)
    }

    pub(super) async fn drop_all_indexes(&mut self) -> Outcome {
        let Some((target, _)) = self.any_index("") else { return Ok(false) };
        let command = doc! {"dropIndexes": &self.model.targets[target].name, "index": "*"};
        self.collection_database(target).run_command(command).await?;
        self.model.targets[target].indexes.clear();
        Ok(true)
    }

    pub(super) async fn collmod_hidden(&mut self) -> Outcome {
        let Some((target, name)) = self.any_index("") else { return Ok(false) };
        let change = doc! {"name": name, "hidden": self.random.random::<bool>()};
        self.change_index(target, change).await
    }

    pub(super) async fn collmod_ttl(&mut self) -> Outcome {
        let Some((target, name)) = self.any_index("ttl") else { return Ok(false) };
        let seconds = FAR_SECONDS + self.random.random_range(1..1_000);
        self.change_index(target, doc! {"name": name, "expireAfterSeconds": seconds}).await
    }

    async fn change_index(&mut self, target: usize, change: Document) -> Outcome {
        let command = doc! {"collMod": &self.model.targets[target].name, "index": change};
        self.collection_database(target).run_command(command).await.map(|_| true)
    }

    /// Returns any index whose name starts with `prefix`.
    fn any_index(&mut self, prefix: &str) -> Option<(usize, String)> {
        let mut all = Vec::new();
        for (at, target) in self.model.targets.iter().enumerate() {
            let fitting = target.indexes.iter().filter(|name| name.starts_with(prefix));
            all.extend(fitting.map(|name| (at, name.clone())));
        }
        if all.is_empty() {
            None
        } else {
            Some(all.swap_remove(self.random.random_range(0..all.len())))
        }
    }
}
