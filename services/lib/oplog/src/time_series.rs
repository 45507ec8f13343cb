//! What the catalogs and buckets of time-series collections say about measurements of mixed types.
//!
//! Servers below 6.0 put measurements whose fields differ in type into one bucket; later servers
//! open a new bucket. A collection that may hold buckets of the old kind carries a mark,
//! `timeseriesBucketsMayHaveMixedSchemaData`: without the mark queries skip such buckets and lose
//! documents. 6.0.5 keeps the mark in its catalog alone (`$listCatalog`); later patch releases also
//! list it, inside `storageEngine` (server: SERVER-91195). Hindsight keeps the mark as those
//! releases list it, for all versions.

use crate::raw::{Doc, DocWriter, Element, Malformed, kind};

/// The prefix in the name of the collection that holds the buckets of a time-series collection.
pub const BUCKETS_PREFIX: &str = "system.buckets.";

/// The name of the mark, in catalogs and as a parameter of `collMod`.
pub const MIXED_SCHEMA: &str = "timeseriesBucketsMayHaveMixedSchemaData";

const STORAGE_ENGINE: &[u8] = b"storageEngine";
const WIRED_TIGER: &[u8] = b"wiredTiger";
const CONFIG: &[u8] = b"configString";
const METADATA: &str = "app_metadata=(";

/// Returns the mark in the options of `listCollections`; `None` where the options do not have it.
///
/// # Errors
/// Returns [`Malformed`] when the options are not BSON.
pub fn mixed_schema_mark(options: Doc<'_>) -> Result<Option<bool>, Malformed> {
    Ok(config_string(options)?.and_then(mark_of))
}

/// Returns the options with that mark, or without a mark, as a patched server lists them after a
/// `collMod`. The option `storageEngine` stays where it is, or comes first.
///
/// # Errors
/// Returns [`Malformed`] when the options are not BSON.
pub fn with_mixed_schema_mark(options: Doc<'_>, mark: Option<bool>) -> Result<Vec<u8>, Malformed> {
    let changed = config_with(config_string(options)?.unwrap_or_default(), mark);
    let engine = options.get(STORAGE_ENGINE)?.and_then(Element::as_doc);
    let engine = with_config(engine.unwrap_or(Doc::EMPTY), changed.as_deref())?;
    let mut written = DocWriter::with_capacity(options.as_bytes().len() + 128);
    let mut pending = (!engine.is_empty()).then_some(engine);
    if options.get(STORAGE_ENGINE)?.is_none()
        && let Some(engine) = pending.take()
    {
        written.value(kind::DOCUMENT, STORAGE_ENGINE, &engine);
    }
    for element in options.elements() {
        let element = element?;
        if element.name != STORAGE_ENGINE {
            written.element(element);
        } else if let Some(engine) = pending.take() {
            written.value(kind::DOCUMENT, STORAGE_ENGINE, &engine);
        }
    }
    Ok(written.finish())
}

/// Returns `storageEngine` with that `wiredTiger.configString`, and no bytes at all when nothing is
/// left of it.
fn with_config(engine: Doc<'_>, config: Option<&str>) -> Result<Vec<u8>, Malformed> {
    let wired_tiger = engine.get(WIRED_TIGER)?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
    let mut inner = DocWriter::new();
    for element in wired_tiger.elements() {
        let element = element?;
        if element.name != CONFIG {
            inner.element(element);
        }
    }
    if let Some(config) = config {
        inner.string(CONFIG, config);
    }
    let inner = inner.finish();
    let mut outer = DocWriter::new();
    for element in engine.elements() {
        let element = element?;
        if element.name != WIRED_TIGER {
            outer.element(element);
        }
    }
    if !Doc::new(&inner)?.is_empty() {
        outer.value(kind::DOCUMENT, WIRED_TIGER, &inner);
    }
    let outer = outer.finish();
    Ok(if Doc::new(&outer)?.is_empty() { Vec::new() } else { outer })
}

