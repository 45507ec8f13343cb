//! Fits a plan's time-series to a target: which marks the target can have, which indexes it creates
//! by itself, and what it cannot hold.

use std::time::Instant;

use hindsight_form::index_name;
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed};
use hindsight_oplog::time_series::{
    MIXED_SCHEMA, is_mixed_bucket, mixed_schema_mark, with_mixed_schema_mark,
};

use super::super::plan::{Plan, PlannedCollection};
use super::super::snapshot::{Snapshot, SourceError};
use super::is_buckets;

/// What a target does with time-series collections.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Abilities {
    /// The target takes a `collMod` with the mark (from 6.0.17, 7.0.13 and 8.0 on).
    pub(in super::super) knows_mark: bool,
    /// The major number of the target's feature compatibility version, which is also the source's.
    /// Below 6, every bucket may hold mixed types. From 7 on, the server creates an index with
    /// every time-series that has a `metaField`.
    pub(in super::super) feature_version: Option<u32>,
    /// The target is 7.0 or later, where buckets can be changed only through their view.
    pub(in super::super) guards_buckets: bool,
}

impl Abilities {
    fn before_6(self) -> bool {
        self.feature_version.is_some_and(|major| major < 6)
    }

    fn makes_index(self) -> bool {
        self.feature_version.is_some_and(|major| major >= 7)
    }
}

/// The remedy for buckets of mixed types.
const REMEDY: &str = "restore into MongoDB 6.0.17 or later, which can mark the collection";

impl Plan {
    /// Fits the time-series to a target. Returns the places in the plan of the time-series whose
    /// buckets must be examined, because the state has a mark that the target cannot have.
    pub(in super::super) fn fit_time_series(
        &mut self,
        target: Abilities,
    ) -> Result<Vec<usize>, (String, Malformed)> {
        let (mut to_look_at, mut raised) = (Vec::new(), Vec::new());
        for (place, collection) in self.collections.iter_mut().enumerate() {
            let namespace = collection.state.namespace();
            if collection.time_series.is_none() {
                if target.guards_buckets
                    && is_buckets(&collection.state.name)
                    && collection.expire.is_some()
                {
                    self.unfit.push(format!(
                        "{namespace} holds the buckets of a time-series without its view and expires, which MongoDB 7.0 \
                         and later let nobody set without the view; restore into 6.0, or drop it on the source"
                    ));
                }
                continue;
            }
            let fitted = fit(collection, target).map_err(|error| (namespace.clone(), error))?;
            if fitted.must_look_at {
                to_look_at.push(place);
            }
            if fitted.raised {
                raised.push(namespace);
            }
        }
        if !raised.is_empty() {
            self.warnings.push(format!(
                "marked on the target as time-series whose buckets may hold mixed types, as raising the feature \
                 compatibility version to 6.0 marks them: {}",
                raised.join(", ")
            ));
        }
        Ok(to_look_at)
    }

