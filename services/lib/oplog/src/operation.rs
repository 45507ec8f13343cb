//! The operations that an entry stands for: the entry itself, or what its `applyOps` holds.

use crate::entry::{document_hash, optional};
use crate::raw::{Doc, Element, Malformed};
use crate::{CommandKind, Entry, Namespace, Namespaces, OpKind, namespace};

/// How deep `applyOps` inside `applyOps` is followed, as in the server (`kMaxApplyOpsDepth`).
const MAX_NESTING: usize = 10;

/// One operation on one document or one collection.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// What the operation does.
    pub kind: OpKind,
    /// The `op` code as it stands, which names an operation that this version does not know.
    pub code: &'a [u8],
    /// The namespace as it stands; for a command, `<db>.$cmd`.
    pub ns: &'a str,
    /// The UUID of the collection, which is its identity. `ns` is only its name at that moment.
    pub ui: Option<[u8; 16]>,
    /// The payload.
    pub o: Doc<'a>,
    /// The second document of the payload, such as the `_id` of an update.
    pub o2: Option<Doc<'a>>,
    /// Whether this update inserts its document if there is none. The operation states this, or it
    /// is the default of the `applyOps` that holds the operation: outside transactions the server's
    /// applier upserts unless the command said `alwaysUpsert: false` (server:
    /// `ApplyOps::extractOperationsTo`).
    pub upsert: bool,
    /// Who wrote the operation.
    pub origin: Origin,
    /// `m.h`: the primary's hash of the document that this operation writes (9.0, behind a flag).
    pub document_hash: Option<i64>,
}

/// Who wrote an operation. What the server logs by itself fits the state before it. What a user
/// gave in an `applyOps` need not fit, and may hold what the server never logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The server: an entry of its own, or a part of a transaction or of a retryable write.
    #[default]
    Server,
    /// A user's `applyOps`, which MongoDB 6.0 and earlier log as it was given. `wall_ms` is the
    /// wall clock of the entry, in milliseconds since the epoch.
    User { wall_ms: Option<i64> },
    /// An `applyOps` whose entry does not say who wrote it: up to 6.0 a user's `applyOps` that was
    /// nested in another, later a batch that the server made. `wall_ms` is the wall clock of the
    /// entry, in milliseconds since the epoch.
    UserOrBatch { wall_ms: Option<i64> },
}

impl<'a> Operation<'a> {
    /// Returns the command, if the operation is one.
    pub fn command(&self) -> Option<CommandKind> {
        if self.kind != OpKind::Command {
            return None;
        }
        let first = self.o.first().ok().flatten();
        Some(first.map_or(CommandKind::Unknown, |element| CommandKind::of(element.name)))
    }

    /// Returns the `_id` of the document that this operation inserts, updates or deletes.
    pub fn document_id(&self) -> Option<Element<'a>> {
        let keyed = match self.kind {
            OpKind::Insert | OpKind::Delete => self.o,
            OpKind::Update => self.o2?,
            OpKind::Command | OpKind::Noop | OpKind::Bookkeeping | OpKind::Unknown => return None,
        };
        keyed.get(b"_id").ok().flatten()
    }

    /// Returns the collections that this operation is about, under their names at that moment. See
    /// [`Namespaces`].
    pub fn namespaces(&self) -> Namespaces<'a> {
        Namespaces::of(self)
    }

    /// Returns the collection that a command names in its first field (O19), which is the old name
    /// for a rename. `None` when the command concerns no single collection or names none. The name
    /// of the collection is empty where the entry gives an empty one.
    pub fn named(&self) -> Option<Namespace<'a>> {
        namespace::named_by(self, self.command()?)
    }

    /// Returns the new name, in full, if this is a rename that names one.
    pub fn renamed_to(&self) -> Option<&'a str> {
        let is_rename = self.command() == Some(CommandKind::RenameCollection);
        let to = is_rename.then(|| self.o.get(b"to").ok().flatten()).flatten();
        to.and_then(Element::as_str)
    }

    /// Returns whether this is a rename that drops the collection that had the new name: `$out`,
    /// `convertToCapped`, and a rename with `dropTarget`. The server writes the UUID of the
    /// collection that it dropped, and nothing where there was none; a tool's `applyOps` may say
    /// `true`.
    pub fn drops_target(&self) -> bool {
        let is_rename = self.command() == Some(CommandKind::RenameCollection);
        let dropped = is_rename.then(|| self.o.get(b"dropTarget").ok().flatten()).flatten();
        dropped
            .is_some_and(|dropped| dropped.as_uuid().is_some() || dropped.as_bool() == Some(true))
    }

    fn parse_inner(
        doc: Doc<'a>,
        upsert_by_default: bool,
        origin: Origin,
    ) -> Result<Self, Malformed> {
        let (mut op, mut o, mut upsert) = (None, None, None);
        let mut operation = Operation {
            kind: OpKind::Unknown,
            code: b"",
            ns: "",
            ui: None,
            o: Doc::EMPTY,
            o2: None,
            upsert: false,
            origin,
            document_hash: None,
        };
        for element in doc.elements() {
            let element = element?;
            match element.name {
                b"op" => op = element.as_string_bytes(),
                b"ns" => {
                    operation.ns =
                        element.as_str().ok_or(Malformed("inner ns is not a UTF-8 string"))?;
                }
                b"ui" => {
                    operation.ui = optional(element, Element::as_uuid, "inner ui is not a UUID")?;
                }
                b"o" => o = element.as_doc(),
                b"o2" => operation.o2 = element.as_doc(),
                b"b" => upsert = element.as_bool(),
                b"m" => operation.document_hash = document_hash(element),
                _ => {}
            }
        }
        operation.code = op.ok_or(Malformed("inner operation without op"))?;
        operation.kind = OpKind::of(operation.code);
        operation.o = o.ok_or(Malformed("inner operation without o"))?;
        let by_default = upsert_by_default && operation.kind == OpKind::Update;
        // `b: false` does not override what the command says (seen on 4.4 to 6.0).
        operation.upsert = upsert == Some(true) || by_default;
        Ok(operation)
    }
}