fn config_string(options: Doc<'_>) -> Result<Option<&str>, Malformed> {
    let Some(engine) = options.get(STORAGE_ENGINE)?.and_then(Element::as_doc) else {
        return Ok(None);
    };
    let Some(wired_tiger) = engine.get(WIRED_TIGER)?.and_then(Element::as_doc) else {
        return Ok(None);
    };
    Ok(wired_tiger.get(CONFIG)?.and_then(Element::as_str))
}

fn mark_of(config: &str) -> Option<bool> {
    let (_, metadata, _) = split(config)?;
    metadata
        .split(',')
        .find_map(|entry| entry.trim().strip_prefix(MIXED_SCHEMA)?.strip_prefix('=')?.parse().ok())
}

/// Returns what comes before `app_metadata=(…)`, what is inside, and what comes after.
fn split(config: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = config.split_once(METADATA)?;
    let (metadata, after) = rest.split_once(')')?;
    Some((before, metadata, after))
}

/// Returns the config string with that mark. The mark comes first inside `app_metadata`, which a
/// server appends where there is none (seen on 6.0.27 and 7.0.28).
fn config_with(config: &str, mark: Option<bool>) -> Option<String> {
    let (before, metadata, after) = split(config).unwrap_or((config, "", ""));
    let is_mark = |entry: &&str| entry.trim().starts_with(MIXED_SCHEMA);
    let others = metadata.split(',').filter(|entry| !entry.is_empty() && !is_mark(entry));
    let mark = mark.map(|mark| format!("{MIXED_SCHEMA}={mark}"));
    let entries: Vec<&str> = mark.as_deref().into_iter().chain(others).collect();
    if entries.is_empty() {
        let comma = if before.is_empty() { after.strip_prefix(',') } else { None };
        let left = match comma {
            Some(after) => after.to_owned(),
            None => format!("{}{after}", before.strip_suffix(',').unwrap_or(before)),
        };
        return (!left.is_empty()).then_some(left);
    }
    let entries = entries.join(",");
    if split(config).is_some() {
        return Some(format!("{before}{METADATA}{entries}){after}"));
    }
    let comma = if before.is_empty() { "" } else { "," };
    Some(format!("{before}{comma}{METADATA}{entries})"))
}

/// Returns whether a bucket holds measurements of mixed types: whether the types of a field's least
/// and greatest value differ (server: `doesMinMaxHaveMixedSchemaData`).
///
/// # Errors
/// Returns [`Malformed`] when the bucket is not BSON.
pub fn is_mixed_bucket(bucket: Doc<'_>) -> Result<bool, Malformed> {
    let Some(control) = bucket.get(b"control")?.and_then(Element::as_doc) else { return Ok(false) };
    let bound = |name: &[u8]| Ok(control.get(name)?.and_then(Element::as_doc));
    match (bound(b"min")?, bound(b"max")?) {
        (Some(min), Some(max)) => differ_in_type(min, max, crate::raw::MAX_DEPTH),
        _ => Ok(false),
    }
}

