//! The conversion of time-series collections at the feature compatibility version 9.0.
//!
//! Below 9.0 a time-series collection is a view `X` of a collection `system.buckets.X`. From 9.0 on
//! it is one collection `X` (server: `db/timeseries/upgrade_downgrade_viewless_timeseries.cpp`).
//! The server does all of the conversion without a further entry: it drops or makes the view's
//! definition, renames the collection, and removes the validator or puts the generated validator
//! back. The collection keeps its UUID. This is read from the server's source; no server that
//! writes this entry was available.

use hindsight_oplog::id_key;
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};
use hindsight_oplog::time_series::BUCKETS_PREFIX;

use super::{Command, options};
use crate::state::database_of;
use crate::unit::Unit;
use crate::{ApplyError, CollectionState, Writer, key};

impl Writer<'_> {
    pub(super) fn convert_timeseries(
        &mut self,
        unit: &Unit,
        command: &Command<'_>,
    ) -> Result<(), ApplyError> {
        let is_upgrade = command.field(b"isUpgrade").and_then(Element::as_bool);
        let is_upgrade =
            is_upgrade.ok_or_else(|| command.unsupported(unit, "it does not tell which way"))?;
        if command.ui.is_none() {
            return Err(command.unsupported(unit, "a collection without a UUID"));
        }
        let ns = command.ns(unit)?;
        let Some(mut subject) = self.subject(unit, command)? else { return Ok(()) };
        if !subject.state.is_timeseries() {
            return Err(unit.inconsistent(&ns, "converts what is no time-series collection"));
        }
        let skips_view = command.field(b"skipViewCreation").and_then(Element::as_bool);
        if is_upgrade {
            self.drop_view(unit, &ns)?;
            options::set_validator(&mut subject.state, None)
        } else {
            if skips_view != Some(true) {
                self.make_view(unit, &ns, &subject.state)?;
            }
            let field = time_field(&subject.state);
            let field = field.ok_or_else(|| command.unsupported(unit, "it has no time field"))?;
            options::set_validator(&mut subject.state, Some(validator(field.as_bytes())))
        }
        .map_err(|what| command.unsupported(unit, &what))?;
        subject.state.ns = if is_upgrade { ns } else { buckets_of(&ns) };
        self.set_state(unit, subject.number, Some(subject.state));
        Ok(())
    }

    /// Removes the view's definition, if there is one. A shard that is not the primary of the
    /// database has no view.
    fn drop_view(&mut self, unit: &Unit, ns: &str) -> Result<(), ApplyError> {
        let Some(views) = self.views_of(ns) else { return Ok(()) };
        let hash = self.point_at_name(views, ns);
        if self.find(hash, |_| Ok(()))?.exists {
            self.remove(hash, unit);
        }
        Ok(())
    }

    fn make_view(
        &mut self,
        unit: &Unit,
        ns: &str,
        state: &CollectionState,
    ) -> Result<(), ApplyError> {
        let Some(views) = self.views_of(ns) else {
            // The server creates that collection before, with an entry of its own.
            let missing = "makes a view where there is no collection system.views";
            return Err(unit.inconsistent(ns, missing));
        };
        let view = view(ns, state).map_err(|reason| unit.inconsistent(ns, reason))?;
        let hash = self.point_at_name(views, ns);
        self.note_greatest(views)?;
        self.put(hash, unit, &view, None);
        Ok(())
    }

    /// Returns the number of the collection that holds the definitions of the database's views.
    fn views_of(&self, ns: &str) -> Option<u32> {
        let views = format!("{}.system.views", database_of(ns));
        let catalog = self.history.read_catalog();
        catalog.live_named(self.generation.id, &views).map(|(number, _)| number)
    }

    /// Points at the document whose `_id` is this text.
    fn point_at_name(&mut self, number: u32, id: &str) -> u64 {
        let mut holder = DocWriter::new();
        holder.string(b"_id", id);
        let holder = holder.finish();
        self.prefix.clear();
        key::push_number(&mut self.prefix, number);
        if let Ok(Some(id)) = Doc::new(&holder).and_then(Doc::first) {
            id_key::encode(id, &mut self.prefix);
        }
        self.latest.hash(&self.prefix)
    }
}

