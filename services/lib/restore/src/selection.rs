//! Which part of a state is restored. Pure.

use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::time_series::BUCKETS_PREFIX;
use hindsight_oplog::{Namespace, NamespacePattern};

use super::error::RestoreError;
use super::plan::{ROLES, USERS, VIEWS, ViewDocuments};
use super::snapshot::CollectionState;

/// Which part of the state a restore takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    #[default]
    Everything,
    /// The collections and views that at least one of the patterns names.
    ///
    /// - The name of a time-series, or of its buckets, takes both its buckets and its view.
    /// - `db.system.views` takes all views of the database that are not views of time-series.
    /// - Users and roles belong to the whole deployment: `admin.*` does not take them, their own
    ///   names `admin.system.users` and `admin.system.roles` do.
    Namespaces(Vec<NamespacePattern>),
}

impl Selection {
    /// Returns true for a collection or view that is taken. The `system.views` of a database with
    /// other views that are taken are not asked for here.
    pub(super) fn takes(&self, db: &str, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespaces(patterns) => {
                patterns.iter().any(|pattern| is_named(pattern, db, name))
            }
        }
    }

    /// Leaves the taken part of a catalog. What a collection or view that is not taken rests on, or
    /// what rests on it, does not matter.
    ///
    /// # Errors
    /// Returns [`RestoreError::Settings`] with the patterns that name nothing in the catalog.
    pub(super) fn restrict(
        &self,
        collections: &mut Vec<CollectionState>,
        views: &mut ViewDocuments,
    ) -> Result<(), RestoreError> {
        let Self::Namespaces(patterns) = self else { return Ok(()) };
        let is_missing = |pattern: &&NamespacePattern| {
            let mut defined =
                views.iter().flat_map(|(db, views)| views.iter().map(move |v| (db, v)));
            !collections.iter().any(|state| is_named(pattern, &state.db, &state.name))
                && !defined.any(|(db, view)| defines_named(pattern, db, view))
        };
        let missing: Vec<_> = patterns.iter().filter(is_missing).map(ToString::to_string).collect();
        if patterns.is_empty() || !missing.is_empty() {
            return Err(RestoreError::Settings(match missing.as_slice() {
                [] => "nothing is selected".to_owned(),
                missing => {
                    let missing = missing.join(", ");
                    format!("the state holds nothing by these names at this time: {missing}")
                }
            }));
        }
        for (db, documents) in views.iter_mut() {
            documents.retain(|view| patterns.iter().any(|it| defines_named(it, db, view)));
        }
        collections.retain(|state| {
            let has_views = || views.get(&state.db).is_some_and(|views| !views.is_empty());
            self.takes(&state.db, &state.name) || (state.name == VIEWS && has_views())
        });
        Ok(())
    }
}

/// Returns true if the pattern names a collection or view.
fn is_named(pattern: &NamespacePattern, db: &str, name: &str) -> bool {
    match pattern {
        NamespacePattern::Database(wanted) => {
            wanted == db && !(db == "admin" && (name == USERS || name == ROLES))
        }
        NamespacePattern::Collection(wanted) => {
            let wanted = Namespace::parse(wanted);
            wanted.database == db && of_time_series(wanted.collection) == of_time_series(name)
        }
    }
}

/// Returns true if the pattern names the view that a document of `system.views` defines. A document
/// that defines none belongs to `system.views` alone.
fn defines_named(pattern: &NamespacePattern, db: &str, view: &[u8]) -> bool {
    let text = |name: &[u8]| {
        let field = Doc::new(view).and_then(|view| view.get(name)).ok().flatten();
        field.and_then(Element::as_str)
    };
    let name = text(b"_id").and_then(|id| id.strip_prefix(db)?.strip_prefix('.'));
    let Some(name) = name else { return is_named(pattern, db, VIEWS) };
    let is_time_series =
        text(b"viewOn").and_then(|on| on.strip_prefix(BUCKETS_PREFIX)) == Some(name);
    is_named(pattern, db, name) || (!is_time_series && is_named(pattern, db, VIEWS))
}

