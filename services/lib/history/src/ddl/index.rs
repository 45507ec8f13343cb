//! Indexes in the catalog: the specs as the server stores them.

use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};

use super::era::Era;
use crate::CollectionState;

/// `createIndexes`: the command itself holds one spec.
pub(super) fn create_one(state: &mut CollectionState, o: Doc<'_>, era: Era) -> Result<(), String> {
    let mut spec = DocWriter::new();
    for element in o.elements().skip(1) {
        spec.element(element.map_err(|malformed| malformed.to_string())?);
    }
    add(state, spec.finish(), era)
}

/// `commitIndexBuild`: the command lists the specs.
pub(super) fn create_listed(
    state: &mut CollectionState,
    o: Doc<'_>,
    era: Era,
) -> Result<(), String> {
    let listed = o.get(b"indexes").ok().flatten().and_then(Element::as_array);
    for spec in listed.ok_or("no list of indexes")?.elements() {
        let spec = spec.ok().and_then(Element::as_doc).ok_or("an index that is no document")?;
        add(state, spec.as_bytes().to_vec(), era)?;
    }
    Ok(())
}

/// Adds a spec as the server lists it. The entry has the user's own words.
fn add(state: &mut CollectionState, spec: Vec<u8>, era: Era) -> Result<(), String> {
    let spec = match era.lists_repaired() {
        true => Doc::new(&spec)
            .and_then(hindsight_form::repaired)
            .map_err(|malformed| malformed.to_string())?,
        false => spec,
    };
    let name = name_of(&spec).ok_or("an index without a name")?.to_vec();
    if name == b"_id_" {
        state.id_index = Some(spec);
        return Ok(());
    }
    match position(state, &name) {
        Some(at) => state.indexes[at] = spec,
        None => state.indexes.push(spec),
    }
    Ok(())
}

/// `dropIndexes`: by name (which is what the server logs), by key, or all indexes but the one on
/// `_id`.
pub(super) fn remove(state: &mut CollectionState, o: Doc<'_>) -> Result<(), String> {
    let which = o.get(b"index").ok().flatten().ok_or("no index named")?;
    if which.as_string_bytes() == Some(b"*") {
        state.indexes.clear();
    } else if let Some(name) = which.as_string_bytes() {
        state.indexes.retain(|spec| name_of(spec) != Some(name));
    } else if let Some(key) = which.as_doc() {
        state.indexes.retain(|spec| field(spec, b"key").and_then(Element::as_doc) != Some(key));
    } else {
        return Err("an index named neither by name nor by key".to_owned());
    }
    Ok(())
}

/// The `index` part of a `collMod`. A changed field moves to the end of the spec, as the server
/// stores it. `false` is not stored. `unique` ends `prepareUnique`.
pub(super) fn modify(state: &mut CollectionState, o: Doc<'_>) -> Result<(), String> {
    let Some(change) = o.get(b"index").ok().flatten() else { return Ok(()) };
    let change = change.as_doc().ok_or("its index is not a document")?;
    let named = |name: &[u8]| change.get(name).ok().flatten();
    let at = match (named(b"name"), named(b"keyPattern")) {
        (Some(name), _) => name.as_string_bytes().and_then(|name| position(state, name)),
        (None, Some(key)) => state
            .indexes
            .iter()
            .position(|spec| field(spec, b"key").is_some_and(|field| field.value == key.value)),
        (None, None) => return Err("no index named".to_owned()),
    };
    // The server accepts this as well: IndexNotFound.
    let Some(at) = at else { return Ok(()) };
    for element in change.elements() {
        let element = element.map_err(|malformed| malformed.to_string())?;
        let spec = &state.indexes[at];
        state.indexes[at] = match element.name {
            b"name" | b"keyPattern" => continue,
            b"expireAfterSeconds" => {
                let seconds = element.as_integer().ok_or("its time to live is no number")?;
                with(spec, element.name, Some((kind::INT64, &seconds.to_le_bytes())))?
            }
            b"hidden" | b"prepareUnique" => with(spec, element.name, when_true(element))?,
            b"unique" => {
                with(&with(spec, b"prepareUnique", None)?, element.name, when_true(element))?
            }
            name => {
                let name = String::from_utf8_lossy(name);
                return Err(format!("index option {name} unknown here"));
            }
        };
    }
    Ok(())
}

fn when_true(element: Element<'_>) -> Option<(u8, &'static [u8])> {
    element.as_bool().unwrap_or(false).then_some((kind::BOOL, &[1]))
}

/// Returns the spec without that field, or with the field at the end.
fn with(spec: &[u8], name: &[u8], value: Option<(u8, &[u8])>) -> Result<Vec<u8>, String> {
    let mut changed = DocWriter::with_capacity(spec.len() + 32);
    for element in Doc::new(spec).map_err(|malformed| malformed.to_string())?.elements() {
        let element = element.map_err(|malformed| malformed.to_string())?;
        if element.name != name {
            changed.element(element);
        }
    }
    if let Some((kind, bytes)) = value {
        changed.value(kind, name, bytes);
    }
    Ok(changed.finish())
}

fn position(state: &CollectionState, name: &[u8]) -> Option<usize> {
    state.indexes.iter().position(|spec| name_of(spec) == Some(name))
}

fn name_of(spec: &[u8]) -> Option<&[u8]> {
    field(spec, b"name")?.as_string_bytes()
}

fn field<'a>(spec: &'a [u8], name: &[u8]) -> Option<Element<'a>> {
    Doc::new(spec).ok()?.get(name).ok().flatten()
}
