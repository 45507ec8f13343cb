//! Reads a base. Every byte is checked on every read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::frame::{self, FILE_HEAD_BYTES, FRAME_HEAD_BYTES, Frame, FrameHead};
use crate::manifest::{self, CollectionEntry, DataFile, Manifest, Uuid};
use crate::{Error, Result};

/// A finished base whose manifest has been checked.
#[derive(Debug, Clone)]
pub struct Base {
    directory: PathBuf,
    manifest: Manifest,
    digest: [u8; 32],
}

impl Base {
    /// Reads and checks the manifest. Data files are checked when they are read, or by
    /// [`Base::verify`].
    ///
    /// # Errors
    /// Returns [`Error::NotABase`] when the directory has no manifest, [`Error::Corrupt`] when the
    /// manifest is damaged, and [`Error::NewerFormat`] when a newer version wrote it.
    pub fn open(directory: &Path) -> Result<Self> {
        let (manifest, digest) = manifest::read(directory)?;
        Ok(Base { directory: directory.to_owned(), manifest, digest })
    }

    /// Returns the base's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the base's name, which is its directory's name.
    pub fn name(&self) -> String {
        let name = self.directory.file_name().unwrap_or(self.directory.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Returns the base's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns BLAKE3 of the manifest. The manifest holds a digest of every file, so this digest
    /// stands for the whole base.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Returns the collections, ordered by database and name.
    pub fn collections(&self) -> &[CollectionEntry] {
        &self.manifest.collections
    }

    /// Returns the documents of one of [`Base::collections`], in the source's natural order.
    pub fn frames(&self, collection: &CollectionEntry) -> Frames {
        self.frames_of(collection, |_| true)
    }

    /// Returns the documents in one of the collection's files.
    pub(crate) fn frames_of_file(&self, collection: &CollectionEntry, file: &DataFile) -> Frames {
        self.frames_of(collection, |candidate| candidate.name == file.name)
    }

    fn frames_of(
        &self,
        collection: &CollectionEntry,
        wanted: impl Fn(&DataFile) -> bool,
    ) -> Frames {
        let parts = collection.files.iter().cloned().enumerate();
        Frames {
            directory: self.directory.clone(),
            uuid: collection.info.uuid,
            parts: parts.filter(|(_, file)| wanted(file)).collect(),
            open: None,
            failed: false,
        }
    }
}

/// The frames of one collection. After the last frame of each file, the file's counts, length and
/// digest are checked, and a failure is an item like any other. So the documents are known to be
/// complete only when the iterator has ended without an error. After an error it ends.
#[derive(Debug)]
pub struct Frames {
    directory: PathBuf,
    uuid: Uuid,
    parts: VecDeque<(usize, DataFile)>,
    open: Option<PartReader>,
    failed: bool,
}

impl Frames {
    fn read_next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(part) = &mut self.open {
                match part.next_frame()? {
                    Some(frame) => return Ok(Some(frame)),
                    None => self.open = None,
                }
            }
            let Some((number, file)) = self.parts.pop_front() else {
                return Ok(None);
            };
            self.open = Some(PartReader::open(&self.directory, file, &self.uuid, number)?);
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.read_next().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}

struct PartReader {
    path: PathBuf,
    file: BufReader<File>,
    unpacker: zstd::bulk::Decompressor<'static>,
    hasher: blake3::Hasher,
    expected: DataFile,
    read: DataFile,
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader").field("read", &self.read).finish_non_exhaustive()
    }
}

impl PartReader {
    fn open(directory: &Path, expected: DataFile, uuid: &Uuid, number: usize) -> Result<Self> {
        let path = directory.join(&expected.name);
        check_length(&path, expected.stored_bytes)?;
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let unpacker = zstd::bulk::Decompressor::new().map_err(Error::io("decompress", &path))?;
        let read = DataFile {
            name: expected.name.clone(),
            documents: 0,
            frames: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            blake3: [0; 32],
        };
        let hasher = blake3::Hasher::new();
        let mut part =
            PartReader { file: BufReader::new(file), path, unpacker, hasher, expected, read };
        let mut head = [0; FILE_HEAD_BYTES];
        part.fill(&mut head)?;
        let number = u32::try_from(number).map_err(|_| part.corrupt("too many parts"))?;
        frame::check_file_head(&head, uuid, number).map_err(|reason| part.corrupt(reason))?;
        Ok(part)
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.read.stored_bytes == self.expected.stored_bytes {
            return self.check_end().map(|()| None);
        }
        let mut head = [0; FRAME_HEAD_BYTES];
        self.fill(&mut head)?;
        let head = FrameHead::read(&head).map_err(|reason| self.corrupt(reason))?;
        let mut stored = vec![0; head.stored_bytes];
        self.fill(&mut stored)?;
        let frame =
            head.decode(&stored, &mut self.unpacker).map_err(|reason| self.corrupt(reason))?;
        self.read.frames += 1;
        self.read.documents += u64::from(head.documents);
        self.read.raw_bytes += head.raw_bytes as u64;
        Ok(Some(frame))
    }

    /// Fills the buffer. Its length must not exceed what is left of the file.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let left = self.expected.stored_bytes - self.read.stored_bytes;
        if buffer.len() as u64 > left {
            return Err(self.corrupt("its last frame is cut short"));
        }
        self.file.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.corrupt("it ends before its time"),
            _ => Error::io("read", &self.path)(error),
        })?;
        self.hasher.update(buffer);
        self.read.stored_bytes += buffer.len() as u64;
        Ok(())
    }

    fn check_end(&mut self) -> Result<()> {
        self.read.blake3 = *self.hasher.finalize().as_bytes();
        if self.read != self.expected {
            return Err(self.corrupt("its counts or digest differ from the manifest's"));
        }
        Ok(())
    }

    fn corrupt(&self, reason: &str) -> Error {
        Error::corrupt(&self.path, reason)
    }
}

/// Checks that the file exists and has the length that the manifest says.
pub(crate) fn check_length(path: &Path, expected: u64) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == expected => Ok(()),
        Ok(metadata) => Err(Error::corrupt(
            path,
            format!("it has {} bytes, the manifest says {expected}", metadata.len()),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::corrupt(path, "the file is missing"))
        }
        Err(error) => Err(Error::io("read", path)(error)),
    }
}
