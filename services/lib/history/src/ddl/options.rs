//! Collection options: what `create` sets and `collMod` changes, so that the options equal the
//! server's `listCollections` (seen on 4.4, 5.0 and 6.0; server: `CollectionOptions::appendBSON`).

use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};

use super::era::Era;
use crate::CollectionState;

/// The order in which the server writes options. Unknown options follow in the order that they had.
const ORDER: &[&[u8]] = &[
    b"capped",
    b"size",
    b"max",
    b"autoIndexId",
    b"flags",
    b"temp",
    b"changeStreamPreAndPostImages",
    b"recordPreImages",
    b"storageEngine",
    b"indexOptionDefaults",
    b"validator",
    b"validationLevel",
    b"validationAction",
    b"collation",
    b"clusteredIndex",
    b"expireAfterSeconds",
    b"viewOn",
    b"pipeline",
    b"timeseries",
    b"encryptedFields",
    b"recordIdsReplicated",
];

/// The `max` that is listed for a capped collection whose number of documents was made unlimited.
const NO_MAX: i64 = 2_147_483_647;

/// Returns the collection that a `create` entry makes.
pub(super) fn created(
    uuid: [u8; 16],
    ns: String,
    o: Doc<'_>,
    era: Era,
) -> Result<CollectionState, String> {
    let mut state = CollectionState::new(uuid, ns);
    let mut options = DocWriter::new();
    for element in o.elements().skip(1) {
        let element = element.map_err(|malformed| malformed.to_string())?;
        match element.name {
            b"idIndex" => {
                let spec = element.as_doc().ok_or("its idIndex is not a document")?;
                state.id_index = Some(spec.as_bytes().to_vec());
            }
            b"uuid" => {}
            // 7.0 accepts the option in an applyOps command, and forgets it.
            b"recordPreImages" if !era.records_pre_images() => {}
            b"viewOn" => return Err("a view outside system.views".to_owned()),
            _ => drop(options.element(element)),
        }
    }
    state.options = options.finish();
    if state.id_index.is_none() && has_id_index(&state) {
        // The index that the server builds when the entry does not state one (as for a create that
        // was sent in an applyOps command).
        state.id_index = Some(default_id_index());
    }
    Ok(state)
}

fn has_id_index(state: &CollectionState) -> bool {
    let refused = state.options().get(b"autoIndexId").ok().flatten().and_then(Element::as_bool);
    !state.is_clustered() && refused != Some(false)
}

fn default_id_index() -> Vec<u8> {
    let mut spec = DocWriter::new();
    spec.int32(b"v", 1).open(kind::DOCUMENT, b"key").int32(b"_id", 1).close();
    spec.string(b"name", "_id_");
    spec.finish()
}

/// Removes the mark of a temporary collection, as a rename does unless it says `stayTemp`.
pub(super) fn remove_temporary(state: &mut CollectionState) -> Result<(), String> {
    let mut options = Options::of(state)?;
    options.set(b"temp", None);
    state.options = options.finish();
    Ok(())
}

/// Replaces the validator, and removes level and action, which then have their defaults.
pub(super) fn set_validator(
    state: &mut CollectionState,
    validator: Option<Vec<u8>>,
) -> Result<(), String> {
    let mut options = Options::of(state)?;
    options.set(b"validator", validator.map(|bytes| Value { kind: kind::DOCUMENT, bytes }));
    options.set(b"validationLevel", None);
    options.set(b"validationAction", None);
    state.options = options.finish();
    Ok(())
}

