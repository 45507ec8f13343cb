//! Commands, which change the catalog (O19 to O24).
//!
//! Collections are compared by UUID. In the relaxed window the base may be ahead of an entry, so a
//! repeated create or drop is accepted there. After that window it is not.

use hindsight_oplog::raw::{Doc, Element, kind};
use hindsight_oplog::{CommandKind, Operation};

use crate::state::database_of;
use crate::unit::Unit;
use crate::{ApplyError, CollectionState, Writer};
use era::Era;

/// Servers accept names that are not UTF-8. The history does not, because its names are text.
const NOT_UTF8: &str = "a name that is not UTF-8: rename or drop it on the source";

mod era;
mod index;
mod mixed_schema;
mod options;
mod viewless;

/// The collection a command is about, as it is now.
struct Subject {
    number: u32,
    state: CollectionState,
}

impl Writer<'_> {
    pub(crate) fn command(&mut self, unit: &Unit, op: &Operation<'_>) -> Result<(), ApplyError> {
        self.counts.commands += 1;
        let command = Command::parse(unit, op)?;
        let era = self.era()?;
        match op.command().unwrap_or(CommandKind::Unknown) {
            CommandKind::Create => self.create(unit, &command, era),
            CommandKind::Drop => self.drop_collection(unit, &command),
            CommandKind::DropDatabase => self.drop_database(unit, &command),
            CommandKind::RenameCollection => self.rename(unit, &command),
            CommandKind::CollMod => {
                let mark = self.mark_set_by_coll_mod(&command)?;
                self.modify(unit, &command, |state| {
                    options::modify(state, command.o, command.o2, era)?;
                    index::modify(state, command.o)?;
                    mixed_schema::set_mark(state, mark)
                })
            }
            CommandKind::CreateIndexes => {
                self.modify(unit, &command, |state| index::create_one(state, command.o, era))
            }
            CommandKind::CommitIndexBuild => {
                self.modify(unit, &command, |state| index::create_listed(state, command.o, era))
            }
            CommandKind::DropIndexes => {
                self.modify(unit, &command, |state| index::remove(state, command.o))
            }
            CommandKind::EmptyCapped => self.empty(unit, &command),
            // An index exists from the commit of its build on.
            CommandKind::StartIndexBuild
            | CommandKind::AbortIndexBuild
            | CommandKind::Bookkeeping => Ok(()),
            CommandKind::ApplyOps
            | CommandKind::CommitTransaction
            | CommandKind::AbortTransaction => {
                Err(command.unsupported(unit, "a transaction that was not assembled"))
            }
            CommandKind::ConvertToCapped | CommandKind::Unrecoverable => {
                Err(command.unsupported(unit, "its data does not travel in the oplog"))
            }
            CommandKind::ConvertTimeseries => self.convert_timeseries(unit, &command),
            CommandKind::Unknown => self.unknown(unit, op.ns, command.first.name),
        }
    }

    /// Returns which server wrote the current entry. The writer may lose the current document.
    fn era(&mut self) -> Result<Era, ApplyError> {
        let feature_major = self.feature_version()?.map(|it| u32::from(it.version.major));
        Ok(Era::of(feature_major, self.generation.base.server_version.as_deref()))
    }

    fn create(&mut self, unit: &Unit, command: &Command<'_>, era: Era) -> Result<(), ApplyError> {
        let Some(uuid) = command.ui else {
            return Err(command.unsupported(unit, "a collection without a UUID"));
        };
        let ns = command.ns(unit)?;
        let mut state = options::created(uuid, ns, command.o, era)
            .map_err(|what| command.unsupported(unit, &what))?;
        state.excluded = self.history.excludes(&state.ns);
        let (existing, namesake) = {
            let catalog = self.history.read_catalog();
            let id = self.generation.id;
            let existing = catalog.live(id, &uuid).map(|(number, _)| number);
            let namesake = catalog.live_named(id, &state.ns).is_some();
            (existing, namesake)
        };
        if !unit.relaxed && (existing.is_some() || namesake) {
            return Err(unit.inconsistent(&state.ns, "creates a collection that exists"));
        }
        let number = match existing {
            // The base is ahead. Everything since this entry follows, so the collection may start
            // over, and later entries overtake documents that are ahead.
            Some(number) => number,
            None => self.new_number()?,
        };
        self.set_state(unit, number, Some(state));
        Ok(())
    }

    fn drop_collection(&mut self, unit: &Unit, command: &Command<'_>) -> Result<(), ApplyError> {
        if let Some(subject) = self.subject(unit, command)? {
            self.set_state(unit, subject.number, None);
        }
        Ok(())
    }

    /// Every collection was dropped before, by an entry of its own. In the relaxed window, the
    /// collections that are left are those that the base saw after a new create.
    fn drop_database(&mut self, unit: &Unit, command: &Command<'_>) -> Result<(), ApplyError> {
        if unit.relaxed {
            return Ok(());
        }
        let left: Vec<u32> = {
            let catalog = self.history.read_catalog();
            catalog
                .of_generation(self.generation.id)
                .filter(|(_, collection)| {
                    collection.newest().is_some_and(|state| state.database() == command.database)
                })
                .map(|(number, _)| number)
                .collect()
        };
        for number in left {
            self.set_state(unit, number, None);
        }
        Ok(())
    }

    fn rename(&mut self, unit: &Unit, command: &Command<'_>) -> Result<(), ApplyError> {
        let target = command.text(b"to").filter(|ns| ns.contains('.'));
        let target = target.ok_or_else(|| command.unsupported(unit, "no target name"))?;
        let stay_temporary = command.field(b"stayTemp").and_then(Element::as_bool).unwrap_or(false);
        if let Some(uuid) = command.field(b"dropTarget").and_then(Element::as_uuid) {
            let dropped = {
                let catalog = self.history.read_catalog();
                catalog.live(self.generation.id, &uuid).map(|(number, _)| number)
            };
            match dropped {
                Some(number) => self.set_state(unit, number, None),
                None if unit.relaxed => {}
                None => return Err(unit.inconsistent(target, "drops a target that is missing")),
            }
        }
        let Some(mut subject) = self.subject(unit, command)? else { return Ok(()) };
        let namesake = {
            let catalog = self.history.read_catalog();
            catalog.live_named(self.generation.id, target).map(|(number, _)| number)
        };
        if let Some(number) = namesake
            && !unit.relaxed
            && subject.state.ns != target
        {
            // A user's applyOps with dropTarget is logged without it. Each member moves the
            // namesake to a name of its own, which no entry reports and no other member has (4.4.2
            // to 6.0.27).
            tracing::warn!(at = %unit.at, target, "a rename takes the name of a collection that exists: that counts as dropped");
            self.set_state(unit, number, None);
        }
        target.clone_into(&mut subject.state.ns);
        if !stay_temporary {
            options::remove_temporary(&mut subject.state)
                .map_err(|what| command.unsupported(unit, &what))?;
        }
        self.set_state(unit, subject.number, Some(subject.state));
        Ok(())
    }

    /// Empties a capped collection. It stays the same collection, but from here on under a number
    /// that holds nothing.
    fn empty(&mut self, unit: &Unit, command: &Command<'_>) -> Result<(), ApplyError> {
        if let Some(subject) = self.subject(unit, command)? {
            let number = self.new_number()?;
            self.set_state(unit, subject.number, None);
            self.set_state(unit, number, Some(subject.state));
        }
        Ok(())
    }

    fn modify(
        &mut self,
        unit: &Unit,
        command: &Command<'_>,
        change: impl FnOnce(&mut CollectionState) -> Result<(), String>,
    ) -> Result<(), ApplyError> {
        let Some(mut subject) = self.subject(unit, command)? else { return Ok(()) };
        change(&mut subject.state).map_err(|what| command.unsupported(unit, &what))?;
        self.set_state(unit, subject.number, Some(subject.state));
        Ok(())
    }

    /// Returns the collection that a command is about; `None` if it is already gone in the relaxed
    /// window.
    fn subject(&self, unit: &Unit, command: &Command<'_>) -> Result<Option<Subject>, ApplyError> {
        let catalog = self.history.read_catalog();
        let id = self.generation.id;
        let live = match command.ui {
            Some(uuid) => catalog.live(id, &uuid),
            None => catalog.live_named(id, &command.ns(unit)?),
        };
        match live {
            Some((number, state)) => {
                Ok(Some(Subject { number, state: CollectionState::clone(state) }))
            }
            None if unit.relaxed && command.ui.is_some() => Ok(None),
            None => {
                let ns = command.ns(unit)?;
                Err(unit.inconsistent(&ns, "a command on a collection that is missing"))
            }
        }
    }
}

