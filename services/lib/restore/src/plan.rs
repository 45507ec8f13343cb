//! Decides what a restore will write, how and in which order, and what it leaves out and why. Pure.

use std::collections::BTreeMap;

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, Element, Malformed, kind};
use hindsight_oplog::time_series::BUCKETS_PREFIX;
use hindsight_remedy::Remedy;

use super::catalog;
use super::documents::display_id;
use super::snapshot::CollectionState;
use super::time_series::{TimeSeries, is_buckets, make_through, other_span, without_view};

/// Everything a restore will write. Collections and views are in the order of their namespaces.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The timestamp of the state.
    pub timestamp: Timestamp,
    /// Ordinary, capped and clustered collections, and the buckets of time-series.
    pub collections: Vec<PlannedCollection>,
    /// Views, including the views of time-series.
    pub views: Vec<PlannedView>,
    /// Databases that have a `system.views`.
    pub view_databases: Vec<String>,
    /// `admin.system.users` and `admin.system.roles`, as far as they exist.
    pub authorization: Vec<CollectionState>,
    /// What is not written, and why.
    pub skipped: Vec<Skipped>,
    /// What the user should know before the restore starts.
    pub warnings: Vec<String>,
    /// What the target cannot hold, and the remedies.
    pub(super) unfit: Vec<String>,
    /// The remedies among these that are settings of the restore.
    pub(super) remedies: Vec<Remedy>,
}

/// A collection and the commands that make it.
#[derive(Clone, Debug)]
pub struct PlannedCollection {
    /// The collection as the snapshot has it.
    pub state: CollectionState,
    /// The collection is capped and not clustered: its natural order is part of its state.
    pub ordered: bool,
    /// The collection is marked `temp`: a primary drops it when the primary steps up.
    pub temporary: bool,
    /// The command that creates the collection.
    pub create: Vec<u8>,
    /// The command that caps the collection once it exists, where `create` cannot.
    pub cap: Option<Vec<u8>>,
    /// The `collMod` that sets the bounds of a capped collection once it is loaded.
    pub(super) bounds: Option<Vec<u8>>,
    /// Indexes that delete nothing.
    pub(super) indexes: Vec<Vec<u8>>,
    /// TTL indexes.
    pub(super) expiring_indexes: Vec<Vec<u8>>,
    /// The `collMod` that sets the collection's own `expireAfterSeconds`.
    pub(super) expire: Option<Vec<u8>>,
    /// Set for buckets that are created and changed through their view, or from 9.0 on through
    /// their own name.
    pub time_series: Option<TimeSeries>,
    /// The documents are buckets, and commands that do not ask for buckets see measurements (from
    /// 9.0 on).
    pub raw_data: bool,
}

/// A view, which may be the view of a time-series over its buckets.
#[derive(Clone, Debug)]
pub struct PlannedView {
    /// The database of the view.
    pub db: String,
    /// The name of the view, without the database.
    pub name: String,
    /// True for the view of a time-series.
    pub time_series: bool,
    /// The view's document in `system.views`.
    pub(super) definition: Vec<u8>,
    /// The command that creates the view. `None` for the view of a time-series, which is created
    /// together with its buckets.
    pub create: Option<Vec<u8>>,
}

/// Something that exists in the state and is not written, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// The namespace, followed by the skipped part in parentheses if only a part of it is skipped;
    /// or the number of further documents.
    pub ns: String,
    /// Why it is not written.
    pub reason: String,
}

/// The documents of each database's `system.views`.
pub type ViewDocuments = BTreeMap<String, Vec<Vec<u8>>>;

/// The collection of a database that holds the definitions of its views.
pub const VIEWS: &str = "system.views";
pub(super) const USERS: &str = "system.users";
pub(super) const ROLES: &str = "system.roles";

/// Decides what is done with each collection of the state.
///
/// # Errors
/// Returns the namespace and the error when options, an index or a view are not what BSON or the
/// server's catalog allows.
pub fn plan(
    timestamp: Timestamp,
    mut collections: Vec<CollectionState>,
    views: &ViewDocuments,
    users_and_roles: bool,
) -> Result<Plan, (String, Malformed)> {
    collections.sort_by(|a, b| (&a.db, &a.name).cmp(&(&b.db, &b.name)));
    let mut plan = Plan {
        timestamp,
        collections: Vec::with_capacity(collections.len()),
        views: Vec::new(),
        view_databases: Vec::new(),
        authorization: Vec::new(),
        skipped: Vec::new(),
        warnings: Vec::new(),
        unfit: Vec::new(),
        remedies: Vec::new(),
    };
    for state in collections {
        if let Some(reason) = skip_reason(&state.db, &state.name) {
            plan.skip(state.namespace(), reason);
        } else if is_authorization(&state) {
            match users_and_roles {
                true => plan.authorization.push(state),
                false => plan.skip(state.namespace(), "users and roles were not asked for"),
            }
        } else if state.name == VIEWS {
            plan.view_databases.push(state.db);
        } else {
            let namespace = state.namespace();
            let planned = plan_collection(state).and_then(without_view);
            plan.collections.push(planned.map_err(|error| (namespace, error))?);
        }
    }
    plan.add_views(views)?;
    plan.add_warnings();
    Ok(plan)
}