/// Applies a `collMod`, except for its `index`.
pub(super) fn modify(
    state: &mut CollectionState,
    o: Doc<'_>,
    o2: Option<Doc<'_>>,
    era: Era,
) -> Result<(), String> {
    let mut options = Options::of(state)?;
    let mut validation = false;
    recall_pre_images(&mut options, o, o2, era);
    for element in o.elements().skip(1) {
        let element = element.map_err(|malformed| malformed.to_string())?;
        match element.name {
            b"index" => {}
            b"validator" => {
                let is_empty =
                    element.as_doc().ok_or("its validator is not a document")?.is_empty();
                options.set(b"validator", (!is_empty).then(|| Value::of(element)));
                validation = true;
            }
            b"validationLevel" | b"validationAction" => {
                options.set(element.name, Some(Value::of(element)));
                validation = true;
            }
            b"recordPreImages" => {
                // 4.4 logs a number as it was given, and lists a flag.
                let on = element.as_bool().unwrap_or(element.as_integer() != Some(0));
                options.set(element.name, on.then(Value::on));
                if on {
                    options.set(b"changeStreamPreAndPostImages", None);
                }
            }
            b"changeStreamPreAndPostImages" => {
                let enabled = element.as_doc().and_then(|doc| doc.get(b"enabled").ok().flatten());
                let on = enabled.and_then(Element::as_bool).ok_or("it is neither on nor off")?;
                options.set(element.name, on.then(|| Value::of(element)));
                if on {
                    options.set(b"recordPreImages", None);
                }
            }
            b"cappedSize" => {
                let size = element.as_integer().ok_or("its cappedSize is not a number")?;
                options.set(b"size", Some(Value::number(era.capped_size(size)?)));
            }
            b"cappedMax" => {
                let max = element.as_integer().ok_or("its cappedMax is not a number")?;
                options.set(b"max", Some(Value::number(if max > 0 { max } else { NO_MAX })));
            }
            b"expireAfterSeconds" => match element.as_integer() {
                Some(seconds) => options.set(element.name, Some(Value::int64(seconds))),
                None if element.as_str() == Some("off") => options.set(element.name, None),
                None => return Err("its expireAfterSeconds is neither a number nor off".to_owned()),
            },
            b"timeseries" => {
                let change = element.as_doc().ok_or("its timeseries is not a document")?;
                let merged = merge_timeseries(options.get(b"timeseries"), change)?;
                options.set(b"timeseries", Some(merged));
            }
            name => {
                return Err(format!("option {} unknown here", String::from_utf8_lossy(name)));
            }
        }
    }
    if validation {
        options.set_default(b"validationLevel", Value::string("strict"));
        options.set_default(b"validationAction", Value::string("error"));
    }
    state.options = options.finish();
    Ok(())
}

/// Corrects whether `recordPreImages` was on before a `collMod` (`o2` reveals what an earlier one
/// did silently), and switches it off if this `collMod`, which does not name it, does so.
fn recall_pre_images(options: &mut Options, o: Doc<'_>, o2: Option<Doc<'_>>, era: Era) {
    const NAME: &[u8] = b"recordPreImages";
    let field = |doc: Doc<'_>, name: &[u8]| doc.get(name).ok().flatten().map(Value::of);
    let before = o2.and_then(|o2| field(o2, b"collectionOptions_old"));
    if let Some(before) = before.as_ref().and_then(Value::as_doc) {
        options.set(NAME, field(before, NAME));
    }
    if field(o, NAME).is_none() && era.forgets_pre_images() {
        options.set(NAME, None);
    }
}