fn collection_of(ns: &str) -> &str {
    ns.split_once('.').map_or("", |(_, collection)| collection)
}

fn buckets_of(ns: &str) -> String {
    format!("{}.{BUCKETS_PREFIX}{}", database_of(ns), collection_of(ns))
}

fn timeseries_option<'a>(state: &'a CollectionState, name: &[u8]) -> Option<Element<'a>> {
    let timeseries = state.options().get(b"timeseries").ok().flatten()?;
    timeseries.as_doc()?.get(name).ok().flatten()
}

fn time_field(state: &CollectionState) -> Option<String> {
    timeseries_option(state, b"timeField")?.as_str().map(str::to_owned)
}

/// Returns the definition of the view, as the server generates it (`generateViewPipeline`).
fn view(ns: &str, state: &CollectionState) -> Result<Vec<u8>, &'static str> {
    let need = |name: &[u8], complaint| timeseries_option(state, name).ok_or(complaint);
    let time_field = need(b"timeField", "its time-series options have no timeField")?;
    let span = need(b"bucketMaxSpanSeconds", "its time-series options have no bucket span")?;
    let mut view = DocWriter::new();
    view.string(b"_id", ns).string(b"viewOn", &format!("{BUCKETS_PREFIX}{}", collection_of(ns)));
    view.open(kind::ARRAY, b"pipeline").open(kind::DOCUMENT, b"0");
    view.open(kind::DOCUMENT, b"$_internalUnpackBucket").element(time_field);
    if let Some(meta_field) = timeseries_option(state, b"metaField") {
        view.element(meta_field);
    }
    view.element(span).close().close().close();
    if let Ok(Some(collation)) = state.options().get(b"collation") {
        view.element(collation);
    }
    Ok(view.finish())
}

/// Returns the validator of buckets, as the server generates it (`generateTimeseriesValidator`):
/// the validator of compressed buckets, which 6.0.27 and later generate.
fn validator(time_field: &[u8]) -> Vec<u8> {
    let mut validator = DocWriter::new();
    open(&mut validator, b"$jsonSchema", "object");
    required(&mut validator, &[b"_id", b"control", b"data"]);
    validator.open(kind::DOCUMENT, b"properties");
    typed(&mut validator, b"_id", "objectId");
    open(&mut validator, b"control", "object");
    required(&mut validator, &[b"version", b"min", b"max"]);
    validator.open(kind::DOCUMENT, b"properties");
    typed(&mut validator, b"version", "number");
    for bound in [b"min", b"max"] {
        open(&mut validator, bound, "object");
        required(&mut validator, &[time_field]);
        validator.open(kind::DOCUMENT, b"properties");
        typed(&mut validator, time_field, "date");
        validator.close().close();
    }
    typed(&mut validator, b"closed", "bool");
    open(&mut validator, b"count", "number");
    validator.int32(b"minimum", 1).close().close();
    validator.value(kind::BOOL, b"additionalProperties", &[0]).close();
    typed(&mut validator, b"data", "object");
    validator.open(kind::DOCUMENT, b"meta").close().close();
    validator.value(kind::BOOL, b"additionalProperties", &[0]).close();
    validator.finish()
}

fn open(schema: &mut DocWriter, name: &[u8], bson_type: &str) {
    schema.open(kind::DOCUMENT, name).string(b"bsonType", bson_type);
}

fn typed(schema: &mut DocWriter, name: &[u8], bson_type: &str) {
    open(schema, name, bson_type);
    schema.close();
}

fn required(schema: &mut DocWriter, names: &[&[u8]]) {
    schema.open(kind::ARRAY, b"required");
    for (at, name) in names.iter().enumerate() {
        let mut value = (name.len() as u32 + 1).to_le_bytes().to_vec();
        value.extend_from_slice(name);
        value.push(0);
        schema.value(kind::STRING, at.to_string().as_bytes(), &value);
    }
    schema.close();
}
