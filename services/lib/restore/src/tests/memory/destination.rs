//! A destination in memory, for tests. It stores what it is told and shows that again. What a
//! server does to documents and definitions by itself, it does not do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use hindsight_oplog::raw::{Doc, DocWriter, kind};

use crate::accounts::{AccountKind, Authorization};
use crate::batch::Batch;
use crate::catalog::is_id_index;
use crate::destination::{Definition, Destination, HeldRole, ReadBack, Shown, Verdict};
use crate::digest::{CountedDigest, Digest};
use crate::error::RestoreError;
use crate::facts::TargetFacts;
use crate::plan::{Change, Plan, PlannedCollection, PlannedView};
use crate::progress::Progress;

/// What the destination holds, and what it does wrong.
#[derive(Debug, Default)]
pub(crate) struct MemoryDestination {
    pub(crate) held: Mutex<Held>,
    /// A document that is accepted and not stored.
    pub(crate) loses: Option<Vec<u8>>,
    /// The namespace of a collection that gets another option besides its own.
    pub(crate) changes: Option<String>,
    /// A write never ends, as with a target that is out of reach.
    pub(crate) answers_no_write: bool,
    /// What was written cannot be read back.
    pub(crate) write_only: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) collections: BTreeMap<String, HeldCollection>,
    /// The names of databases with a `system.views`.
    pub(crate) view_catalogs: BTreeSet<String>,
    /// The definitions of views by database and name.
    views: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) users: Vec<Vec<u8>>,
    roles: Vec<Vec<u8>>,
    /// How many barriers were waited for.
    pub(crate) barriers: usize,
}

#[derive(Debug)]
pub(crate) struct HeldCollection {
    planned: PlannedCollection,
    pub(crate) documents: Vec<Vec<u8>>,
    indexes: Vec<Vec<u8>>,
    /// What was changed once the documents were written.
    changes: Vec<Change>,
}

impl MemoryDestination {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no test panics holding it")
    }
}

impl HeldCollection {
    /// Returns the options without those that wait for a change that was not made yet.
    fn options(&self, has_another: bool) -> Vec<u8> {
        let mut missing: Vec<&[u8]> = Vec::new();
        for change in [Change::Expire, Change::Bound] {
            if self.planned.needs(change) && !self.changes.contains(&change) {
                match change {
                    Change::Expire => missing.push(b"expireAfterSeconds"),
                    _ => missing.extend([b"size".as_slice(), b"max"]),
                }
            }
        }
        let options = Doc::new(&self.planned.state.options).expect("BSON");
        let mut shown = DocWriter::new();
        shown.copy_without(options, &missing).expect("BSON");
        if has_another {
            shown.string(b"validationLevel", "off");
        }
        shown.finish()
    }
}

fn entry(name: &str, kind_of: &str, options: &[u8]) -> Vec<u8> {
    let mut entry = DocWriter::new();
    entry.string(b"name", name).string(b"type", kind_of);
    entry.value(kind::DOCUMENT, b"options", options);
    entry.finish()
}

#[async_trait]
impl Destination for MemoryDestination {
    fn name(&self) -> &str {
        "memory"
    }

    async fn probe(&self) -> Result<TargetFacts, RestoreError> {
        Ok(TargetFacts {
            writable: true,
            version: "6.0.5".into(),
            feature_version: Some("6.0".into()),
            namespaces: Some(self.held().collections.keys().cloned().collect()),
            ..TargetFacts::default()
        })
    }

    async fn judge(&self, _: &str, _: Definition<'_>) -> Result<Verdict, RestoreError> {
        Ok(Verdict::Taken)
    }

    async fn knows_mixed_schema(&self, _: &str) -> Result<bool, RestoreError> {
        Ok(true)
    }

    async fn unknown_actions(&self, _: &[&str]) -> Result<BTreeSet<String>, RestoreError> {
        Ok(BTreeSet::new())
    }

    async fn create_collection(
        &self,
        collection: &PlannedCollection,
    ) -> Result<Option<String>, RestoreError> {
        let is_id = |spec: &&Vec<u8>| Doc::new(spec).and_then(is_id_index) == Ok(true);
        let created = HeldCollection {
            planned: collection.clone(),
            documents: Vec::new(),
            indexes: collection.state.indexes.iter().filter(is_id).cloned().collect(),
            changes: Vec::new(),
        };
        self.held().collections.insert(collection.state.namespace(), created);
        Ok(None)
    }