    /// Looks for buckets of mixed types in collections that cannot be marked, until `deadline`.
    pub(in super::super) fn look_at_buckets(
        &mut self,
        snapshot: &dyn Snapshot,
        places: &[usize],
        deadline: Instant,
    ) -> Result<(), (String, SourceError)> {
        for collection in places.iter().filter_map(|place| self.collections.get(*place)) {
            let namespace = collection.state.namespace();
            let found = find_mixed(snapshot, collection, deadline);
            match found.map_err(|error| (namespace.clone(), error))? {
                Some(true) => self.unfit.push(format!(
                    "{namespace} holds buckets of mixed types (from a server below 6.0), and queries of the target \
                     would skip them, for it does not know {MIXED_SCHEMA}; {REMEDY}"
                )),
                Some(false) => self.warnings.push(format!(
                    "{namespace} is marked as a time-series whose buckets may hold mixed types; none of them does, \
                     and the target cannot be told such a mark: the restored collection has none"
                )),
                None => self.warnings.push(format!(
                    "{namespace} is marked as a time-series whose buckets may hold mixed types, and the target \
                     cannot be told such a mark; not all buckets could be looked at yet, and the first one of mixed \
                     types ends the restore: to be sure, {REMEDY}"
                )),
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Fitted {
    must_look_at: bool,
    /// The collection is marked on the target and was not marked on the source.
    raised: bool,
}

fn fit(collection: &mut PlannedCollection, target: Abilities) -> Result<Fitted, Malformed> {
    let options = Doc::new(&collection.state.options)?;
    let state_mark = mixed_schema_mark(options)?;
    let surplus = match target.makes_index() {
        true => surplus_index(options, &collection.indexes)?,
        false => None,
    };
    let Some(series) = &mut collection.time_series else { return Ok(Fitted::default()) };
    series.mark = match target {
        Abilities { knows_mark: false, .. } => None,
        _ if target.before_6() => Some(true),
        // Such a server takes buckets of mixed types only into marked collections.
        _ => state_mark.map(|_| true),
    };
    series.unmark = series.mark == Some(true) && !target.before_6() && state_mark == Some(false);
    series.refuses_mixed = !target.before_6() && series.mark != Some(true);
    series.surplus_index = surplus;
    if !target.knows_mark {
        collection.create = with_mixed_schema_mark(Doc::new(&collection.create)?, None)?;
    }
    let is_lost = !target.knows_mark && !target.before_6() && state_mark == Some(true);
    Ok(Fitted {
        must_look_at: is_lost,
        raised: series.final_mark() == Some(true) && state_mark != Some(true),
    })
}

/// Returns the name of the index that servers from 7.0 on create with a time-series, unless the
/// state has exactly that index (server: `_createTimeseriesIndex`; the version in the spec does not
/// matter).
fn surplus_index(options: Doc<'_>, indexes: &[Vec<u8>]) -> Result<Option<String>, Malformed> {
    let series = options.get(b"timeseries")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    let text = |name: &[u8]| -> Result<Option<&str>, Malformed> {
        Ok(series.get(name)?.and_then(Element::as_str))
    };
    let (Some(time), Some(meta)) = (text(b"timeField")?, text(b"metaField")?) else {
        return Ok(None);
    };
    let name = format!("{meta}_1_{time}_1");
    let mut key = DocWriter::new();
    key.int32(b"meta", 1);
    key.int32(format!("control.min.{time}").as_bytes(), 1);
    key.int32(format!("control.max.{time}").as_bytes(), 1);
    let key = key.finish();
    for index in indexes {
        let spec = Doc::new(index)?;
        if index_name(index) == name {
            let same_key = spec.get(b"key")?.is_some_and(|element| element.value == key);
            let only_that = spec.elements().flatten().all(is_of_every_index);
            return Ok((!(same_key && only_that)).then_some(name));
        }
    }
    Ok(Some(name))
}

/// Returns true for a field of a spec that an index created without options has as well.
fn is_of_every_index(field: Element<'_>) -> bool {
    let locale = || field.as_doc()?.get(b"locale").ok()??.as_str();
    match field.name {
        b"v" | b"key" | b"name" => true,
        b"collation" => locale() == Some("simple"),
        _ => false,
    }
}

/// Returns whether there is a bucket of mixed types, or `None` when the deadline came first.
fn find_mixed(
    snapshot: &dyn Snapshot,
    collection: &PlannedCollection,
    deadline: Instant,
) -> Result<Option<bool>, SourceError> {
    for document in snapshot.documents(&collection.state)? {
        if is_mixed_bucket(Doc::new(&document?)?)? {
            return Ok(Some(true));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
    }
    Ok(Some(false))
}

/// Returns why a bucket may not be written, or `None` when it may.
pub(in super::super) fn refusal(bucket: &[u8]) -> Result<Option<&'static str>, Malformed> {
    Ok(is_mixed_bucket(Doc::new(bucket)?)?.then_some(
        "it holds measurements of mixed types, and the collection is not marked so: queries of the target would \
         skip the bucket. Run collMod with timeseriesBucketsMayHaveMixedSchemaData: true on the source (MongoDB \
         6.0.17 or later), or take a new base if this one comes from an older version of Hindsight; then restore \
         into MongoDB 6.0.17 or later",
    ))
}
