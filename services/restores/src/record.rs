//! The records of restores in a data directory: DATA/restores/NAME, each a
//! google.longrunning.Operation in protobuf encoding with one additional field. A record holds no
//! connection string.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use hindsight_proto::longrunning::Operation;
use hindsight_runtime::files::{remove_if_there, write_durably};
use prost::Message;

use crate::fingerprint::Fingerprint;

/// The prefix of every operation's name.
pub(crate) const COLLECTION: &str = "operations/";
const UNFINISHED: [&str; 2] = ["tmp", "new"];

/// The record of one restore.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) operation: Operation,
    /// The fingerprint of the request that began the restore. Earlier versions stored none.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// The field that an Operation does not have. A program that reads the record as an Operation skips
/// the field.
#[derive(Clone, PartialEq, Message)]
struct Addition {
    #[prost(bytes = "vec", tag = "1000")]
    fingerprint: Vec<u8>,
}

impl Record {
    fn encoded(&self) -> Vec<u8> {
        let fingerprint = self.fingerprint.as_ref().map_or(&[][..], Fingerprint::bytes).to_vec();
        // Two encoded messages, one after the other, decode as one message with the fields of both.
        [self.operation.encode_to_vec(), Addition { fingerprint }.encode_to_vec()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let (operation, addition) = (Operation::decode(bytes)?, Addition::decode(bytes)?);
        Ok(Self { operation, fingerprint: Fingerprint::from_bytes(&addition.fingerprint) })
    }
}

/// Reads all records.
pub(crate) fn load(directory: &Path) -> Result<Vec<Record>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("list {}", directory.display()));
        }
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", directory.display()))?.path();
        if path.extension().is_some_and(|extension| UNFINISHED.iter().any(|it| extension == *it)) {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let record = Record::decode(&bytes).with_context(|| {
            format!("{} is damaged; delete it: it only remembers a restore", path.display())
        })?;
        records.push(record);
    }
    Ok(records)
}

/// Writes a record, which is durable when this returns.
pub(crate) fn store(directory: &Path, record: &Record) -> Result<()> {
    let write = || -> Result<()> {
        fs::create_dir_all(directory)?;
        let path = directory.join(file_name(&record.operation.name));
        write_durably(&path, &record.encoded())?;
        Ok(())
    };
    write().with_context(|| format!("write the record of a restore in {}", directory.display()))
}

pub(crate) fn remove(directory: &Path, name: &str) -> Result<()> {
    let removed = remove_if_there(&directory.join(file_name(name)));
    removed.with_context(|| format!("delete the record of {name}"))
}

/// Names are made by this program: letters, digits and dashes.
fn file_name(name: &str) -> &str {
    name.strip_prefix(COLLECTION).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str) -> Operation {
        Operation { name: name.into(), done: true, ..Default::default() }
    }

    #[test]
    fn a_record_and_an_operation_are_read_as_each_other() -> Result<()> {
        let operation = operation("operations/restore-1");
        let old = Record::decode(&operation.encode_to_vec())?;
        assert_eq!(old, Record { operation: operation.clone(), fingerprint: None });
        let fingerprint = Some(Fingerprint::of(&Default::default()));
        let new = Record { operation: operation.clone(), fingerprint };
        assert_eq!(Operation::decode(&new.encoded()[..])?, operation);
        assert_eq!(Record::decode(&new.encoded())?, new);
        Ok(())
    }

    #[test]
    fn what_was_stored_is_loaded_until_it_is_removed() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("restores");
        assert!(load(&path)?.is_empty(), "there is no directory yet");
        let fingerprint = Some(Fingerprint::of(&Default::default()));
        let record = Record { operation: operation("operations/restore-1"), fingerprint };
        store(&path, &record)?;
        fs::write(path.join("restore-2.new"), b"half")?;
        assert_eq!(load(&path)?, std::slice::from_ref(&record));
        remove(&path, &record.operation.name)?;
        remove(&path, &record.operation.name)?;
        assert!(load(&path)?.is_empty());
        fs::write(path.join("restore-3"), b"\xff\xff")?;
        assert!(format!("{:#}", load(&path).expect_err("damaged")).contains("restore-3"));
        Ok(())
    }
}
