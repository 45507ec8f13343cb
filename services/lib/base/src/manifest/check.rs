//! Checks what must hold within a manifest, no matter who wrote it.

use std::collections::HashSet;
use std::path::{Component, Path};

use hindsight_oplog::raw::Doc;

use super::{CollectionEntry, Manifest, Origin, uuid_text};

pub(super) fn consistent(manifest: &Manifest) -> Result<(), String> {
    positions(&manifest.origin)?;
    if manifest.capture_from != manifest.origin.capture_from() {
        return Err("capture_from is not the minimum of start and oldest_open".to_owned());
    }
    let mut uuids = HashSet::new();
    let mut files = HashSet::new();
    for entry in &manifest.collections {
        let of = |reason: String| format!("{}.{}: {reason}", entry.info.db, entry.info.name);
        if !uuids.insert(entry.info.uuid) {
            return Err(of(format!("UUID {} occurs twice", uuid_text(&entry.info.uuid))));
        }
        catalog_documents(entry).map_err(of)?;
        counts(entry).map_err(of)?;
        for file in &entry.files {
            plain_name(&file.name).map_err(of)?;
            if !files.insert(file.name.as_str()) {
                return Err(of(format!("file {} occurs twice", file.name)));
            }
        }
    }
    Ok(())
}

/// Checks `capture_from ≤ start ≤ scanned_after ≤ exact_from`.
fn positions(origin: &Origin) -> Result<(), String> {
    if origin.start.ts > origin.scanned_after {
        return Err(format!(
            "scans after {} cannot have seen all up to the start {}",
            origin.scanned_after, origin.start
        ));
    }
    if origin.scanned_after > origin.exact_from.ts {
        return Err(format!(
            "exact_from {} lies before what the scans saw, {}",
            origin.exact_from, origin.scanned_after
        ));
    }
    Ok(())
}

fn catalog_documents(entry: &CollectionEntry) -> Result<(), String> {
    let info = &entry.info;
    let documents = [&info.options].into_iter().chain(&info.id_index).chain(&info.indexes);
    for bytes in documents {
        let sound = Doc::new(bytes).and_then(Doc::validate);
        sound.map_err(|malformed| format!("options or indexes: {malformed}"))?;
    }
    Ok(())
}

fn counts(entry: &CollectionEntry) -> Result<(), String> {
    if entry.dropped_during_copy && !entry.files.is_empty() {
        return Err("dropped during the copy, and yet it has files".to_owned());
    }
    let sum = |count: fn(&super::DataFile) -> u64| {
        entry.files.iter().map(count).try_fold(0_u64, u64::checked_add)
    };
    let sums = [
        ("documents", sum(|file| file.documents), entry.documents),
        ("raw_bytes", sum(|file| file.raw_bytes), entry.raw_bytes),
        ("stored_bytes", sum(|file| file.stored_bytes), entry.stored_bytes),
    ];
    for (what, of_files, of_collection) in sums {
        if of_files != Some(of_collection) {
            return Err(format!("{what} is not the sum over its files"));
        }
    }
    Ok(())
}

/// Checks that a name is a plain file name. A file of a base lies in the base's directory, whatever
/// the manifest says.
fn plain_name(name: &str) -> Result<(), String> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(()),
        _ => Err(format!("{name:?} is not a plain file name")),
    }
}
