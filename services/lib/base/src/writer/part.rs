//! Writes one data file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::manifest::{DataFile, Uuid};
use crate::{Error, Result, frame};

pub(super) struct PartWriter {
    path: PathBuf,
    file: File,
    packer: zstd::bulk::Compressor<'static>,
    hasher: blake3::Hasher,
    written: DataFile,
    /// True when a write failed, so that the file may end in part of a frame.
    failed: bool,
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartWriter").field("written", &self.written).finish_non_exhaustive()
    }
}

impl PartWriter {
    pub(super) fn create(
        directory: &Path,
        name: String,
        uuid: &Uuid,
        part: u32,
        zstd_level: i32,
    ) -> Result<Self> {
        let path = directory.join(&name);
        let packer = zstd::bulk::Compressor::new(zstd_level)
            .map_err(|error| Error::Refused(format!("zstd level {zstd_level}: {error}")))?;
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let written = DataFile {
            name,
            documents: 0,
            frames: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            blake3: [0; 32],
        };
        let mut part_writer = PartWriter {
            path,
            file,
            packer,
            hasher: blake3::Hasher::new(),
            written,
            failed: false,
        };
        part_writer.append_bytes(&frame::file_head(uuid, part))?;
        Ok(part_writer)
    }

    pub(super) fn name(&self) -> &str {
        &self.written.name
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        self.written.stored_bytes
    }

    pub(super) fn append(&mut self, raw: &[u8], documents: u32) -> Result<()> {
        let frame = frame::encode(raw, documents, &mut self.packer)
            .map_err(Error::io("compress documents for", &self.path))?;
        self.append_bytes(&frame)?;
        self.written.frames += 1;
        self.written.documents += u64::from(documents);
        self.written.raw_bytes += raw.len() as u64;
        Ok(())
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.refuse_after_failure()?;
        self.file.write_all(bytes).map_err(|error| {
            self.failed = true;
            Error::io("write", &self.path)(error)
        })?;
        self.hasher.update(bytes);
        self.written.stored_bytes += bytes.len() as u64;
        Ok(())
    }

    fn refuse_after_failure(&self) -> Result<()> {
        if self.failed {
            let path = self.path.display();
            return Err(Error::Refused(format!("an earlier write to {path} failed: begin again")));
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<DataFile> {
        self.refuse_after_failure()?;
        self.file.sync_all().map_err(Error::io("sync", &self.path))?;
        self.written.blake3 = *self.hasher.finalize().as_bytes();
        Ok(self.written)
    }
}
