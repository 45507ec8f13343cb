//! Writes a base.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_oplog::raw::Doc;
use hindsight_runtime::files;

use crate::manifest::{self, CollectionEntry, CollectionInfo, Manifest, Origin};
use crate::{Base, Error, Result, frame};

mod part;

use part::PartWriter;

/// The ending of the name of a base that is not finished.
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";

/// How a base is written.
#[derive(Debug, Clone)]
pub struct WriterSettings {
    /// The zstd level. The default is 1: on two cores a higher level, and not the source, would set
    /// the pace.
    pub zstd_level: i32,
    /// A collection continues in a new file once a file has this length in bytes. So files stay
    /// small enough to be moved and checked one by one.
    pub max_file_bytes: u64,
}

impl Default for WriterSettings {
    fn default() -> Self {
        WriterSettings { zstd_level: 1, max_file_bytes: 1 << 30 }
    }
}

/// A file in a base that is being written. It is locked as long as the base's writer lives, so that
/// nobody takes the base for a left-over.
pub(crate) const LOCK_NAME: &str = "being-written.lock";

/// A base that is being written. Several tasks can write collections at once.
///
/// When it is dropped without [`BaseWriter::finish`], it leaves its `.partial` directory for
/// [`crate::remove_partial`].
#[derive(Debug)]
pub struct BaseWriter {
    directory_of_bases: PathBuf,
    directory: PathBuf,
    settings: WriterSettings,
    shared: Arc<Mutex<Written>>,
    lock: File,
}

/// What the collection writers report to the base writer.
#[derive(Debug, Default)]
struct Written {
    files_named: u32,
    writers_open: usize,
    collections: Vec<CollectionEntry>,
}

fn lock(shared: &Mutex<Written>) -> MutexGuard<'_, Written> {
    // Nothing in here can be half done, because each holder makes one change.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BaseWriter {
    /// Creates `directory_of_bases/name.partial`, which must not exist.
    ///
    /// # Errors
    /// Returns [`Error::Io`] or [`Error::DiskFull`] when the directory cannot be created.
    pub fn create(directory_of_bases: &Path, name: &str, settings: WriterSettings) -> Result<Self> {
        fs::create_dir_all(directory_of_bases).map_err(Error::io("create", directory_of_bases))?;
        let directory = directory_of_bases.join(format!("{name}{PARTIAL_SUFFIX}"));
        fs::create_dir(&directory).map_err(Error::io("create", &directory))?;
        let lock_path = directory.join(LOCK_NAME);
        let lock = File::create_new(&lock_path).map_err(Error::io("create", &lock_path))?;
        lock.lock().map_err(Error::io("lock", &lock_path))?;
        let directory_of_bases = directory_of_bases.to_owned();
        let shared = Arc::default();
        Ok(BaseWriter { directory_of_bases, directory, settings, shared, lock })
    }

    /// Returns the `.partial` directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins one collection. A UUID may be begun again only after its earlier writer was
    /// abandoned.
    pub fn collection(&self, info: CollectionInfo) -> CollectionWriter {
        lock(&self.shared).writers_open += 1;
        CollectionWriter {
            info,
            directory: self.directory.clone(),
            settings: self.settings.clone(),
            shared: Arc::clone(&self.shared),
            frame: Vec::new(),
            documents_in_frame: 0,
            part: None,
            parts: Vec::new(),
            finished: false,
        }
    }

    /// Adds a collection that was dropped while the base was taken. It is part of the catalog, but
    /// has no documents.
    pub fn dropped_collection(&self, info: CollectionInfo) {
        let entry = CollectionEntry {
            info,
            dropped_during_copy: true,
            documents: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            files: Vec::new(),
        };
        lock(&self.shared).collections.push(entry);
    }

    /// Writes the manifest, which makes the directory a base, and gives the base its name:
    /// `base-SECONDS-INCREMENT` of `exact_from`, followed by a number when that name is taken.
    /// Every collection writer must have been finished or abandoned.
    ///
    /// # Errors
    /// Returns [`Error::Refused`] while a collection is still being written or when the manifest
    /// would not be consistent, and [`Error::Io`] or [`Error::DiskFull`] when a file cannot be
    /// written. After an error the directory stays partial.
    pub fn finish(self, origin: Origin) -> Result<Base> {
        let mut written = lock(&self.shared);
        if written.writers_open > 0 {
            return Err(Error::Refused(format!(
                "{} collections are still being written",
                written.writers_open
            )));
        }
        let exact_from = origin.exact_from.ts;
        let manifest = Manifest::new(origin, std::mem::take(&mut written.collections));
        drop(written);
        let lock_path = self.directory.join(LOCK_NAME);
        fs::remove_file(&lock_path).map_err(Error::io("remove", &lock_path))?;
        manifest::write(&self.directory, &manifest)?;
        let label = format!("base-{}-{}", exact_from.seconds(), exact_from.increment());
        let named = self.free_name(&label);
        fs::rename(&self.directory, &named).map_err(Error::io("rename to", &named))?;
        files::sync_directory(&self.directory_of_bases)?;
        Base::open(&named)
    }

    /// Gives up and removes everything that was written so far.
    ///
    /// # Errors
    /// Returns [`Error::Io`] when the directory cannot be removed.
    pub fn abandon(self) -> Result<()> {
        drop(self.lock);
        crate::remove_partial(&self.directory)
    }

    /// Returns a path that is not taken: two bases of an idle source may be exact from the same
    /// optime.
    fn free_name(&self, label: &str) -> PathBuf {
        let plain = self.directory_of_bases.join(label);
        let numbered = (2_u64..).map(|n| self.directory_of_bases.join(format!("{label}-{n}")));
        let mut names = std::iter::once(plain).chain(numbered);
        names.find(|path| !path.exists()).expect("some number is free")
    }
}