impl<'a> Entry<'a> {
    /// Returns the entry as one operation. An `applyOps` is not opened.
    pub fn operation(&self) -> Operation<'a> {
        Operation {
            kind: OpKind::of(self.op),
            code: self.op,
            ns: self.ns,
            ui: self.ui,
            o: self.o,
            o2: self.o2,
            upsert: self.upsert,
            origin: Origin::Server,
            document_hash: self.document_hash,
        }
    }

    /// Returns who wrote the operations of this `applyOps`.
    fn origin(&self) -> Result<Origin, Malformed> {
        if self.txn_number.is_some() || self.prev_optime.is_some() || self.multi_op_type.is_some() {
            return Ok(Origin::Server);
        }
        // A user's command is logged whole, with the fields of its envelope. A command that is
        // nested in it has no such fields, and is in whatever database the user named.
        let is_command =
            self.o.get(b"$db")?.is_some() || Namespace::parse(self.ns).database != "admin";
        Ok(match is_command {
            true => Origin::User { wall_ms: self.wall_ms },
            false => Origin::UserOrBatch { wall_ms: self.wall_ms },
        })
    }

    /// Returns the command, if this entry is one.
    pub fn command(&self) -> Option<CommandKind> {
        self.operation().command()
    }

    /// Calls `visit` for every operation that this entry stands for, in order: the entry itself,
    /// or, for an `applyOps`, what it holds, with nested ones opened too.
    ///
    /// # Errors
    /// Returns what `visit` returns, and [`Malformed`] when an `applyOps` is not an array of
    /// operations.
    pub fn for_each_operation<E: From<Malformed>>(
        &self,
        visit: &mut dyn FnMut(Operation<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let operation = self.operation();
        if operation.command() != Some(CommandKind::ApplyOps) {
            return visit(operation);
        }
        let within = Within { upserts: self.txn_number.is_none(), origin: self.origin()? };
        open(operation, within, MAX_NESTING, visit)
    }
}

/// What the operations of an `applyOps` have in common.
#[derive(Clone, Copy)]
struct Within {
    /// Whether the operations upsert unless they say otherwise.
    upserts: bool,
    origin: Origin,
}

fn open<'a, E: From<Malformed>>(
    operation: Operation<'a>,
    within: Within,
    depth_left: usize,
    visit: &mut dyn FnMut(Operation<'a>) -> Result<(), E>,
) -> Result<(), E> {
    if operation.command() != Some(CommandKind::ApplyOps) {
        return visit(operation);
    }
    if depth_left == 0 {
        return Err(Malformed("applyOps nested too deeply").into());
    }
    let array = operation
        .o
        .first()?
        .and_then(Element::as_array)
        .ok_or(Malformed("applyOps does not hold an array"))?;
    let always_upsert = operation.o.get(b"alwaysUpsert")?.and_then(Element::as_bool);
    let upsert_by_default = within.upserts && always_upsert.unwrap_or(true);
    for element in array.elements() {
        let inner = element?.as_doc().ok_or(Malformed("applyOps holds a non-document"))?;
        let inner = Operation::parse_inner(inner, upsert_by_default, within.origin)?;
        open(inner, within, depth_left - 1, visit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