/// Merges a change into the `timeseries` option. A changed granularity brings its own bucket span.
/// A custom span removes the granularity.
fn merge_timeseries(before: Option<&Value>, change: Doc<'_>) -> Result<Value, String> {
    let before = before.and_then(Value::as_doc).ok_or("not a time-series collection")?;
    let granularity = change.get(b"granularity").ok().flatten();
    let custom = change.get(b"bucketMaxSpanSeconds").ok().flatten();
    let span = match granularity.and_then(Element::as_str) {
        None => None,
        Some("seconds") => Some(3_600),
        Some("minutes") => Some(86_400),
        Some("hours") => Some(2_592_000),
        Some(other) => return Err(format!("granularity {other} unknown here")),
    };
    let mut merged = Options::from_doc(before)?;
    match (granularity, span) {
        (Some(granularity), Some(span)) => {
            merged.set(b"granularity", Some(Value::of(granularity)));
            let span = custom.and_then(Element::as_integer).unwrap_or(span);
            merged.set(b"bucketMaxSpanSeconds", Some(Value::number(span)));
            merged.set(b"bucketRoundingSeconds", None);
        }
        _ if custom.is_some() => merged.set(b"granularity", None),
        _ => {}
    }
    for element in change.elements() {
        let element = element.map_err(|malformed| malformed.to_string())?;
        match element.name {
            b"granularity" => {}
            b"bucketMaxSpanSeconds" | b"bucketRoundingSeconds" => {
                let seconds = element.as_integer().ok_or("a bucket span that is no number")?;
                merged.set(element.name, Some(Value::number(seconds)));
            }
            name => {
                let name = String::from_utf8_lossy(name);
                return Err(format!("time-series option {name} unknown here"));
            }
        }
    }
    Ok(Value { kind: kind::DOCUMENT, bytes: merged.finish_in_place() })
}

/// A value without a name.
#[derive(Clone)]
struct Value {
    kind: u8,
    bytes: Vec<u8>,
}

impl Value {
    fn of(element: Element<'_>) -> Self {
        Value { kind: element.kind, bytes: element.value.to_vec() }
    }

    fn on() -> Self {
        Value { kind: kind::BOOL, bytes: vec![1] }
    }

    fn int64(number: i64) -> Self {
        Value { kind: kind::INT64, bytes: number.to_le_bytes().to_vec() }
    }

    /// A number in 32 bits if it fits, as the server's `appendNumber` writes it.
    fn number(number: i64) -> Self {
        match i32::try_from(number) {
            Ok(small) => Value { kind: kind::INT32, bytes: small.to_le_bytes().to_vec() },
            Err(_) => Value::int64(number),
        }
    }

    fn string(text: &str) -> Self {
        let mut bytes = (text.len() as u32 + 1).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Value { kind: kind::STRING, bytes }
    }

    fn as_doc(&self) -> Option<Doc<'_>> {
        (self.kind == kind::DOCUMENT).then(|| Doc::new(&self.bytes).ok())?
    }
}

/// Options by name, in their order.
struct Options(Vec<(Vec<u8>, Value)>);

impl Options {
    fn of(state: &CollectionState) -> Result<Self, String> {
        Self::from_doc(state.options())
    }

    fn from_doc(doc: Doc<'_>) -> Result<Self, String> {
        let fields = doc.elements().map(|element| {
            let element = element.map_err(|malformed| malformed.to_string())?;
            Ok((element.name.to_vec(), Value::of(element)))
        });
        Ok(Options(fields.collect::<Result<_, String>>()?))
    }

    fn get(&self, name: &[u8]) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    fn set(&mut self, name: &[u8], value: Option<Value>) {
        let at = self.0.iter().position(|(field, _)| field == name);
        match (at, value) {
            (Some(at), Some(value)) => self.0[at].1 = value,
            (Some(at), None) => drop(self.0.remove(at)),
            (None, Some(value)) => self.0.push((name.to_vec(), value)),
            (None, None) => {}
        }
    }

    fn set_default(&mut self, name: &[u8], value: Value) {
        if self.get(name).is_none() {
            self.set(name, Some(value));
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let rank = |name: &[u8]| ORDER.iter().position(|known| *known == name);
        self.0.sort_by_key(|(name, _)| rank(name).unwrap_or(ORDER.len()));
        self.finish_in_place()
    }

    fn finish_in_place(self) -> Vec<u8> {
        let mut doc = DocWriter::new();
        for (name, value) in &self.0 {
            doc.value(value.kind, name, &value.bytes);
        }
        doc.finish()
    }
}
