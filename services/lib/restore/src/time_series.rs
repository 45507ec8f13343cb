//! Time-series collections. They are created and changed through their views, because servers of
//! different patches create different buckets (with another `validator`), and servers from 7.0 on
//! let nobody change buckets directly.
//!
//! A mark of the collection says whether its buckets may hold measurements of mixed types
//! (`hindsight_oplog::time_series`). Queries of a target that lacks the mark skip such buckets, so
//! a collection that needs the mark and cannot have it is refused before anything is written
//! (docs/decisions/0013).

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};
use hindsight_oplog::time_series::{
    BUCKETS_PREFIX, MIXED_SCHEMA, mixed_schema_mark, with_mixed_schema_mark,
};

use super::catalog::set_expiry;
use super::plan::PlannedCollection;

mod fit;

pub(super) use fit::{Abilities, refusal};

/// What a time-series has besides its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSeries {
    /// The view's name, without the database.
    pub view: String,
    /// The mark of mixed types that is set before the first bucket is written; `None` where no mark
    /// is set.
    pub mark: Option<bool>,
    /// The mark is taken away once the buckets are written. It was taken away on the source too,
    /// where some buckets may date from before that.
    pub(super) unmark: bool,
    /// Buckets of mixed types must not be written, because queries of the target would skip them.
    pub(super) refuses_mixed: bool,
    /// The name of an index that the target creates by itself, and that the state does not have or
    /// has in another form.
    pub surplus_index: Option<String>,
}

impl TimeSeries {
    /// Returns the mark at the end of the restore; `None` where no mark is set.
    pub(super) fn final_mark(&self) -> Option<bool> {
        self.mark.map(|mark| mark && !self.unmark)
    }
}

/// Options that the server sets on buckets by itself, or that are set later.
const OF_BUCKETS: [&[u8]; 6] =
    [b"clusteredIndex", b"validator", b"expireAfterSeconds", b"temp", b"uuid", b"idIndex"];

/// The argument of commands that mean the buckets and name a time-series without a view (made by
/// hand after the sources of 9.0).
pub(super) const RAW_DATA: &[u8] = b"rawData";

/// Returns true for the name of a collection of buckets.
pub fn is_buckets(name: &str) -> bool {
    name.starts_with(BUCKETS_PREFIX)
}

/// Builds the `create` of a time-series with its view, from the options of its buckets.
fn create_through(view: &str, options: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    options.get(b"timeseries")?.ok_or(Malformed("buckets without the option timeseries"))?;
    let mut command = DocWriter::new();
    command.string(b"create", view);
    command.copy_without(options, &OF_BUCKETS)?;
    Ok(command.finish())
}

/// Changes the plan of buckets so that they are created and changed through their view.
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

/// Plans a time-series that is one collection (from 9.0 on): it is created through its own name.
pub(super) fn without_view(mut planned: PlannedCollection) -> Result<PlannedCollection, Malformed> {
    if planned.raw_data {
        let name = planned.state.name.clone();
        make_through(&mut planned, &name)?;
    }
    Ok(planned)
}

/// Finishes a command. It asks for buckets where the collection would otherwise show measurements.
pub fn raw_if_needed(mut command: DocWriter, collection: &PlannedCollection) -> Vec<u8> {
    if collection.raw_data {
        command.value(kind::BOOL, RAW_DATA, &[1]);
    }
    command.finish()
}

/// Builds the `collMod` that sets the mark of mixed types.
pub fn set_mark(view: &str, mark: bool) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(b"collMod", view);
    command.value(kind::BOOL, MIXED_SCHEMA.as_bytes(), &[u8::from(mark)]);
    command.finish()
}

/// Returns the options of buckets in a form in which two servers can be compared: without the
/// validator, which is the server's own, and with the mark apart.
pub(super) fn comparable(options: Doc<'_>) -> Result<(Vec<u8>, Option<bool>), Malformed> {
    let mark = mixed_schema_mark(options)?;
    let options = with_mixed_schema_mark(options, None)?;
    let mut compared = DocWriter::with_capacity(options.len());
    compared.copy_without(Doc::new(&options)?, &[b"validator"])?;
    Ok((compared.finish(), mark))
}

/// Returns true if two documents of `system.views` stand for the same time-series. How long a
/// bucket may span is not compared: it is an option of the buckets that views repeat, and a
/// `collMod` that fails half-way changes it in the view alone. 5.0 also writes `exclude: []`, which
/// is not compared.
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

/// Returns the span of a bucket that the view states, in seconds, if the buckets state another
/// span.
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
