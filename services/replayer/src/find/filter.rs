//! Filters that say which entries are wanted, and what need not be read to find them.
//!
//! A condition stands here twice: in `matches`, for an entry, and in `may_hold` or
//! `may_hold_in_frame`, for what segments and frames say about themselves. There, `false` is
//! certain, and `true` is not. A condition that nothing is noted about is only in `matches`.
//!
//! A segment counts the operations that an `applyOps` holds, each under its own namespace, in the
//! segment of that `applyOps`. The `applyOps` itself is not counted. Commands are noted by name,
//! except the commands that end transactions. Operations with an unknown code leave no trace here.

use std::sync::Arc;

use bson::RawDocument;
use hindsight_index::{CommandNote, NamespaceCounts, SegmentSummary};
use hindsight_oplog::raw::{Doc, Malformed};
use hindsight_oplog::update::{FieldPath, Update};
use hindsight_oplog::{Entry, OpKind, Operation, Timestamp, id_key};
use hindsight_segment::FrameInfo;

use super::{NamespacePattern, Pattern, SessionId, TransactionId};

/// A command name longer than this may have been cut where it was noted.
const LONGEST_NOTED: usize = hindsight_segment::limits::MAX_COMMAND_NAME_BYTES - 4;

const RENAME: &str = "renameCollection";

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

/// What need not be read.
impl EntryFilter {
    /// Returns whether the segment may hold a match.
    pub(super) fn may_hold(&self, segment: &SegmentSummary) -> bool {
        if self.needs_document() {
            return segment.counts.iter().any(|counts| self.may_hold_document(counts));
        }
        if self.ops.is_empty() {
            return self.holds_namespace(segment);
        }
        self.ops.iter().any(|op| self.may_hold_op(op, segment))
    }

    /// Returns whether the frame may hold a match.
    pub(super) fn may_hold_in_frame(&self, frame: &FrameInfo) -> bool {
        let in_time = frame.first.ts <= self.to && frame.last.ts >= self.from;
        in_time && self.id.as_ref().is_none_or(|(_, hash)| frame.filter.may_contain(*hash))
    }

    /// Whether only operations on one document can match. These are inserts, updates and deletes,
    /// and only updates change a field.
    fn needs_document(&self) -> bool {
        self.id.is_some() || self.changed_field.is_some()
    }

    fn may_hold_document(&self, counts: &NamespaceCounts) -> bool {
        let wants = |code: &str| {
            self.ops.is_empty() || self.ops.iter().any(|op| op.eq_ignore_ascii_case(code))
        };
        let updates_only = self.changed_field.is_some();
        self.may_count_under(&counts.ns)
            && (counts.updates > 0 && wants("u")
                || !updates_only && counts.inserts > 0 && wants("i")
                || !updates_only && counts.deletes > 0 && wants("d"))
    }

    fn may_hold_op(&self, op: &str, segment: &SegmentSummary) -> bool {
        let counted = |of: fn(&NamespaceCounts) -> u64| {
            segment.counts.iter().any(|counts| self.may_count_under(&counts.ns) && of(counts) > 0)
        };
        let is_noted = |note: &CommandNote| {
            note.command.eq_ignore_ascii_case(op) && self.may_note_under(note)
                || op.eq_ignore_ascii_case("drop") && self.may_drop(note)
        };
        let noted = op.len() > LONGEST_NOTED || segment.commands.iter().any(is_noted);
        // A command may have any name, including the code of another operation.
        noted
            || match op.to_ascii_lowercase().as_str() {
                "i" => counted(|counts| counts.inserts),
                "u" => counted(|counts| counts.updates),
                "d" => counted(|counts| counts.deletes),
                "n" => counted(|counts| counts.noops),
                "committransaction" | "aborttransaction" => counted(|counts| counts.commands),
                "c" | "applyops" | "?" => self.holds_namespace(segment),
                _ => false,
            }
    }

    fn holds_namespace(&self, segment: &SegmentSummary) -> bool {
        self.namespace.is_none()
            || segment.counts.iter().any(|counts| self.may_count_under(&counts.ns))
            || segment.commands.iter().any(|note| self.may_note_under(note))
    }

    fn may_count_under(&self, ns: &str) -> bool {
        self.namespace.as_ref().is_none_or(|pattern| pattern.may_match_counted(ns))
    }

    /// Whether a command that is noted like this may match. A rename is noted under both names. It
    /// is noted under one name when its form is not the one that servers write.
    fn may_note_under(&self, note: &CommandNote) -> bool {
        self.may_count_under(&note.ns)
            || match &note.renamed_to {
                Some(to) => self.may_count_under(to),
                None => note.command == RENAME,
            }
    }

    /// Whether a noted command may drop a selected collection. Not every segment shows whether a
    /// rename dropped anything.
    fn may_drop(&self, note: &CommandNote) -> bool {
        let to = note.renamed_to.as_deref();
        note.command == RENAME && to.is_none_or(|to| self.may_count_under(to))
    }
}

#[cfg(test)]
mod tests;