    async fn write(
        &self,
        collection: &PlannedCollection,
        batch: &Batch,
    ) -> Result<(), RestoreError> {
        if self.answers_no_write {
            return std::future::pending().await;
        }
        let mut held = self.held();
        let held = held.collections.get_mut(&collection.state.namespace()).expect("created");
        let taken = batch.documents().filter(|document| self.loses.as_deref() != Some(*document));
        held.documents.extend(taken.map(<[u8]>::to_vec));
        Ok(())
    }

    async fn build_indexes(
        &self,
        collection: &PlannedCollection,
        specs: &[Vec<u8>],
        _: &TargetFacts,
    ) -> Result<(), RestoreError> {
        let mut held = self.held();
        let held = held.collections.get_mut(&collection.state.namespace()).expect("created");
        held.indexes.extend_from_slice(specs);
        Ok(())
    }

    async fn create_view(&self, view: &PlannedView) -> Result<(), RestoreError> {
        let named = (view.db.clone(), view.name.clone());
        self.held().views.insert(named, view.definition.clone());
        Ok(())
    }

    async fn create_view_catalog(&self, db: &str) -> Result<bool, RestoreError> {
        self.held().view_catalogs.insert(db.to_owned());
        Ok(true)
    }

    async fn change(
        &self,
        collection: &PlannedCollection,
        change: Change,
    ) -> Result<(), RestoreError> {
        let mut held = self.held();
        let held = held.collections.get_mut(&collection.state.namespace()).expect("created");
        held.changes.push(change);
        Ok(())
    }

    async fn merge_accounts(&self, accounts: &Authorization) -> Result<(), RestoreError> {
        let mut held = self.held();
        held.users.extend_from_slice(&accounts.users);
        held.roles.extend_from_slice(&accounts.roles);
        Ok(())
    }

    async fn barrier(&self, _: &Plan, _: &TargetFacts) -> Result<(), RestoreError> {
        self.held().barriers += 1;
        Ok(())
    }

    async fn check_continuity(&self, _: &TargetFacts) -> Result<(), RestoreError> {
        Ok(())
    }

    fn read_back(&self) -> Option<&dyn ReadBack> {
        (!self.write_only).then_some(self)
    }
}

#[async_trait]
impl ReadBack for MemoryDestination {
    async fn digest(
        &self,
        collection: &PlannedCollection,
        progress: &Progress,
    ) -> Result<Digest, RestoreError> {
        let mut digest = CountedDigest::new(collection, progress);
        let held = self.held();
        let documents = &held.collections[&collection.state.namespace()].documents;
        documents.iter().for_each(|document| digest.add(document));
        Ok(digest.finish())
    }

    async fn catalog(&self, db: &str) -> Result<Vec<Vec<u8>>, RestoreError> {
        let mut entries = Vec::new();
        let held = self.held();
        for (namespace, collection) in &held.collections {
            let state = &collection.planned.state;
            if state.db == db {
                let options = collection.options(self.changes.as_ref() == Some(namespace));
                entries.push(entry(&state.name, "collection", &options));
                let view = collection.planned.time_series.as_ref().map(|series| &series.view);
                entries.extend(view.map(|view| entry(view, "timeseries", Doc::EMPTY.as_bytes())));
            }
        }
        for ((_, name), definition) in held.views.iter().filter(|((of, _), _)| of == db) {
            let mut options = DocWriter::new();
            let definition = Doc::new(definition).expect("BSON");
            options.copy_without(definition, &[b"_id"]).expect("BSON");
            entries.push(entry(name, "view", &options.finish()));
        }
        Ok(entries)
    }

    async fn indexes(&self, collection: &PlannedCollection) -> Result<Vec<Vec<u8>>, RestoreError> {
        Ok(self.held().collections[&collection.state.namespace()].indexes.clone())
    }

    async fn views(&self, _: &str) -> Result<Option<Vec<Vec<u8>>>, RestoreError> {
        Ok(None)
    }

    async fn accounts(&self, kind: AccountKind) -> Result<Shown, RestoreError> {
        let held = self.held();
        Ok(Shown::Documents(match kind {
            AccountKind::Users => held.users.clone(),
            AccountKind::Roles => held.roles.clone(),
        }))
    }

    async fn compare_role(&self, _: &[u8]) -> Result<HeldRole, RestoreError> {
        Ok(HeldRole::Differs)
    }
}
