//! Which collections an operation is about. The `ns` of a command is `<db>.$cmd`, so a filter that
//! looks at `ns` lets every command through. The collection is named in `o`.

use std::borrow::Cow;
use std::fmt;

use crate::raw::Element;
use crate::{CommandKind, OpKind, Operation};

/// Names of collections or databases, for filters, counts and people. The identity of a collection
/// is its UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces<'a> {
    /// No collection: most no-ops, `commitTransaction`, and an `applyOps` as a whole, which has to
    /// be opened ([`crate::Entry::for_each_operation`]).
    None,
    /// One collection, or one database.
    One(Namespace<'a>),
    /// A rename. A filter that accepts only one of the two names loses a collection, or gains a
    /// collection whose documents it lacks.
    Renamed {
        /// The old name.
        from: Namespace<'a>,
        /// The new name.
        to: Namespace<'a>,
    },
}

impl<'a> Namespaces<'a> {
    pub(crate) fn of(operation: &Operation<'a>) -> Self {
        let ns = operation.ns;
        match operation.command() {
            None if ns.is_empty() => Self::None,
            None => Self::of_document(operation.kind, ns),
            Some(
                CommandKind::ApplyOps
                | CommandKind::CommitTransaction
                | CommandKind::AbortTransaction,
            ) => Self::None,
            Some(CommandKind::RenameCollection) => Self::of_rename(operation),
            Some(_) => match operation.named() {
                Some(named) if !named.is_database() => Self::One(named),
                _ => Self::One(Namespace::database(database(ns))),
            },
        }
    }

    /// An operation code of a future server may be a command of another kind (as `xi` was), whose
    /// collection is not known.
    fn of_document(kind: OpKind, ns: &'a str) -> Self {
        let namespace = Namespace::parse(ns);
        match (kind, namespace.collection) {
            (OpKind::Noop | OpKind::Bookkeeping | OpKind::Unknown, "$cmd") => {
                Self::One(Namespace::database(namespace.database))
            }
            _ => Self::One(namespace),
        }
    }

    fn of_rename(operation: &Operation<'a>) -> Self {
        match (operation.named(), operation.renamed_to()) {
            (Some(from), Some(to)) => Self::Renamed { from, to: Namespace::parse(to) },
            _ => Self::One(Namespace::database(database(operation.ns))),
        }
    }

    /// Returns the names: none, one, or two for a rename.
    pub fn iter(self) -> impl Iterator<Item = Namespace<'a>> {
        let (first, second) = match self {
            Self::None => (None, None),
            Self::One(namespace) => (Some(namespace), None),
            Self::Renamed { from, to } => (Some(from), Some(to)),
        };
        first.into_iter().chain(second)
    }
}

/// `database.collection`, or a whole database.
#[derive(Clone, Copy)]
pub struct Namespace<'a> {
    /// The name of the database.
    pub database: &'a str,
    /// The name of the collection. Empty when the operation concerns the database as a whole, or
    /// names no collection that can be read. A filter that accepts any collection of the database
    /// has to accept such an operation.
    pub collection: &'a str,
    /// Both names as one string, if the entry holds them so.
    full: Option<&'a str>,
}

impl<'a> Namespace<'a> {
    /// Splits at the first dot: the name of a database has no dot, the name of a collection may
    /// have dots.
    pub fn parse(full: &'a str) -> Self {
        let (database, collection) = full.split_once('.').unwrap_or((full, ""));
        Self { database, collection, full: Some(full) }
    }

    fn database(database: &'a str) -> Self {
        Self { database, collection: "", full: Some(database) }
    }

    /// Returns whether this is a whole database, without a collection.
    pub fn is_database(&self) -> bool {
        self.collection.is_empty()
    }

    /// Returns `database.collection`, borrowed from the entry except for commands. For a database,
    /// returns its bare name.
    pub fn full_name(&self) -> Cow<'a, str> {
        match self.full {
            Some(full) => Cow::Borrowed(full),
            None => Cow::Owned(format!("{}.{}", self.database, self.collection)),
        }
    }
}

impl PartialEq for Namespace<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.database, self.collection) == (other.database, other.collection)
    }
}

impl Eq for Namespace<'_> {}

impl fmt::Display for Namespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_name())
    }
}

impl fmt::Debug for Namespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn database(ns: &str) -> &str {
    Namespace::parse(ns).database
}

/// Returns the collection that the first field of a command names.
pub(crate) fn named_by<'a>(
    operation: &Operation<'a>,
    command: CommandKind,
) -> Option<Namespace<'a>> {
    use CommandKind::*;
    let named = operation.o.first().ok().flatten().and_then(Element::as_str)?;
    let database = database(operation.ns);
    let in_database = Namespace { database, collection: named, full: None };
    match command {
        AbortTransaction | ApplyOps | CommitTransaction | DropDatabase => None,
        RenameCollection => Some(Namespace::parse(named)),
        // `importCollection` and `truncateRange` give the full name (server: their IDL types).
        // Elsewhere a collection may well have the name of its database.
        Unrecoverable if named.strip_prefix(database).is_some_and(|it| it.starts_with('.')) => {
            Some(Namespace::parse(named))
        }
        AbortIndexBuild | Bookkeeping | CollMod | CommitIndexBuild | ConvertTimeseries
        | ConvertToCapped | Create | CreateIndexes | Drop | DropIndexes | EmptyCapped
        | StartIndexBuild | Unknown | Unrecoverable => Some(in_database),
    }
}

#[cfg(test)]
mod tests;