/// Returns the name of the time-series whose buckets have this name, and any other name as it is.
fn of_time_series(name: &str) -> &str {
    name.strip_prefix(BUCKETS_PREFIX).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::tests::memory::collection;

    fn state() -> (Vec<CollectionState>, ViewDocuments) {
        let names = [
            ("admin", "inventory"),
            ("admin", "system.roles"),
            ("admin", "system.users"),
            ("iot", "system.buckets.w"),
            ("iot", "system.buckets.w2"),
            ("iot", "system.views"),
            ("shop", "orders"),
            ("shop", "orders.old"),
            ("shop", "system.views"),
        ];
        let view = |id: &str, on: &str| -> RawDocumentBuf {
            rawdoc! { "_id": id, "viewOn": on, "pipeline": [] }
        };
        let views = |views: &[RawDocumentBuf]| -> Vec<Vec<u8>> {
            views.iter().map(|view| view.as_bytes().to_vec()).collect()
        };
        let iot = [
            view("iot.w", "system.buckets.w"),
            view("iot.w2", "system.buckets.w2"),
            view("iot.hot", "w"),
        ];
        let shop = [view("shop.paid", "orders"), view("shop.late", "paid")];
        let collections =
            names.iter().map(|(db, name)| collection(db, name, &rawdoc! {})).collect();
        (collections, [("iot".into(), views(&iot)), ("shop".into(), views(&shop))].into())
    }

    fn select(patterns: &[&str]) -> Selection {
        Selection::Namespaces(patterns.iter().map(|it| NamespacePattern::parse(it)).collect())
    }

    /// Returns the names of the collections and views that are left, or the error.
    fn left(selection: &Selection) -> Result<String, String> {
        let (mut collections, mut views) = state();
        let restricted = selection.restrict(&mut collections, &mut views);
        restricted.map_err(|error| error.to_string())?;
        let ids = views.values().flatten().map(|view| {
            let id = Doc::new(view).expect("BSON").get(b"_id").expect("BSON");
            format!("view {}", id.and_then(Element::as_str).expect("a name"))
        });
        let names = collections.iter().map(CollectionState::namespace);
        Ok(names.chain(ids).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn everything_leaves_the_catalog_as_it_is() {
        let (mut collections, mut views) = state();
        Selection::Everything.restrict(&mut collections, &mut views).expect("it takes all");
        assert_eq!((collections, views), state());
        assert!(Selection::default().takes("admin", "system.users"));
    }

    #[test]
    fn exact_names_take_nothing_else() {
        assert_eq!(left(&select(&["shop.orders"])), Ok("shop.orders".into()));
        assert_eq!(left(&select(&["shop.orders.old"])), Ok("shop.orders.old".into()));
        let two = left(&select(&["shop.orders", "admin.inventory"]));
        assert_eq!(two, Ok("admin.inventory shop.orders".into()));
    }

    #[test]
    fn a_database_is_taken_with_its_views() {
        let shop = "shop.orders shop.orders.old shop.system.views view shop.paid view shop.late";
        assert_eq!(left(&select(&["shop.*"])), Ok(shop.into()));
    }

    #[test]
    fn a_time_series_is_its_buckets_and_its_view() {
        let series = Ok("iot.system.buckets.w iot.system.views view iot.w".to_owned());
        assert_eq!(left(&select(&["iot.w"])), series);
        assert_eq!(left(&select(&["iot.system.buckets.w"])), series);
    }

    #[test]
    fn a_view_is_taken_by_its_name_or_with_all_others() {
        let paid = left(&select(&["shop.paid"]));
        assert_eq!(paid, Ok("shop.system.views view shop.paid".into()));
        let all = left(&select(&["shop.system.views"]));
        assert_eq!(all, Ok("shop.system.views view shop.paid view shop.late".into()));
        let without_buckets = left(&select(&["iot.system.views"]));
        assert_eq!(without_buckets, Ok("iot.system.views view iot.hot".into()));
    }

    #[test]
    fn users_and_roles_are_taken_by_their_own_names_alone() {
        assert_eq!(left(&select(&["admin.*"])), Ok("admin.inventory".into()));
        assert_eq!(left(&select(&["admin.system.users"])), Ok("admin.system.users".into()));
        let both = left(&select(&["admin.system.users", "admin.system.roles"]));
        assert_eq!(both, Ok("admin.system.roles admin.system.users".into()));
    }

    #[test]
    fn names_that_the_state_does_not_have_are_told() {
        let error = left(&select(&["shop.orders", "shop.ordres", "sales.*"])).expect_err("typos");
        assert!(error.ends_with("at this time: shop.ordres, sales.*"), "{error}");
        let error = left(&select(&[])).expect_err("nothing");
        assert_eq!(error, "restore settings: nothing is selected");
    }
}
