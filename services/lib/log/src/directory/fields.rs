//! Fields of what the directory holds besides segments, and what is wrong with them.

use std::path::Path;

use crate::error::{Damage, LogError};

/// Why bytes are not what this program writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Damaged(&'static str),
    /// A newer program wrote them, in this version.
    Newer(u16),
}

impl Wrong {
    /// Returns the error that names the file. `known` is the newest version that this program
    /// reads.
    pub(super) fn in_file(
        self,
        path: &Path,
        known: u16,
        damage: fn(&'static str) -> Damage,
    ) -> LogError {
        match self {
            Wrong::Damaged(what) => LogError::corrupt(path.display(), damage(what)),
            Wrong::Newer(found) => {
                let cause = hindsight_segment::Error::Unsupported { found, known };
                LogError::Unsupported { place: path.display().to_string(), cause }
            }
        }
    }
}

/// The bytes that were not taken yet.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Wrong> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Wrong::Damaged("it is cut short"))?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Wrong> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Wrong> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Wrong> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Checks the CRC32C at the end of `bytes`, and returns what stands before it.
pub(super) fn checked(bytes: &[u8]) -> Result<&[u8], Wrong> {
    let (body, checksum) =
        bytes.split_last_chunk::<4>().ok_or(Wrong::Damaged("it is cut short"))?;
    match crc32c::crc32c(body) == u32::from_le_bytes(*checksum) {
        true => Ok(body),
        false => Err(Wrong::Damaged("its checksum does not match its bytes")),
    }
}

/// Appends the CRC32C of all bytes.
pub(super) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}
