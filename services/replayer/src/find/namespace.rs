//! Which collections are meant.

use hindsight_oplog::Namespace;

/// `db.collection`, or every collection of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePattern {
    Collection(String),
    Database(String),
}

impl NamespacePattern {
    /// `shop.orders`, `shop.*` or `shop`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            None | Some((_, "*")) => Self::Database(text.trim_end_matches(".*").to_owned()),
            Some(_) => Self::Collection(text.to_owned()),
        }
    }

    /// What every namespace that matches begins with, those of a whole database's commands included.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Database(name) => name,
            Self::Collection(name) => Namespace::parse(name).database,
        }
    }

    pub fn matches(&self, namespace: &str) -> bool {
        self.matches_parts(&Namespace::parse(namespace))
    }

    /// What concerns a whole database concerns each of its collections.
    pub(super) fn matches_parts(&self, namespace: &Namespace<'_>) -> bool {
        match self {
            Self::Database(name) => name == namespace.database,
            Self::Collection(name) => {
                let wanted = Namespace::parse(name);
                wanted.database == namespace.database
                    && (namespace.collection.is_empty()
                        || wanted.collection == namespace.collection)
            }
        }
    }

    /// Whether an operation that a segment counts under this name may match. Commands whose collection is not told
    /// apart there are counted under `db.$cmd`: any collection of the database may be meant.
    pub(super) fn may_match_counted(&self, namespace: &str) -> bool {
        let parts = Namespace::parse(namespace);
        self.matches_parts(&parts)
            || (parts.collection == "$cmd" && parts.database == self.database())
    }

    fn database(&self) -> &str {
        self.prefix()
    }
}