/// One collection of a base that is being written. It may move between threads.
///
/// When it is dropped without [`CollectionWriter::finish`], it removes its files, so that a scan
/// that is begun again starts clean. After an error it accepts nothing more, because it is unknown
/// what reached the file.
#[derive(Debug)]
pub struct CollectionWriter {
    info: CollectionInfo,
    directory: PathBuf,
    settings: WriterSettings,
    shared: Arc<Mutex<Written>>,
    frame: Vec<u8>,
    documents_in_frame: u32,
    part: Option<PartWriter>,
    parts: Vec<manifest::DataFile>,
    finished: bool,
}

impl CollectionWriter {
    /// Returns the collection as the source's catalog describes it.
    pub fn info(&self) -> &CollectionInfo {
        &self.info
    }

    /// Adds one document, exactly these bytes.
    ///
    /// # Errors
    /// Returns [`Error::Refused`] for bytes that are not one document, or for a document that is
    /// too long. Returns [`Error::Io`] or [`Error::DiskFull`] when a file cannot be written.
    pub fn write(&mut self, document: &[u8]) -> Result<()> {
        let refused = |reason: String| {
            Error::Refused(format!("a document of {}.{}: {reason}", self.info.db, self.info.name))
        };
        let doc = Doc::new(document).map_err(|malformed| refused(malformed.to_string()))?;
        if document.len() > frame::MAX_DOCUMENT_BYTES {
            return Err(refused(format!("{} bytes are more than any document", document.len())));
        }
        if !self.frame.is_empty() && self.frame.len() + document.len() > frame::TARGET_RAW_BYTES {
            self.close_frame()?;
        }
        self.frame.extend_from_slice(doc.as_bytes());
        self.documents_in_frame += 1;
        Ok(())
    }

    /// Adds documents in order.
    ///
    /// # Errors
    /// The same as [`CollectionWriter::write`].
    pub fn write_batch<'a>(&mut self, documents: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        documents.into_iter().try_for_each(|document| self.write(document))
    }

    /// Returns the number of bytes written to files so far.
    pub fn stored_bytes(&self) -> u64 {
        let closed: u64 = self.parts.iter().map(|part| part.stored_bytes).sum();
        closed + self.part.as_ref().map_or(0, PartWriter::stored_bytes)
    }

    /// Makes the collection durable and part of the base.
    ///
    /// # Errors
    /// Returns [`Error::Io`] or [`Error::DiskFull`] when a file cannot be written, and
    /// [`Error::Refused`] after an earlier write failed.
    pub fn finish(mut self) -> Result<CollectionEntry> {
        if !self.frame.is_empty() {
            self.close_frame()?;
        }
        self.close_part()?;
        let files = std::mem::take(&mut self.parts);
        let entry = CollectionEntry {
            info: self.info.clone(),
            dropped_during_copy: false,
            documents: files.iter().map(|file| file.documents).sum(),
            raw_bytes: files.iter().map(|file| file.raw_bytes).sum(),
            stored_bytes: files.iter().map(|file| file.stored_bytes).sum(),
            files,
        };
        lock(&self.shared).collections.push(entry.clone());
        self.finished = true;
        Ok(entry)
    }

    /// Gives up: what was written of this collection is removed.
    pub fn abandon(self) {}

    fn close_frame(&mut self) -> Result<()> {
        if self.part.is_none() {
            self.part = Some(self.next_part()?);
        }
        let part = self.part.as_mut().expect("opened above");
        part.append(&self.frame, self.documents_in_frame)?;
        self.frame.clear();
        self.documents_in_frame = 0;
        if part.stored_bytes() >= self.settings.max_file_bytes {
            self.close_part()?;
        }
        Ok(())
    }

    fn next_part(&self) -> Result<PartWriter> {
        let number = {
            let mut written = lock(&self.shared);
            written.files_named += 1;
            written.files_named
        };
        let name = format!("{number:06}.docs");
        let part = u32::try_from(self.parts.len()).expect("fewer files than numbers for them");
        PartWriter::create(&self.directory, name, &self.info.uuid, part, self.settings.zstd_level)
    }

    fn close_part(&mut self) -> Result<()> {
        if let Some(part) = self.part.take() {
            self.parts.push(part.finish()?);
        }
        Ok(())
    }
}

impl Drop for CollectionWriter {
    fn drop(&mut self) {
        lock(&self.shared).writers_open -= 1;
        if self.finished {
            return;
        }
        let open = self.part.take().map(|part| part.name().to_owned());
        let closed = self.parts.iter().map(|part| part.name.clone());
        for name in closed.chain(open) {
            // A file that is left behind is not in the manifest, so it is never read.
            let _ = fs::remove_file(self.directory.join(name));
        }
    }
}