/// Returns why a namespace is never written to a target (O25), or `None` for any other namespace.
pub(super) fn skip_reason(db: &str, name: &str) -> Option<&'static str> {
    match (db, name) {
        ("local", _) => Some("local to each server, not replicated"),
        ("config", _) => Some(
            "the database config is the deployment's own: sessions, transactions, sharding; what users keep there is not \
             restored",
        ),
        ("admin", "system.version") => {
            Some("the target keeps its own feature compatibility version")
        }
        ("admin", "system.keys") => {
            Some("keys of the source's cluster time; the target has its own")
        }
        ("admin", "system.new_users") => Some(
            "left by the upgrade of users to MongoDB 2.6; no server reads it, and 5.0 and later refuse it",
        ),
        ("admin", name) if name.starts_with("pbm") => Some("bookkeeping of a backup tool"),
        (db, _) if db.starts_with("mongosync_reserved_") => Some("bookkeeping of mongosync"),
        (_, "system.profile") => Some("profiles are local to each server"),
        (_, "system.namespaces" | "system.indexes") => Some("catalog of an old storage engine"),
        (_, name) if name.starts_with("system.drop.") => Some("dropped, waiting to be deleted"),
        _ => None,
    }
}

/// Returns true if the name of a view, or of its source, is not UTF-8. Servers take such names;
/// drivers cannot send them.
fn has_unreadable_names(view: &[u8]) -> bool {
    let unreadable = |name: &[u8]| {
        let field = Doc::new(view).and_then(|view| view.get(name)).ok().flatten();
        field.is_some_and(|it| it.kind == kind::STRING && it.as_str().is_none())
    };
    unreadable(b"_id") || unreadable(b"viewOn")
}

fn is_authorization(state: &CollectionState) -> bool {
    state.db == "admin" && (state.name == USERS || state.name == ROLES)
}

fn plan_collection(state: CollectionState) -> Result<PlannedCollection, Malformed> {
    let options = Doc::new(&state.options)?;
    options.validate()?;
    let flag = |name: &[u8]| -> Result<bool, Malformed> {
        Ok(options.get(name)?.is_some_and(|element| element.as_bool() == Some(true)))
    };
    let (mut id_index, mut indexes, mut expiring_indexes) = (None, Vec::new(), Vec::new());
    for index in &state.indexes {
        let spec = Doc::new(index)?;
        spec.validate()?;
        if catalog::is_id_index(spec)? {
            id_index = Some(spec);
        } else if spec.get(b"clustered")?.is_some() {
            // listIndexes shows a clustered collection's order as if it were an index.
        } else if spec.get(b"expireAfterSeconds")?.is_some() {
            expiring_indexes.push(catalog::create_index(options, spec)?);
        } else {
            indexes.push(catalog::create_index(options, spec)?);
        }
    }
    let expire = options.get(b"expireAfterSeconds")?;
    let is_view = options.get(b"viewOn")?.is_some();
    if is_view {
        return Err(Malformed("a view listed among collections; it belongs to system.views"));
    }
    Ok(PlannedCollection {
        // A clustered collection is stored in the order of its key, capped or not.
        ordered: flag(b"capped")? && options.get(b"clusteredIndex")?.is_none(),
        temporary: flag(b"temp")?,
        create: catalog::create_collection(&state.name, options, id_index)?,
        cap: catalog::cap_afterwards(&state.name, options)?,
        bounds: None,
        expire: expire
            .map(|seconds| catalog::set_expiry(&state.name, seconds, options))
            .transpose()?,
        indexes,
        expiring_indexes,
        time_series: None,
        raw_data: options.get(b"timeseries")?.is_some() && !is_buckets(&state.name),
        state,
    })
}

