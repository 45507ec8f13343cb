//! Time-series collections: made and changed through their views, because servers of different
//! patches make different buckets (another `validator`), and those from 7.0 on let nobody change
//! buckets directly.
//!
//! Whether buckets may hold measurements of mixed types is a mark of the collection
//! (`hindsight_oplog::time_series`). A target that lacks the mark skips such buckets in queries, so
//! what cannot be marked is refused before anything is written (docs/decisions/0013).

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};
use hindsight_oplog::time_series::{
    BUCKETS_PREFIX, MIXED_SCHEMA, mixed_schema_mark, with_mixed_schema_mark,
};

use super::catalog::set_expiry;
use super::plan::PlannedCollection;

mod fit;

pub(super) use fit::{Abilities, refusal};

/// What a time-series is besides its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeSeries {
    /// The view's name, without the database.
    pub(super) view: String,
    /// The mark of mixed types that is set before the first bucket is written; none where none is
    /// set.
    pub(super) mark: Option<bool>,
    /// The mark is taken away once the buckets are there: so it was on the source, whose buckets
    /// may be of before.
    pub(super) unmark: bool,
    /// Buckets of mixed types must not be written: queries of the target would skip them.
    pub(super) refuses_mixed: bool,
    /// The name of an index that the target makes and the state has not, or has otherwise.
    pub(super) surplus_index: Option<String>,
}

impl TimeSeries {
    /// The mark at the end; none where none is set.
    pub(super) fn final_mark(&self) -> Option<bool> {
        self.mark.map(|mark| mark && !self.unmark)
    }
}

/// Options that the server gives to buckets by itself, or that are set later.
const OF_BUCKETS: [&[u8]; 6] =
    [b"clusteredIndex", b"validator", b"expireAfterSeconds", b"temp", b"uuid", b"idIndex"];

/// The argument of commands that are about buckets and name a time-series without a view (made by
/// hand after the sources of 9.0).
pub(super) const RAW_DATA: &[u8] = b"rawData";

pub(super) fn is_buckets(name: &str) -> bool {
    name.starts_with(BUCKETS_PREFIX)
}

/// `create` of a time-series with its view, given the options of its buckets.
fn create_through(view: &str, options: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    options.get(b"timeseries")?.ok_or(Malformed("buckets without the option timeseries"))?;
    let mut command = DocWriter::new();
    command.string(b"create", view);
    command.copy_without(options, &OF_BUCKETS)?;
    Ok(command.finish())
}

/// Lets the buckets be made and changed through their view.
pub(super) fn make_through(buckets: &mut PlannedCollection, view: &str) -> Result<(), Malformed> {
    let options = Doc::new(&buckets.state.options)?;
    buckets.create = create_through(view, options)?;
    let seconds = options.get(b"expireAfterSeconds")?;
    buckets.expire = seconds.map(|it| set_expiry(view, it, options)).transpose()?;
    buckets.temporary = false;
    buckets.time_series = Some(TimeSeries {
        view: view.to_owned(),
        mark: None,
        unmark: false,
        refuses_mixed: false,
        surplus_index: None,
    });
    Ok(())
}

/// A time-series that is one collection (from 9.0 on) is made through its own name.
pub(super) fn without_view(mut planned: PlannedCollection) -> Result<PlannedCollection, Malformed> {
    if planned.raw_data {
        let name = planned.state.name.clone();
        make_through(&mut planned, &name)?;
    }
    Ok(planned)
}

/// Asks for buckets, where the collection would show measurements.
pub(super) fn raw_if_needed(mut command: DocWriter, collection: &PlannedCollection) -> Vec<u8> {
    if collection.raw_data {
        command.value(kind::BOOL, RAW_DATA, &[1]);
    }
    command.finish()
}

/// `dropIndexes` of one index.
pub(super) fn drop_index(view: &str, index: &str) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(b"dropIndexes", view).string(b"index", index);
    command.finish()
}

/// `collMod` that sets the mark.
pub(super) fn set_mark(view: &str, mark: bool) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(b"collMod", view);
    command.value(kind::BOOL, MIXED_SCHEMA.as_bytes(), &[u8::from(mark)]);
    command.finish()
}

/// Options of buckets as two servers can be compared in: without the validator, which is the
/// server's own, and the mark apart.
pub(super) fn comparable(options: Doc<'_>) -> Result<(Vec<u8>, Option<bool>), Malformed> {
    let mark = mixed_schema_mark(options)?;
    let options = with_mixed_schema_mark(options, None)?;
    let mut compared = DocWriter::with_capacity(options.len());
    compared.copy_without(Doc::new(&options)?, &[b"validator"])?;
    Ok((compared.finish(), mark))
}

/// Whether two documents of `system.views` stand for the same time-series. How long a bucket may
/// span is an option of the buckets, which views repeat and a `collMod` that fails half-way changes
/// in the view alone; 5.0 writes `exclude: []`, too.
pub(super) fn same_view(expected: Doc<'_>, held: Doc<'_>) -> Result<bool, Malformed> {
    for field in [b"_id".as_slice(), b"viewOn", b"collation"] {
        let bytes = |doc: Doc<'_>| doc.get(field).map(|found| found.map(|e| e.as_bytes().to_vec()));
        if bytes(expected)? != bytes(held)? {
            return Ok(false);
        }
    }
    let fields = |doc| -> Result<_, Malformed> {
        let Some(unpack) = unpack_stage(doc)? else { return Ok(None) };
        let text =
            |name: &[u8]| unpack.get(name).map(|found| found.and_then(Element::as_string_bytes));
        Ok(Some((text(b"timeField")?, text(b"metaField")?)))
    };
    let expected = fields(expected)?;
    Ok(expected.is_some() && expected == fields(held)?)
}

/// What the view says about the span of its buckets, where the buckets say something else.
pub(super) fn other_span(view: Doc<'_>, buckets: Doc<'_>) -> Result<Option<i64>, Malformed> {
    const SPAN: &[u8] = b"bucketMaxSpanSeconds";
    let span = |doc: Option<Doc<'_>>| -> Result<Option<i64>, Malformed> {
        let Some(doc) = doc else { return Ok(None) };
        Ok(doc.get(SPAN)?.and_then(Element::as_integer))
    };
    let options = buckets.get(b"timeseries")?.and_then(Element::as_doc);
    let (of_view, of_buckets) = (span(unpack_stage(view)?)?, span(options)?);
    Ok(of_view.filter(|_| of_view != of_buckets))
}

fn unpack_stage(view: Doc<'_>) -> Result<Option<Doc<'_>>, Malformed> {
    let Some(pipeline) = view.get(b"pipeline")?.and_then(Element::as_array) else {
        return Ok(None);
    };
    let Some(stage) = pipeline.first()?.and_then(Element::as_doc) else { return Ok(None) };
    Ok(stage.get(b"$_internalUnpackBucket")?.and_then(Element::as_doc))
}

#[cfg(test)]
mod tests;
