//! States as files: the name of each state, the servers on which it exists, and the commands that
//! make it.
//!
//! A file holds the states of one kind, as JSON. `options`, `documents` and `indexes` are short for
//! the three commands that make a collection `c`. `make` has further steps, and `later` has steps
//! that are taken after the base was copied, on the copy of the state that the base holds. See
//! [`super::make`] for steps and [`super::values`] for values.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::servers_own::Pair;

/// The kinds, and the files of their states.
const FILES: [(&str, &str); 8] = [
    ("indexes", include_str!("indexes.json")),
    ("collections", include_str!("collections.json")),
    ("documents", include_str!("documents.json")),
    ("ddl", include_str!("ddl.json")),
    ("accounts", include_str!("accounts.json")),
    ("timeseries", include_str!("timeseries.json")),
    ("transactions", include_str!("transactions.json")),
    ("apply_ops", include_str!("apply_ops.json")),
];
/// The documents of a state that has indexes and names no documents itself.
const STANDARD: &str = include_str!("standard.json");

/// One state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    name: String,
    #[serde(skip)]
    kind: String,
    /// The first version that takes the recipe, such as `5.0`; `until` is the last one, such as
    /// `6.0.5`.
    #[serde(default = "oldest")]
    from: String,
    until: Option<String>,
    /// The options that `create` of the collection `c` gets.
    options: Option<Value>,
    documents: Option<Value>,
    indexes: Option<Value>,
    #[serde(default)]
    make: Vec<Value>,
    #[serde(default)]
    pub later: Vec<Value>,
    /// Commands whose answers must be the same on the source and on the target.
    #[serde(default)]
    pub ask: Vec<Value>,
    pub refused: Option<Refusal>,
    /// True if a server of the next version does not open files that hold the state.
    #[serde(default)]
    blocks_upgrades: bool,
}

/// What a target cannot hold, and what the plan must say about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    /// The first version that cannot hold the state; `before` is the first later version that can.
    from: String,
    before: Option<String>,
    /// The newest version that makes such a state, where a later version makes something else from
    /// the same recipe.
    made_by: Option<String>,
    /// The newest version of the source, where a newer source lists the state differently.
    listed_by: Option<String>,
    /// The source's feature compatibility version from which on the target cannot hold the state.
    feature_version: Option<String>,
    /// The collection that the plan names.
    #[serde(rename = "in")]
    pub collection: String,
    /// Words that the plan must say, such as the option or the index.
    pub words: Vec<String>,
}

fn oldest() -> String {
    "4.4".to_owned()
}

/// A copy of a state, by the time when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Made before the base, so the base holds it.
    Base,
    /// Made after the base, so the log holds it.
    Log,
}

impl State {
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.kind, self.name)
    }

    /// Returns whether newer servers find more than documents of the state when they open the files
    /// of an older server.
    pub(super) fn is_left_behind(&self) -> bool {
        let is_catalog = !["documents", "transactions", "apply_ops"].contains(&self.kind.as_str());
        is_catalog && !self.blocks_upgrades
    }

    /// Returns the database of one copy. The names of other databases that the commands use begin
    /// with the same name.
    pub(super) fn database(&self, side: Side) -> String {
        let side = if side == Side::Base { "b" } else { "l" };
        format!("{side}_{}_{}", &self.kind[..3], self.name)
    }

    /// Returns whether a server takes the recipe.
    pub(super) fn exists_on(&self, version: &str) -> bool {
        at_least(version, &self.from)
            && self.until.as_ref().is_none_or(|until| at_most(version, until))
    }

    /// Returns what the plan of a restore must say, if the target cannot hold the state.
    pub(super) fn refusal(&self, pair: &Pair<'_>) -> Option<&Refusal> {
        let fits = |bound: &Option<String>, test: fn(&str, &str) -> bool, version: &str| {
            bound.as_ref().is_none_or(|bound| test(version, bound))
        };
        self.refused.as_ref().filter(|refused| {
            at_least(pair.target, &refused.from)
                && fits(&refused.before, |version, bound| !at_least(version, bound), pair.target)
                && fits(&refused.made_by, at_most, pair.source)
                && fits(&refused.listed_by, at_most, pair.last)
                && fits(&refused.feature_version, at_least, pair.feature_version)
        })
    }

    /// Returns all steps that make the state.
    pub(super) fn steps(&self) -> Result<Vec<Value>> {
        let mut steps = Vec::new();
        if let Some(options) = &self.options {
            let mut create = json!({"create": "c"});
            let fields = create.as_object_mut().context("an object")?;
            fields.extend(options.as_object().context("options are an object")?.clone());
            steps.push(create);
        }
        let standard = || self.indexes.as_ref().map(|_| serde_json::from_str(STANDARD));
        let documents = self.documents.clone().map(Ok).or_else(standard).transpose()?;
        match documents {
            Some(Value::Array(none)) if none.is_empty() => {}
            Some(documents) => steps.push(json!({"insert": "c", "documents": documents})),
            None => {}
        }
        if let Some(indexes) = &self.indexes {
            steps.push(json!({"createIndexes": "c", "indexes": indexes}));
        }
        steps.extend(self.make.iter().cloned());
        Ok(steps)
    }
}

/// Returns the states of every kind.
pub(super) fn all() -> Result<Vec<State>> {
    let mut states = Vec::new();
    for (kind, text) in FILES {
        states.extend(parse(kind, text)?);
    }
    Ok(states)
}

fn parse(kind: &str, text: &str) -> Result<Vec<State>> {
    let parsed = serde_json::from_str::<Vec<State>>(text);
    let mut states = parsed.with_context(|| format!("the states of kind {kind}"))?;
    states.iter_mut().for_each(|state| kind.clone_into(&mut state.kind));
    Ok(states)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// Compares versions: `6.0.5` is at least `6.0`.
pub(super) fn at_least(version: &str, bound: &str) -> bool {
    numbers(version) >= numbers(bound)
}

/// Compares versions: `6.0.5` is at most `6.0`, but not at most `6.0.4`.
fn at_most(version: &str, bound: &str) -> bool {
    let (mut version, bound) = (numbers(version), numbers(bound));
    version.truncate(bound.len());
    version <= bound
}

#[test]
fn names_are_unique_and_databases_have_room_for_a_suffix() -> Result<()> {
    let states = all()?;
    let databases: std::collections::BTreeSet<_> =
        states.iter().map(|state| state.database(Side::Base)).collect();
    assert_eq!(databases.len(), states.len());
    for one in &databases {
        assert!(one.len() <= 45, "{one} is too long");
    }
    Ok(())
}

#[test]
fn versions_are_compared_by_numbers() {
    assert!(at_least("6.0.27", "6.0.5") && at_least("7.0.28", "6.0") && !at_least("5.0.4", "6.0"));
    assert!(at_most("6.0.27", "6.0") && !at_most("6.0.27", "6.0.5") && at_most("4.4.2", "5.0"));
}
