//! What a segment's entries do, counted while they pass: operations per namespace, commands, and
//! document keys.

use std::borrow::Cow;
use std::collections::HashMap;

use hindsight_oplog::raw::{Element, Malformed};
use hindsight_oplog::{CommandKind, Entry, OpKind, OpTime, Operation, id_key};

use crate::limits::MAX_COMMAND_NAME_BYTES;

/// Operations on one namespace. The operations inside an `applyOps` are counted; the `applyOps`
/// itself is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCounts {
    pub inserts: u32,
    pub updates: u32,
    pub deletes: u32,
    pub commands: u32,
    pub noops: u32,
    /// Operations with an unknown code, and `applyOps` that cannot be opened.
    pub others: u32,
}

impl OpCounts {
    /// Returns the number of operations of all kinds.
    pub fn total(&self) -> u64 {
        let counts =
            [self.inserts, self.updates, self.deletes, self.commands, self.noops, self.others];
        counts.into_iter().map(u64::from).sum()
    }

    fn count(&mut self, kind: OpKind) {
        *match kind {
            OpKind::Insert => &mut self.inserts,
            OpKind::Update => &mut self.updates,
            OpKind::Delete => &mut self.deletes,
            OpKind::Command => &mut self.commands,
            OpKind::Noop => &mut self.noops,
            OpKind::Bookkeeping | OpKind::Unknown => &mut self.others,
        } += 1;
    }
}

/// The operations on one namespace in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceCounts {
    /// `database.collection`. A command that names a collection is counted under that collection.
    /// Other commands are counted under the entry's `ns` (`database.$cmd`). Many no-ops have the
    /// empty name.
    pub namespace: String,
    /// The numbers of operations, by kind.
    pub counts: OpCounts,
}

/// The name in the note about the collection that a rename drops.
const DROP: &str = "drop";

/// A command in a segment. Commands that end transactions are not noted. A rename that drops the
/// collection with the new name has one more note before its own: a `drop` of that collection,
/// which is not counted as an operation. Segments of earlier programs do not have that note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandNote {
    /// The optime of the entry that holds the command, possibly inside its `applyOps`.
    pub optime: OpTime,
    /// The name of the command's first field: `create`, `drop`, `renameCollection`, …
    pub name: String,
    /// As in [`NamespaceCounts::namespace`].
    pub namespace: String,
    /// The new name, for `renameCollection`.
    pub renamed_to: Option<String>,
}

/// The document keys of the frame that is being filled.
#[derive(Debug, Default)]
pub(crate) struct FrameKeys {
    pub(crate) hashes: Vec<u64>,
    /// True when an entry's documents could not be determined.
    pub(crate) unknown: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_namespace: HashMap<Box<str>, usize>,
    namespaces: Vec<NamespaceCounts>,
    /// The slot that counted the last operation. The next operation mostly goes there too.
    last: usize,
    commands: Vec<CommandNote>,
}

impl Tally {
    pub(crate) fn note(&mut self, entry: &Entry<'_>, keys: &mut FrameKeys) {
        let operation = entry.operation();
        if operation.kind != OpKind::Command {
            self.note_operation(entry.optime, &operation, keys);
            return;
        }
        let opened = entry.for_each_operation::<Malformed>(&mut |inner| {
            self.note_operation(entry.optime, &inner, keys);
            Ok(())
        });
        if opened.is_err() {
            // The entry is stored like any other (I1). What it touches is unknown.
            keys.unknown = true;
            self.count(entry.ns, OpKind::Unknown);
        }
    }

    fn note_operation(&mut self, at: OpTime, operation: &Operation<'_>, keys: &mut FrameKeys) {
        if operation.kind == OpKind::Command {
            self.note_command(at, operation);
            return;
        }
        if let Some(id) = operation.document_id() {
            keys.hashes.push(id_key::hash64(id));
        }
        self.count(operation.ns, operation.kind);
    }

    fn note_command(&mut self, at: OpTime, operation: &Operation<'_>) {
        let first = operation.o.first().ok().flatten();
        let kind = operation.command().unwrap_or(CommandKind::Unknown);
        let namespace = counted_under(operation, kind);
        self.count(&namespace, OpKind::Command);
        if matches!(kind, CommandKind::CommitTransaction | CommandKind::AbortTransaction) {
            return;
        }
        let renamed_to = operation.renamed_to();
        if operation.drops_target()
            && let Some(dropped) = renamed_to
        {
            self.commands.push(CommandNote {
                optime: at,
                name: DROP.to_owned(),
                namespace: dropped.to_owned(),
                renamed_to: None,
            });
        }
        self.commands.push(CommandNote {
            optime: at,
            name: command_name(first),
            namespace: namespace.into_owned(),
            renamed_to: renamed_to.map(str::to_owned),
        });
    }

    fn count(&mut self, namespace: &str, kind: OpKind) {
        let is_last = self.namespaces.get(self.last).is_some_and(|it| it.namespace == namespace);
        if !is_last {
            self.last = self.slot(namespace);
        }
        self.namespaces[self.last].counts.count(kind);
    }

    fn slot(&mut self, namespace: &str) -> usize {
        if let Some(&slot) = self.by_namespace.get(namespace) {
            return slot;
        }
        let slot = self.namespaces.len();
        self.by_namespace.insert(namespace.into(), slot);
        self.namespaces
            .push(NamespaceCounts { namespace: namespace.to_owned(), counts: OpCounts::default() });
        slot
    }

    /// Returns the counts in the order of the namespaces, and the commands in the order of their
    /// entries.
    pub(crate) fn finish(mut self) -> (Vec<NamespaceCounts>, Vec<CommandNote>) {
        self.namespaces.sort_unstable_by(|a, b| a.namespace.cmp(&b.namespace));
        (self.namespaces, self.commands)
    }
}

/// Returns the one name under which a command is counted. The format fixes it: a command whose
/// effect this version does not know or cannot rebuild stays under the entry's `ns`, which readers
/// take for any collection of the database.
fn counted_under<'a>(operation: &Operation<'a>, kind: CommandKind) -> Cow<'a, str> {
    use CommandKind::*;
    let named = match kind {
        Bookkeeping | Unknown | Unrecoverable => None,
        AbortIndexBuild | AbortTransaction | ApplyOps | CollMod | CommitIndexBuild
        | CommitTransaction | ConvertTimeseries | ConvertToCapped | Create | CreateIndexes
        | Drop | DropDatabase | DropIndexes | EmptyCapped | RenameCollection | StartIndexBuild => {
            operation.named()
        }
    };
    named.map_or(operation.ns.into(), |named| named.full_name())
}

fn command_name(first: Option<Element<'_>>) -> String {
    let name = first.map_or(&b""[..], |element| element.name);
    let kept = String::from_utf8_lossy(&name[..name.len().min(MAX_COMMAND_NAME_BYTES)]);
    let end = kept.floor_char_boundary(MAX_COMMAND_NAME_BYTES);
    kept[..end].to_owned()
}