/// The parts of a command.
struct Command<'a> {
    database: &'a str,
    first: Element<'a>,
    o: Doc<'a>,
    o2: Option<Doc<'a>>,
    ui: Option<[u8; 16]>,
    shown: &'a str,
}

impl<'a> Command<'a> {
    fn parse(unit: &Unit, op: &Operation<'a>) -> Result<Self, ApplyError> {
        op.o.validate().map_err(|malformed| unit.unsupported(op.ns, malformed.to_string()))?;
        let first = op.o.first().ok().flatten();
        let first = first.ok_or_else(|| unit.unsupported(op.ns, "a command without a name"))?;
        let database = database_of(op.ns);
        if database.is_empty() {
            return Err(unit.unsupported(op.ns, NOT_UTF8));
        }
        Ok(Command { database, first, o: op.o, o2: op.o2, ui: op.ui, shown: op.ns })
    }

    /// Returns the namespace that the command is about: the value of its first field, in its
    /// database. For a rename that value is the whole namespace.
    fn ns(&self, unit: &Unit) -> Result<String, ApplyError> {
        match self.first.as_str() {
            Some(ns) if self.first.name == b"renameCollection" => Ok(ns.to_owned()),
            Some(collection) => Ok(format!("{}.{collection}", self.database)),
            None if self.first.kind == kind::STRING => Err(self.unsupported(unit, NOT_UTF8)),
            None => Err(self.unsupported(unit, "no collection's name")),
        }
    }

    fn field(&self, name: &[u8]) -> Option<Element<'a>> {
        self.o.get(name).ok().flatten()
    }

    fn text(&self, name: &[u8]) -> Option<&'a str> {
        self.field(name)?.as_str()
    }

    fn unsupported(&self, unit: &Unit, what: &str) -> ApplyError {
        let name = String::from_utf8_lossy(self.first.name);
        let collection = match self.first.kind {
            kind::STRING => self.first.as_str().unwrap_or_default(),
            _ => "",
        };
        let ns = if collection.is_empty() { self.shown } else { collection };
        unit.unsupported(ns, format!("{name}: {what}"))
    }
}
