//! Lists the files in the directory, and says which of them hold the log.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use hindsight_segment::{ChainEnd, Sequence};

use super::beginning;
use super::names::{Found, LogFile};
use crate::error::{Damage, LogError};

/// How many times the directory is listed before a hole in the listing is believed.
const ATTEMPTS: usize = 5;

#[derive(Debug)]
pub(super) struct Listing {
    /// The last segment that was removed. None when none was.
    pub(super) before: Option<ChainEnd>,
    /// The files that hold the log's segments, in order, from the log's first segment on, without
    /// holes. The first one may be a pack that begins earlier.
    pub(super) files: Vec<LogFile>,
    /// The files of segments before the first that are still there: removing them was not finished.
    pub(super) removed: VecDeque<LogFile>,
    /// The files whose segments a pack holds as well, with the pack: packing was not finished.
    pub(super) repeated: Vec<(LogFile, LogFile)>,
    /// What unfinished writes left behind.
    pub(super) temporaries: Vec<PathBuf>,
}

impl Listing {
    /// Reads the directory. Files whose names do not end like a segment's are foreign, and are left
    /// alone.
    ///
    /// While a writer appends, a listing may show a new file without the file before it; while it
    /// packs, a listing may lack some segments and the pack that took their place. The next listing
    /// shows all of them. Where the log begins is read afterwards, because that is durable before
    /// a file is removed: a segment that the listing lacks is then known to be removed.
    pub(super) fn read(directory: &Path) -> Result<Self, LogError> {
        for _ in 1..ATTEMPTS {
            if let Ok(listing) = Self::read_once(directory) {
                return Ok(listing);
            }
        }
        Self::read_once(directory)
    }

    /// Does `work` with what the directory holds. Does it again when it failed and files were
    /// removed or packed meanwhile: it may have looked for files that are gone.
    pub(super) fn with<T>(
        directory: &Path,
        work: impl Fn(&Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut listing = Self::read(directory)?;
        loop {
            let outcome = work(&listing);
            if outcome.is_ok() {
                return outcome;
            }
            let newer = Self::read(directory)?;
            if listing.is_continued_by(&newer) {
                return outcome;
            }
            listing = newer;
        }
    }

    /// Returns the sequence of the first segment.
    pub(super) fn first(&self) -> Sequence {
        first_after(self.before.as_ref())
    }

    /// Returns the sequence of the last segment, or the one before the first segment.
    pub(super) fn last(&self) -> Sequence {
        last_of(self.first(), &self.files)
    }

    fn is_continued_by(&self, newer: &Self) -> bool {
        self.first() == newer.first() && newer.files.starts_with(&self.files)
    }

    fn read_once(directory: &Path) -> Result<Self, LogError> {
        let unavailable = |error| LogError::unavailable(directory.display(), "list it", error);
        let (mut files, mut temporaries) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(directory).map_err(unavailable)? {
            let file_name = entry.map_err(unavailable)?.file_name();
            let text = file_name.to_string_lossy();
            let path = || directory.join(&file_name);
            match Found::of(&text) {
                Found::Log(file) => files.push(file),
                Found::Temporary => temporaries.push(path()),
                Found::Misspelt => {
                    return Err(LogError::corrupt(path().display(), Damage::Name));
                }
                Found::Foreign if text == beginning::TEMPORARY_FILE => temporaries.push(path()),
                Found::Foreign => {}
            }
        }
        files.sort_unstable_by_key(LogFile::place);
        let before = beginning::read(directory)?;
        let first = first_after(before.as_ref());
        let is_removed = |file: &LogFile| before.is_some() && file.ends() < first;
        let removed = files.iter().copied().filter(is_removed).collect();
        files.retain(|file| !is_removed(file));
        let (files, repeated) = in_sequence(directory, before.as_ref(), files)?;
        if before.is_some() && files.is_empty() {
            let place = beginning::path(directory);
            return Err(LogError::corrupt(place.display(), Damage::MissingAfter(first)));
        }
        Ok(Self { before, files, removed, repeated, temporaries })
    }
}

/// Returns the sequence of a log's first segment.
pub(super) fn first_after(removed: Option<&ChainEnd>) -> Sequence {
    removed.map_or(Sequence::FIRST, |removed| removed.sequence.next())
}

/// Returns the sequence of the last segment in `files`, or the one before `first`.
pub(super) fn last_of(first: Sequence, files: &[LogFile]) -> Sequence {
    files.last().map_or(Sequence(first.0 - 1), LogFile::ends)
}

/// Files whose segments a pack holds as well, each with the pack.
type Repeated = Vec<(LogFile, LogFile)>;

/// Checks that sorted files hold each segment from the first on. Returns them without those whose
/// segments a pack holds as well, and these.
fn in_sequence(
    directory: &Path,
    before: Option<&ChainEnd>,
    files: Vec<LogFile>,
) -> Result<(Vec<LogFile>, Repeated), LogError> {
    let (mut held, mut repeated): (Vec<LogFile>, Repeated) = (Vec::new(), Vec::new());
    let mut expected = first_after(before);
    for file in files {
        let begins_earlier = held.is_empty() && before.is_some() && file.begins() < expected;
        if let Some(pack) = held.last().filter(|pack| pack.covers(&file)) {
            repeated.push((file, *pack));
        } else if file.begins() == expected || begins_earlier {
            expected = file.ends().next();
            held.push(file);
        } else {
            let damage = match file.begins() < expected {
                true => Damage::Duplicate(file.begins()),
                false => Damage::MissingBefore(expected),
            };
            return Err(LogError::corrupt(directory.join(file.to_string()).display(), damage));
        }
    }
    Ok((held, repeated))
}
