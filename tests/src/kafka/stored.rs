//! The files of a partition, read and altered behind the broker's back, as a failing disk would
//! alter them.
//!
//! Reads only uncompressed batches of format 2, in which our records are stored.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

const BATCH_LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const CHECKED_FROM: usize = 21;
const COUNT_AT: usize = 57;
const RECORDS_AT: usize = 61;

/// A record as it is stored in the file.
#[derive(Debug)]
pub struct StoredRecord {
    batch: Range<usize>,
    value: Range<usize>,
    /// The headers of the record, as text.
    pub headers: BTreeMap<String, String>,
}

/// The first file of a partition.
pub struct StoredPartition {
    path: PathBuf,
    bytes: Vec<u8>,
    /// All records of the file, in order.
    pub records: Vec<StoredRecord>,
}

impl StoredPartition {
    /// Reads the first file of the partition in `directory`.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("00000000000000000000.log");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut records = Vec::new();
        let mut at = 0;
        while at + RECORDS_AT <= bytes.len() {
            let length = i32_at(&bytes, at + BATCH_LENGTH_AT)? as usize;
            let batch = at..at + BATCH_LENGTH_AT + 4 + length;
            ensure!(batch.end <= bytes.len(), "a batch at {at} is cut short");
            records.extend(records_of(&bytes, batch.clone())?);
            at = batch.end;
        }
        Ok(Self { path, bytes, records })
    }

    /// Returns the value of a record.
    pub fn value(&self, record: &StoredRecord) -> &[u8] {
        &self.bytes[record.value.clone()]
    }

    /// Overwrites a part of a record's value. With `mend_checksum`, also corrects the checksum of
    /// the batch.
    pub fn overwrite(
        &mut self,
        record: usize,
        at: usize,
        with: &[u8],
        mend_checksum: bool,
    ) -> Result<()> {
        let StoredRecord { batch, value, .. } = &self.records[record];
        ensure!(at + with.len() <= value.len(), "it would write past the value");
        let start = value.start + at;
        self.bytes[start..start + with.len()].copy_from_slice(with);
        if mend_checksum {
            let checked = &self.bytes[batch.start + CHECKED_FROM..batch.end];
            let crc = crc32c::crc32c(checked).to_be_bytes();
            self.bytes[batch.start + CRC_AT..batch.start + CRC_AT + 4].copy_from_slice(&crc);
        }
        let file = File::options().write(true).open(&self.path)?;
        Ok(file.write_all_at(&self.bytes[batch.clone()], batch.start as u64)?)
    }
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32> {
    let field = bytes.get(at..at + 4).context("the file ends inside a field")?;
    Ok(i32::from_be_bytes(field.try_into()?))
}

fn records_of(bytes: &[u8], batch: Range<usize>) -> Result<Vec<StoredRecord>> {
    let count = i32_at(bytes, batch.start + COUNT_AT)?;
    let mut fields = Fields { bytes, at: batch.start + RECORDS_AT };
    (0..count).map(|_| fields.record(batch.clone())).collect()
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn record(&mut self, batch: Range<usize>) -> Result<StoredRecord> {
        self.varint()?; // length
        self.at += 1; // attributes
        self.varint()?; // timestamp
        self.varint()?; // offset
        self.field()?; // key
        let value = self.field()?;
        let mut headers = BTreeMap::new();
        for _ in 0..self.varint()? {
            let (name, value) = (self.text()?, self.text()?);
            headers.insert(name, value);
        }
        Ok(StoredRecord { batch, value, headers })
    }

    fn text(&mut self) -> Result<String> {
        let range = self.field()?;
        Ok(String::from_utf8_lossy(&self.bytes[range]).into_owned())
    }

    /// Reads a length and that many bytes; no bytes for a length of -1.
    fn field(&mut self) -> Result<Range<usize>> {
        let length = usize::try_from(self.varint()?).unwrap_or(0);
        let range = self.at..self.at + length;
        ensure!(range.end <= self.bytes.len(), "the file ends inside a record");
        self.at = range.end;
        Ok(range)
    }

    /// Reads a zigzag number with seven bits in each byte.
    fn varint(&mut self) -> Result<i64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).context("the file ends inside a number")?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        anyhow::bail!("a number has no end")
    }
}
