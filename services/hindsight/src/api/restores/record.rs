//! What a data directory remembers of its restores: DATA/restores/NAME, each a google.longrunning.Operation in
//! protobuf's encoding. No connection string is in it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use hindsight_proto::longrunning::Operation;
use prost::Message;

/// The prefix of every operation's name.
pub(super) const COLLECTION: &str = "operations/";
const UNFINISHED: &str = "new";

/// All that are on record.
pub(super) fn load(directory: &Path) -> Result<Vec<Operation>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("list {}", directory.display()));
        }
    };
    let mut operations = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", directory.display()))?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let operation = Operation::decode(&bytes[..]).with_context(|| {
            format!("{} is damaged; delete it: it only remembers a restore", path.display())
        })?;
        operations.push(operation);
    }
    Ok(operations)
}

/// Durable when this returns.
pub(super) fn store(directory: &Path, operation: &Operation) -> Result<()> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let path = directory.join(file_name(&operation.name));
        let temporary = path.with_extension(UNFINISHED);
        let mut file = File::create(&temporary)?;
        file.write_all(&operation.encode_to_vec())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    write().with_context(|| format!("write the record of a restore in {}", directory.display()))
}

pub(super) fn remove(directory: &Path, name: &str) -> Result<()> {
    match fs::remove_file(directory.join(file_name(name))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("delete the record of {name}"))
        }
        _ => Ok(()),
    }
}

/// Names are made by us: letters, digits and dashes.
fn file_name(name: &str) -> &str {
    name.strip_prefix(COLLECTION).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_loaded_until_it_is_removed() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("restores");
        assert!(load(&path)?.is_empty(), "there is no directory yet");
        let operation =
            Operation { name: "operations/restore-1".into(), done: true, ..Default::default() };
        store(&path, &operation)?;
        fs::write(path.join("restore-2.new"), b"half")?;
        assert_eq!(load(&path)?, std::slice::from_ref(&operation));
        remove(&path, &operation.name)?;
        remove(&path, &operation.name)?;
        assert!(load(&path)?.is_empty());
        fs::write(path.join("restore-3"), b"\xff\xff")?;
        assert!(format!("{:#}", load(&path).expect_err("damaged")).contains("restore-3"));
        Ok(())
    }
}