impl Plan {
    /// Changes the plan so that the bounds of capped collections are set after loading, for targets
    /// that can do so (from 6.0 on). A state may hold more than the bounds allow: between an insert
    /// and the deletes that make room for it, which are separate entries, and after bounds were
    /// lowered. A target that takes inserts under the bounds would delete the excess.
    pub(super) fn load_before_bounds(&mut self) -> Result<(), (String, Malformed)> {
        for collection in self.collections.iter_mut().filter(|collection| collection.ordered) {
            let set = |collection: &mut PlannedCollection| {
                let options = Doc::new(&collection.state.options)?;
                collection.bounds = Some(catalog::set_bounds(&collection.state.name, options)?);
                collection.create = catalog::with_room(Doc::new(&collection.create)?)?;
                Ok(())
            };
            set(collection).map_err(|error| (collection.state.namespace(), error))?;
        }
        Ok(())
    }

    fn skip(&mut self, ns: String, reason: &str) {
        self.skipped.push(Skipped { ns, reason: reason.to_owned() });
    }

    fn add_views(&mut self, views: &ViewDocuments) -> Result<(), (String, Malformed)> {
        for (db, documents) in views {
            if skip_reason(db, VIEWS).is_some() {
                continue;
            }
            for document in documents {
                if has_unreadable_names(document) {
                    let id = display_id(document);
                    self.unfit.push(format!(
                        "{db}.{VIEWS}: the view with _id {id} has a name, its own or that of its source, that is not \
                         UTF-8; drop it on the source, and restore a later time"
                    ));
                    continue;
                }
                let blame = |error| (format!("{db}.{VIEWS}"), error);
                let view = self.plan_view(db, document).map_err(blame)?;
                match view {
                    Ok(view) => self.views.push(view),
                    Err(ns) => {
                        self.skip(ns, "the view of a time-series whose buckets do not exist")
                    }
                }
            }
        }
        self.views.sort_by(|a, b| (&a.db, &a.name).cmp(&(&b.db, &b.name)));
        self.unfit.extend(circles::problem(&self.views));
        Ok(())
    }

    /// Plans one view. The outer error means that the document is invalid. The inner error names a
    /// view that cannot be created.
    fn plan_view(
        &mut self,
        db: &str,
        document: &[u8],
    ) -> Result<Result<PlannedView, String>, Malformed> {
        let definition = Doc::new(document)?;
        definition.validate()?;
        let text = |name: &[u8]| -> Result<Option<&str>, Malformed> {
            Ok(definition.get(name)?.and_then(Element::as_str))
        };
        let id = text(b"_id")?.ok_or(Malformed("a view's _id is not a string"))?;
        let view_on = text(b"viewOn")?.ok_or(Malformed("a view without viewOn"))?;
        let name = id
            .strip_prefix(db)
            .and_then(|rest| rest.strip_prefix('.'))
            .ok_or(Malformed("a view's _id is not in its database"))?;
        let time_series = view_on.strip_prefix(BUCKETS_PREFIX) == Some(name);
        let create = if time_series {
            let mut collections = self.collections.iter_mut();
            let found = collections.find(|c| c.state.db == db && c.state.name == view_on);
            let Some(buckets) = found else { return Ok(Err(id.to_owned())) };
            make_through(buckets, name)?;
            if let Some(span) = other_span(definition, Doc::new(&buckets.state.options)?)? {
                self.warnings.push(format!(
                    "the view {id} says that its buckets span {span} seconds, and they say otherwise (a collMod failed \
                     half-way, or changed the buckets alone): the restored view says what the buckets say"
                ));
            }
            None
        } else {
            Some(catalog::create_view(name, definition)?)
        };
        let definition = document.to_vec();
        Ok(Ok(PlannedView { db: db.into(), name: name.into(), time_series, definition, create }))
    }

    /// Returns every namespace that will be written, including views but not users and roles.
    pub fn namespaces(&self) -> impl Iterator<Item = String> + '_ {
        let collections = self.collections.iter().map(|collection| collection.state.namespace());
        collections.chain(self.views.iter().map(|view| format!("{}.{}", view.db, view.name)))
    }

    /// Returns the documents and the bytes of all collections together. A sum is `None` unless the
    /// number is known for every collection.
    pub(super) fn totals(&self) -> (Option<u64>, Option<u64>) {
        let sum = |hint: fn(&CollectionState) -> Option<u64>| {
            self.collections.iter().map(|collection| hint(&collection.state)).sum()
        };
        (sum(|state| state.documents_hint), sum(|state| state.bytes_hint))
    }
}

mod change;
mod circles;
mod warnings;

pub use change::Change;

#[cfg(test)]
mod tests;
