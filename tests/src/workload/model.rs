//! What the workload believes to exist, so that most of its operations find something to do. The
//! server knows better: an operation that it refuses is counted as such and changes nothing here.

use bson::Bson;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Ids that are remembered for a collection.
const IDS_KEPT: usize = 400;
/// Names are used again after a drop: only UUIDs tell the old collection from the new one.
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
    /// Any collection of a kind, by position.
    pub(super) fn any(&self, random: &mut StdRng, kind: Kind) -> Option<usize> {
        let fitting: Vec<usize> =
            (0..self.targets.len()).filter(|at| self.targets[*at].kind == kind).collect();
        fitting.choose(random).copied()
    }

    pub(super) fn count(&self, database: &str) -> usize {
        self.targets.iter().filter(|target| target.database == database).count()
    }

    /// A name that nothing has in this database, as far as we know.
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
