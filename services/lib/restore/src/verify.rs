//! Reads the target back and compares it with what was written.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use hindsight_form::{Meaning, index_name};
use hindsight_oplog::raw::{Doc, Element, Malformed};
use hindsight_oplog::time_series::MIXED_SCHEMA;

use super::catalog::same_definition;
use super::destination::ReadBack;
use super::digest::Digest;
use super::error::RestoreError;
use super::plan::{Plan, PlannedCollection, VIEWS};
use super::progress::Progress;
use super::time_series;

/// What differs, by namespace.
pub(super) type Mismatches = BTreeMap<String, String>;

/// Digests every collection on the target and compares the digests. At that point no write of ours
/// is under way and nothing expires, so reading from the primary, which has confirmed that the
/// majority holds everything, is enough.
pub(super) async fn compare_documents(
    held: &dyn ReadBack,
    plan: &Plan,
    written: &[Digest],
    at_once: usize,
    progress: &Progress,
) -> Result<Mismatches, RestoreError> {
    let mut pairs: Vec<_> = plan.collections.iter().zip(written).collect();
    pairs.sort_by_key(|(_, digest)| std::cmp::Reverse(digest.bytes));
    let compared = stream::iter(pairs).map(|(collection, written)| async move {
        let held = held.digest(collection, progress).await?;
        let differs = (held != *written).then(|| {
            format!(
                "{} documents, {} bytes, digest {written} were written; the target holds {}, {}, {held}",
                written.documents, written.bytes, held.documents, held.bytes
            )
        });
        Ok::<_, RestoreError>(differs.map(|differs| (collection.state.namespace(), differs)))
    });
    let found: Vec<_> = compared.buffer_unordered(at_once).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Compares options, indexes and views with the plan, and looks for collections that are not in the
/// plan.
pub(super) async fn compare_catalog(
    held: &dyn ReadBack,
    plan: &Plan,
    strangers_allowed: bool,
) -> Result<Mismatches, RestoreError> {
    let mut databases: BTreeSet<&str> =
        plan.collections.iter().map(|c| c.state.db.as_str()).collect();
    databases.extend(plan.views.iter().map(|view| view.db.as_str()));
    let mut mismatches = Mismatches::new();
    for db in databases {
        let listed = held.catalog(db).await?;
        let listed = by_name(&listed).map_err(|error| garbled(db, error))?;
        for collection in plan.collections.iter().filter(|c| c.state.db == db) {
            let entry = listed.get(collection.state.name.as_str());
            let differs = compare_collection(held, collection, entry.copied()).await?;
            mismatches.extend(differs.map(|differs| (collection.state.namespace(), differs)));
        }
        mismatches.extend(compare_views(held, db, plan, &listed).await?);
        if !strangers_allowed {
            mismatches.extend(strangers(db, plan, &listed));
        }
    }
    Ok(mismatches)
}

/// Returns the entries of `listCollections` by name.
fn by_name(entries: &[Vec<u8>]) -> Result<BTreeMap<String, Doc<'_>>, Malformed> {
    let mut listed = BTreeMap::new();
    for entry in entries {
        let entry = Doc::new(entry)?;
        let name = entry.get(b"name")?.and_then(Element::as_str);
        listed.insert(name.ok_or(Malformed("collection without a name"))?.to_owned(), entry);
    }
    Ok(listed)
}

fn options_of<'a>(entry: Doc<'a>) -> Result<Doc<'a>, Malformed> {
    Ok(entry.get(b"options")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY))
}

async fn compare_collection(
    held: &dyn ReadBack,
    collection: &PlannedCollection,
    entry: Option<Doc<'_>>,
) -> Result<Option<String>, RestoreError> {
    let Some(entry) = entry else { return Ok(Some("it does not exist on the target".into())) };
    let namespace = collection.state.namespace();
    let bad = |error| garbled(&namespace, error);
    let expected = Doc::new(&collection.state.options).map_err(bad)?;
    let differs =
        options_of(entry).and_then(|options| options_difference(collection, expected, options));
    if let Some(fields) = differs.map_err(bad)? {
        return Ok(Some(format!("its options differ: {fields}")));
    }
    let held = held.indexes(collection).await?;
    compare_indexes(&collection.state.indexes, &held).map_err(bad)
}

/// Returns the names of the options that differ. The mark of mixed types is compared where the plan
/// sets one. The mark of a temporary collection is not compared: if it could not be set, a warning
/// said so when the collection was created.
fn options_difference(
    collection: &PlannedCollection,
    expected: Doc<'_>,
    held: Doc<'_>,
) -> Result<Option<String>, Malformed> {
    let Some(series) = &collection.time_series else {
        return Ok(Meaning::of_options(expected)?.difference(&Meaning::of_options(held)?));
    };
    let (expected, _) = time_series::comparable(expected)?;
    let (held, mark) = time_series::comparable(held)?;
    if series.mark.is_some() && series.final_mark() != mark {
        return Ok(Some(MIXED_SCHEMA.to_owned()));
    }
    let meaning = |options: &[u8]| Doc::new(options).and_then(Meaning::of_options);
    Ok(meaning(&expected)?.difference(&meaning(&held)?))
}

