//! Filters that say which entries are wanted.

use std::sync::Arc;

use bson::RawDocument;
use hindsight_oplog::raw::{Doc, Malformed};
use hindsight_oplog::update::{FieldPath, Update};
use hindsight_oplog::{Entry, OpKind, Operation, Timestamp, id_key};

use super::{NamespacePattern, Pattern, SessionId, TransactionId};

/// Which entries are wanted: those for which all conditions hold.
///
/// `namespace`, `ops`, `id` and `changed_field` are conditions on operations. When an entry holds
/// several operations, one of them must meet all four conditions. When an `applyOps` cannot be read
/// to its end, the operations before that place count.
#[derive(Debug, Clone)]
pub struct EntryFilter {
    /// The collections that the operation concerns.
    pub namespace: Option<NamespacePattern>,
    /// `i`, `u`, `d`, `n`, `c`, or command names, compared without regard to case. Empty for all
    /// operations. `drop` includes a rename that drops the collection whose name it takes.
    pub ops: Vec<String>,
    /// The encoded `_id`, and its hash for the key filters.
    pub id: Option<(Vec<u8>, u64)>,
    /// The first timestamp included.
    pub from: Timestamp,
    /// The last timestamp included.
    pub to: Timestamp,
    /// The transaction, or retryable write, that the entry belongs to.
    pub transaction: Option<TransactionId>,
    /// The session that wrote the entry.
    pub session: Option<SessionId>,
    /// The field that an update writes. An update of an unknown form may write the field, so it
    /// matches.
    pub changed_field: Option<FieldPath>,
    /// A regular expression on the text of the entry.
    pub grep: Option<Pattern>,
    /// A query filter on the entry as a document.
    pub query: Option<Arc<hindsight_query::Filter>>,
}

/// Why the walk through the operations of an entry ended early.
enum Halt {
    Found,
    Malformed,
}

impl From<Malformed> for Halt {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl EntryFilter {
    /// A filter that every entry matches.
    pub fn all() -> Self {
        Self {
            namespace: None,
            ops: Vec::new(),
            id: None,
            from: Timestamp::ZERO,
            to: Timestamp::MAX,
            transaction: None,
            session: None,
            changed_field: None,
            grep: None,
            query: None,
        }
    }

    /// Sets the wanted `_id`. `id` is a document `{_id: …}`.
    ///
    /// # Errors
    /// Returns an error when the document has no `_id` or is malformed.
    pub fn set_id(&mut self, id: Doc<'_>) -> Result<(), Malformed> {
        let id = id.get(b"_id")?.ok_or(Malformed("an id without _id"))?;
        let mut key = Vec::new();
        id_key::encode(id, &mut key);
        self.id = Some((key, id_key::hash64(id)));
        Ok(())
    }

    /// Returns whether all conditions hold for the entry. The cheap conditions are checked first.
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        self.from <= entry.ts()
            && entry.ts() <= self.to
            && self.transaction.is_none_or(|transaction| transaction.matches(entry))
            && self.session.is_none_or(|session| session.matches(entry))
            && self.matches_an_operation(entry)
            && self.query.as_ref().is_none_or(|query| {
                RawDocument::from_bytes(entry.doc.as_bytes()).is_ok_and(|doc| query.matches(doc))
            })
            && self.grep.as_ref().is_none_or(|pattern| pattern.matches(entry))
    }

    /// Whether an operation matches: the entry itself, with an `applyOps` unopened, or one of the
    /// operations that the entry holds.
    fn matches_an_operation(&self, entry: &Entry<'_>) -> bool {
        if self.matches_operation(&entry.operation()) {
            return true;
        }
        let walked = entry.for_each_operation(&mut |operation| {
            if self.matches_operation(&operation) { Err(Halt::Found) } else { Ok(()) }
        });
        matches!(walked, Err(Halt::Found))
    }

    fn matches_operation(&self, operation: &Operation<'_>) -> bool {
        (self.matches_namespace(operation) && self.matches_op(operation)
            || self.matches_drop(operation))
            && self.matches_id(operation)
            && self.matches_changed_field(operation)
    }

    fn matches_namespace(&self, operation: &Operation<'_>) -> bool {
        self.namespace.as_ref().is_none_or(|pattern| pattern.concerns_operation(operation))
    }

    /// Whether the operation counts as a `drop`: a rename onto the name of another collection drops
    /// that collection.
    fn matches_drop(&self, operation: &Operation<'_>) -> bool {
        self.wants_drops()
            && operation.drops_target()
            && self.namespace.as_ref().is_none_or(|pattern| pattern.is_dropped_by(operation))
    }

    fn wants_drops(&self) -> bool {
        self.ops.iter().any(|op| op.eq_ignore_ascii_case("drop"))
    }

    fn matches_op(&self, operation: &Operation<'_>) -> bool {
        if self.ops.is_empty() {
            return true;
        }
        let name: &[u8] = match operation.kind {
            OpKind::Insert => b"i",
            OpKind::Update => b"u",
            OpKind::Delete => b"d",
            OpKind::Noop => b"n",
            OpKind::Command => match operation.o.first() {
                Ok(Some(first)) => first.name,
                _ => b"c",
            },
            OpKind::Bookkeeping | OpKind::Unknown => b"?",
        };
        let is_command = operation.kind == OpKind::Command;
        self.ops.iter().any(|op| {
            op.as_bytes().eq_ignore_ascii_case(name) || (is_command && op.eq_ignore_ascii_case("c"))
        })
    }

    fn matches_id(&self, operation: &Operation<'_>) -> bool {
        let Some((wanted, _)) = &self.id else { return true };
        operation.document_id().is_some_and(|id| {
            let mut key = Vec::with_capacity(wanted.len());
            id_key::encode(id, &mut key);
            key == *wanted
        })
    }

    fn matches_changed_field(&self, operation: &Operation<'_>) -> bool {
        let Some(path) = &self.changed_field else { return true };
        let writes = |update: Update<'_>| update.writes(path);
        operation.kind == OpKind::Update
            && Update::parse(operation.o).and_then(writes).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests;
