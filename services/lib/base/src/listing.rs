//! Lists what lies in a directory of bases.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::Origin;
use crate::writer::{LOCK_NAME, PARTIAL_SUFFIX};
use crate::{Base, Error, Result};

/// A base without its collections.
#[derive(Debug, Clone)]
pub struct BaseSummary {
    /// The base's name, which is its directory's name.
    pub name: String,
    /// The base's directory.
    pub directory: PathBuf,
    /// Where the base comes from, and from when on it is exact.
    pub origin: Origin,
    /// The number of collections.
    pub collections: u64,
    /// The number of documents.
    pub documents: u64,
    /// The length of all documents in bytes, uncompressed.
    pub raw_bytes: u64,
    /// The length of all data files in bytes.
    pub stored_bytes: u64,
    /// The same as [`Base::digest`].
    pub digest: [u8; 32],
}

impl From<&Base> for BaseSummary {
    fn from(base: &Base) -> Self {
        let manifest = base.manifest();
        BaseSummary {
            name: base.name(),
            directory: base.directory().to_owned(),
            origin: manifest.origin.clone(),
            collections: manifest.collections.len() as u64,
            documents: manifest.documents(),
            raw_bytes: manifest.raw_bytes(),
            stored_bytes: manifest.stored_bytes(),
            digest: base.digest(),
        }
    }
}

/// What lies in a directory of bases.
#[derive(Debug, Default)]
pub struct Listing {
    /// The finished bases, the oldest `exact_from` first.
    pub bases: Vec<BaseSummary>,
    /// Bases that were never finished. [`remove_partial`] removes them once no process writes them.
    pub partial: Vec<PathBuf>,
    /// Directories that should be bases but cannot be read as such, each with the reason.
    pub damaged: Vec<(PathBuf, Error)>,
}

/// Lists the bases in `directory_of_bases`. A directory that does not exist has no bases. Manifests
/// are checked, data files are not.
///
/// # Errors
/// Returns [`Error::Io`] when the directory cannot be listed.
pub fn list(directory_of_bases: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(directory_of_bases) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(Error::io("list", directory_of_bases)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::io("list", directory_of_bases))?.path();
        if !path.is_dir() {
            continue;
        }
        if is_partial(&path) {
            listing.partial.push(path);
            continue;
        }
        match Base::open(&path) {
            Ok(base) => listing.bases.push(BaseSummary::from(&base)),
            Err(error) => listing.damaged.push((path, error)),
        }
    }
    listing
        .bases
        .sort_by(|a, b| (a.origin.exact_from, &a.name).cmp(&(b.origin.exact_from, &b.name)));
    listing.partial.sort();
    Ok(listing)
}

/// Removes what an unfinished base left behind.
///
/// # Errors
/// Returns [`Error::Refused`] when the directory is not an unfinished base, or is being written.
/// Returns [`Error::Io`] when it cannot be removed.
pub fn remove_partial(directory: &Path) -> Result<()> {
    if !is_partial(directory) {
        return Err(Error::Refused(format!(
            "{} is not an unfinished base (its name does not end in {PARTIAL_SUFFIX})",
            directory.display()
        )));
    }
    if is_being_written(directory)? {
        return Err(Error::Refused(format!("{} is being written", directory.display())));
    }
    fs::remove_dir_all(directory).map_err(Error::io("remove", directory))
}

/// Removes what unfinished bases left behind in a directory of bases. The caller must be the only
/// one who writes bases there.
///
/// # Errors
/// Returns [`Error::Refused`] when one of them is being written, and [`Error::Io`] when the
/// directory cannot be listed or files cannot be removed.
pub fn remove_left_overs(directory_of_bases: &Path) -> Result<()> {
    for partial in list(directory_of_bases)?.partial {
        tracing::info!(directory = %partial.display(), "removing a base that was never finished");
        remove_partial(&partial)?;
    }
    Ok(())
}

/// Returns whether a process writes this base. The lock ends with the process that holds it,
/// however the process ends.
fn is_being_written(directory: &Path) -> Result<bool> {
    let path = directory.join(LOCK_NAME);
    match fs::File::open(&path) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("open", &path)(error)),
    }
}

fn is_partial(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(PARTIAL_SUFFIX))
}