/// Returns the first difference between two sets of indexes, in words. What `listIndexes` shows of
/// a clustered collection's own order is not an index but an option, and is compared as an option.
fn compare_indexes(expected: &[Vec<u8>], held: &[Vec<u8>]) -> Result<Option<String>, Malformed> {
    let expected = real_indexes(expected)?;
    let held = real_indexes(held)?;
    for spec in &expected {
        let name = index_name(spec);
        let Some(other) = held.iter().find(|other| index_name(other) == name) else {
            return Ok(Some(format!("its index {name} is missing")));
        };
        let meaning = |spec: &[u8]| Doc::new(spec).and_then(Meaning::of_index);
        if let Some(fields) = meaning(spec)?.difference(&meaning(other)?) {
            return Ok(Some(format!("its index {name} differs: {fields}")));
        }
    }
    let unknown = held.iter().map(|spec| index_name(spec));
    let mut unknown = unknown.filter(|name| !expected.iter().any(|spec| index_name(spec) == *name));
    Ok(unknown.next().map(|name| format!("it has an index {name} that the state does not have")))
}

fn real_indexes(specs: &[Vec<u8>]) -> Result<Vec<&Vec<u8>>, Malformed> {
    let mut real = Vec::with_capacity(specs.len());
    for spec in specs {
        if Doc::new(spec)?.get(b"clustered")?.is_none() {
            real.push(spec);
        }
    }
    Ok(real)
}

/// Compares the views of a database. Where the target shows `system.views`, their documents are
/// compared byte by byte (those of time-series by meaning). Otherwise, what `listCollections` says
/// about each view is compared.
async fn compare_views(
    held: &dyn ReadBack,
    db: &str,
    plan: &Plan,
    listed: &BTreeMap<String, Doc<'_>>,
) -> Result<Mismatches, RestoreError> {
    let views = || plan.views.iter().filter(|view| view.db == db);
    if views().next().is_none() {
        return Ok(Mismatches::new());
    }
    let definitions = held.views(db).await?;
    let is_held = |view: &super::plan::PlannedView| -> Result<bool, Malformed> {
        if let Some(definitions) = &definitions {
            if view.time_series {
                return has_time_series(definitions, &view.definition);
            }
            return Ok(definitions.contains(&view.definition));
        }
        let Some(entry) = listed.get(&view.name) else { return Ok(false) };
        let time_series = entry.get(b"type")?.and_then(Element::as_str) == Some("timeseries");
        if view.time_series || time_series {
            return Ok(view.time_series && time_series);
        }
        same_definition(Doc::new(&view.definition)?, options_of(*entry)?, &[b"_id"])
    };
    let mut mismatches = Mismatches::new();
    for view in views() {
        if !is_held(view).unwrap_or(false) {
            let namespace = format!("{db}.{}", view.name);
            mismatches.insert(namespace, "the view is missing or differs".into());
        }
    }
    Ok(mismatches)
}

fn has_time_series(definitions: &[Vec<u8>], expected: &[u8]) -> Result<bool, Malformed> {
    let expected = Doc::new(expected)?;
    for held in definitions {
        if time_series::same_view(expected, Doc::new(held)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns collections that the target has and the state does not have: someone else is writing to
/// the target.
fn strangers(db: &str, plan: &Plan, listed: &BTreeMap<String, Doc<'_>>) -> Mismatches {
    let known = |name: &str| {
        name == VIEWS
            || super::plan::skip_reason(db, name).is_some()
            || (db == "admin" && name.starts_with("system."))
            || plan.collections.iter().any(|c| c.state.db == db && c.state.name == name)
            || plan.views.iter().any(|view| view.db == db && view.name == name)
    };
    let strangers = listed.keys().filter(|name| !known(name));
    let tell =
        |name| (format!("{db}.{name}"), "someone else made it during the restore".to_owned());
    strangers.map(tell).collect()
}

fn garbled(what: &str, error: Malformed) -> RestoreError {
    RestoreError::Unavailable { doing: format!("reading {what}"), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn indexes_are_compared_by_name_and_meaning() {
        let spec = |raw: bson::RawDocumentBuf| raw.into_bytes();
        let a = || spec(rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" });
        let hidden = spec(rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "hidden": true });
        let b = || spec(rawdoc! { "v": 2, "key": { "b": 1 }, "name": "b_1" });
        let compare = |expected: &[Vec<u8>], held: &[Vec<u8>]| {
            compare_indexes(expected, held).expect("well formed").unwrap_or_default()
        };
        assert_eq!(compare(&[a(), b()], &[b(), a()]), "");
        assert_eq!(compare(&[a(), b()], &[b()]), "its index a_1 is missing");
        assert_eq!(compare(&[a()], &[hidden]), "its index a_1 differs: hidden");
        assert_eq!(
            compare(&[a()], &[a(), b()]),
            "it has an index b_1 that the state does not have"
        );
        let order = rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "byid", "clustered": true };
        assert_eq!(compare(&[a()], &[a(), spec(order)]), "");
    }
}