/// Whether fields differ in type. The fields of both documents stand in the same order.
fn differ_in_type(min: Doc<'_>, max: Doc<'_>, depth_left: usize) -> Result<bool, Malformed> {
    for (min, max) in min.elements().zip(max.elements()) {
        let (min, max) = (min?, max?);
        if canonical(min.kind) != canonical(max.kind) {
            return Ok(true);
        }
        let nested = min.as_doc().or(min.as_array()).zip(max.as_doc().or(max.as_array()));
        if let Some((min, max)) = nested
            && depth_left > 0
            && differ_in_type(min, max, depth_left - 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the same type for all types that the server compares with each other (server:
/// `canonicalizeBSONType`).
fn canonical(type_byte: u8) -> u8 {
    match type_byte {
        kind::INT32 | kind::INT64 | kind::DECIMAL128 => kind::DOUBLE,
        kind::SYMBOL => kind::STRING,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn doc(raw: &RawDocumentBuf) -> Doc<'_> {
        Doc::new(raw.as_bytes()).expect("a document")
    }

    fn engine(config: &str) -> RawDocumentBuf {
        rawdoc! { "storageEngine": { "wiredTiger": { "configString": config } }, "clusteredIndex": true }
    }

    #[track_caller]
    fn check(before: &RawDocumentBuf, mark: Option<bool>, after: &RawDocumentBuf) {
        let changed = with_mixed_schema_mark(doc(before), mark).expect("well formed");
        assert_eq!(RawDocumentBuf::from_bytes(changed).expect("a document"), *after);
        assert_eq!(mixed_schema_mark(doc(after)).expect("well formed"), mark);
    }

    /// Each is as 6.0.27 and 7.0.28 listed it after a `collMod`.
    #[test]
    fn the_mark_is_written_as_servers_list_it() {
        let on = "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=true)";
        let off = "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=false)";
        let none = rawdoc! { "clusteredIndex": true };
        check(&none, Some(true), &engine(on));
        check(&engine(on), Some(false), &engine(off));
        check(&engine(on), None, &none);
        let zlib = |rest: &str| engine(&format!("block_compressor=zlib{rest}"));
        check(&zlib(""), Some(true), &zlib(&format!(",{on}")));
        check(&zlib(&format!(",{on}")), None, &zlib(""));
        check(&zlib(","), Some(true), &zlib(&format!(",,{on}")));
        let with_other = "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=true,x=1)";
        check(&zlib(",app_metadata=(x=1)"), Some(true), &zlib(&format!(",{with_other}")));
        check(&zlib(&format!(",{with_other}")), None, &zlib(",app_metadata=(x=1)"));
        let first = |mark: &str| engine(&format!("{mark},block_compressor=zlib"));
        check(&first(on), Some(false), &first(off));
        check(&first(on), None, &zlib(""));
    }

    #[test]
    fn other_options_stay_as_they_are() {
        let before = rawdoc! {
            "storageEngine": { "other": 1, "wiredTiger": { "x": 2 } }, "timeseries": { "timeField": "t" },
        };
        assert_eq!(mixed_schema_mark(doc(&before)).expect("well formed"), None);
        check(&before, None, &before);
        let after = rawdoc! {
            "storageEngine": { "other": 1, "wiredTiger": {
                "x": 2, "configString": "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=true)",
            } },
            "timeseries": { "timeField": "t" },
        };
        check(&before, Some(true), &after);
    }

    #[test]
    fn a_bucket_tells_whether_types_are_mixed() {
        let mixed = |min: RawDocumentBuf, max: RawDocumentBuf| {
            let bucket = rawdoc! { "_id": 1, "control": { "version": 1, "min": min, "max": max } };
            is_mixed_bucket(doc(&bucket)).expect("well formed")
        };
        assert!(!mixed(rawdoc! { "v": 1, "s": "a" }, rawdoc! { "v": 2.5, "s": "b" }));
        assert!(!mixed(rawdoc! { "v": 1_i64 }, rawdoc! { "v": 7 }));
        assert!(mixed(rawdoc! { "v": 1 }, rawdoc! { "v": "a" }));
        assert!(mixed(rawdoc! { "v": bson::RawBson::Null }, rawdoc! { "v": 1 }));
        assert!(mixed(rawdoc! { "v": { "x": 1 } }, rawdoc! { "v": [1] }));
        assert!(mixed(rawdoc! { "v": { "x": [1, 2] } }, rawdoc! { "v": { "x": [1, "b"] } }));
        assert!(!mixed(rawdoc! { "v": { "x": [1, 2] } }, rawdoc! { "v": { "x": [3, 4.5] } }));
        assert!(!is_mixed_bucket(doc(&rawdoc! { "_id": 1 })).expect("well formed"));
    }
}
