//! What the workload believes to exist, so that most operations find something to work on. The
//! server decides: an operation that it refuses is counted as refused, and changes nothing here.

use bson::Bson;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// The most ids that are remembered for a collection.
const IDS_KEPT: usize = 400;
/// The names of collections. They are used again after a drop, so that only UUIDs distinguish the
/// old collection from the new one.
const NAMES: [&str; 14] = [
    "c0",
    "c1",
    "c2",
    "c3",
    "c4",
    "c5",
    "c6",
    "c7",
    "dotted.name",
    "with space",
    "日本",
    "Upper",
    "x-1",
    "_u",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Capped,
    TimeSeries,
    View,
}

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) database: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) ids: Vec<Bson>,
    pub(super) indexes: Vec<String>,
}

impl Target {
    pub(super) fn new(database: &str, name: &str, kind: Kind) -> Self {
        let (database, name) = (database.to_owned(), name.to_owned());
        Self { database, name, kind, ids: Vec::new(), indexes: Vec::new() }
    }

    pub(super) fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    pub(super) fn remember(&mut self, random: &mut StdRng, id: Bson) {
        if self.ids.len() < IDS_KEPT {
            self.ids.push(id);
        } else {
            let at = random.random_range(0..IDS_KEPT);
            self.ids[at] = id;
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) targets: Vec<Target>,
}

impl Model {
    /// Returns the position of any collection of a kind.
    pub(super) fn any(&self, random: &mut StdRng, kind: Kind) -> Option<usize> {
        let fitting: Vec<usize> =
            (0..self.targets.len()).filter(|at| self.targets[*at].kind == kind).collect();
        fitting.choose(random).copied()
    }

    pub(super) fn count(&self, database: &str) -> usize {
        self.targets.iter().filter(|target| target.database == database).count()
    }

    /// Returns a name that is free in this database, as far as the model knows.
    pub(super) fn new_name(&self, random: &mut StdRng, database: &str) -> Option<&'static str> {
        let taken =
            |name: &str| self.targets.iter().any(|t| t.database == database && t.name == name);
        let free: Vec<&'static str> = NAMES.into_iter().filter(|name| !taken(name)).collect();
        free.choose(random).copied()
    }

    pub(super) fn add(&mut self, target: Target) {
        self.remove(&target.database, &target.name);
        self.targets.push(target);
    }

    pub(super) fn remove(&mut self, database: &str, name: &str) {
        self.targets.retain(|t| !(t.database == database && t.name == name));
    }

    pub(super) fn remove_database(&mut self, database: &str) {
        self.targets.retain(|target| target.database != database);
    }
}
