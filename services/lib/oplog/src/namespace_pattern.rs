//! Patterns that select collections.

use std::fmt;

use crate::raw::Element;
use crate::time_series::BUCKETS_PREFIX;
use crate::{Namespace, Namespaces, Operation};

/// The collection whose documents define a database's views. The `_id` of such a document is the
/// view's full name.
const VIEWS: &str = "system.views";

/// One collection, or every collection of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePattern {
    /// The collection with this namespace, `db.collection`.
    Collection(String),
    /// Every collection of the database with this name.
    Database(String),
}

impl NamespacePattern {
    /// Parses `shop.orders`, `shop.*` or `shop`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            None | Some((_, "*")) => Self::Database(text.trim_end_matches(".*").to_owned()),
            Some(_) => Self::Collection(text.to_owned()),
        }
    }

    /// Returns a prefix of every namespace that matches, including the namespaces of commands on
    /// the whole database.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Database(name) => name,
            Self::Collection(name) => Namespace::parse(name).database,
        }
    }

    /// Returns whether the pattern selects the collection with this name.
    pub fn matches(&self, namespace: &str) -> bool {
        self.matches_parts(&Namespace::parse(namespace))
    }

    /// Returns whether the pattern selects the collection with this name, or the time-series
    /// collection whose buckets it holds. From MongoDB 9.0 on a time-series collection has its
    /// buckets under its own name.
    pub fn concerns(&self, namespace: &str) -> bool {
        self.concerns_parts(&Namespace::parse(namespace))
    }

    /// Returns whether an operation writes to a selected collection, to its buckets, or to its
    /// definition if it is a view.
    pub fn concerns_operation(&self, operation: &Operation<'_>) -> bool {
        let mut namespaces = operation.namespaces().iter();
        namespaces.any(|namespace| self.concerns_parts(&namespace)) || self.is_defined_by(operation)
    }

    /// Returns whether the operation is a rename that drops a selected collection, to take its
    /// name.
    pub fn is_dropped_by(&self, operation: &Operation<'_>) -> bool {
        match operation.namespaces() {
            Namespaces::Renamed { to, .. } => operation.drops_target() && self.concerns_parts(&to),
            _ => false,
        }
    }

    fn is_defined_by(&self, operation: &Operation<'_>) -> bool {
        let Self::Collection(name) = self else { return false };
        let namespace = Namespace::parse(operation.ns);
        namespace.collection == VIEWS
            && operation.document_id().and_then(Element::as_str) == Some(name)
    }

    /// What concerns a whole database concerns each of its collections.
    fn matches_parts(&self, namespace: &Namespace<'_>) -> bool {
        self.takes(namespace, |wanted| wanted == namespace.collection)
    }

    fn concerns_parts(&self, namespace: &Namespace<'_>) -> bool {
        let buckets_of = namespace.collection.strip_prefix(BUCKETS_PREFIX);
        self.takes(namespace, |wanted| wanted == namespace.collection || buckets_of == Some(wanted))
    }

    fn takes(&self, namespace: &Namespace<'_>, is_wanted: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Database(name) => name == namespace.database,
            Self::Collection(name) => {
                let wanted = Namespace::parse(name);
                wanted.database == namespace.database
                    && (namespace.collection.is_empty() || is_wanted(wanted.collection))
            }
        }
    }

    /// Returns whether an operation that a segment counts under this name may match. A segment
    /// counts a command under `db.$cmd` when it does not distinguish the command's collection, so
    /// the command may concern any collection of the database. The same holds for the definitions
    /// of views.
    pub fn may_match_counted(&self, namespace: &str) -> bool {
        let parts = Namespace::parse(namespace);
        self.concerns_parts(&parts)
            || (matches!(parts.collection, "$cmd" | VIEWS) && parts.database == self.database())
    }

    fn database(&self) -> &str {
        self.prefix()
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collection(name) => f.write_str(name),
            Self::Database(name) => write!(f, "{name}.*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::Entry;

    fn concerns(pattern: &str, op: &str, ns: &str, o: RawDocumentBuf) -> bool {
        let at = bson::Timestamp { time: 5, increment: 1 };
        let entry = rawdoc! {"ts": at, "op": op, "ns": ns, "o": o, "o2": {"_id": "t.v"}};
        let entry = Entry::parse(entry.as_bytes()).expect("an entry");
        NamespacePattern::parse(pattern).concerns_operation(&entry.operation())
    }

    #[test]
    fn a_time_series_collection_is_its_buckets_and_a_view_its_definition() {
        let bucket = || rawdoc! {"_id": 1};
        assert!(concerns("t.w", "i", "t.system.buckets.w", bucket()));
        assert!(concerns("t.system.buckets.w", "i", "t.system.buckets.w", bucket()));
        // From 9.0 on: {…, ns: "t.w", isTimeseries: true}, and `o` is a bucket.
        assert!(concerns("t.w", "i", "t.w", bucket()));
        assert!(!concerns("t.w", "i", "t.system.buckets.w2", bucket()));
        assert!(!concerns("t.w", "i", "u.system.buckets.w", bucket()));
        let drop = || rawdoc! {"drop": "system.buckets.w"};
        assert!(concerns("t.w", "c", "t.$cmd", drop()) && !concerns("t.v", "c", "t.$cmd", drop()));

        let view = |id: &str| rawdoc! {"_id": id, "viewOn": "o"};
        assert!(concerns("t.v", "i", "t.system.views", view("t.v")));
        assert!(concerns("t.v", "u", "t.system.views", rawdoc! {"$v": 2}));
        assert!(!concerns("t.v", "i", "t.system.views", view("t.v2")));
        assert!(!concerns("t.v", "i", "t.views", view("t.v")));
        let pattern = NamespacePattern::parse("t.v");
        assert!(pattern.may_match_counted("t.system.views"));
        assert!(!pattern.may_match_counted("u.system.views"));
        assert!(pattern.concerns("t.system.buckets.v") && !pattern.matches("t.system.buckets.v"));
    }
}
