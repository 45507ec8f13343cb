//! Lists the segments in the directory, and checks that they are one chain.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_segment::{ChainEnd, SegmentInfo, Sequence, check_next};

use super::beginning;
use super::files::read_info;
use super::names::{SUFFIX, SegmentName, TEMPORARY_SUFFIX};
use crate::error::{Damage, LogError};

/// How many times the directory is listed before a hole in the listing is believed.
const ATTEMPTS: usize = 5;

#[derive(Debug)]
pub(super) struct Listing {
    /// The last segment that was removed. None when none was.
    pub(super) before: Option<ChainEnd>,
    /// The segments in the order of their sequences, from the log's first on, without holes.
    pub(super) names: Vec<SegmentName>,
    /// The segments before the first that are still there: removing them was not finished.
    pub(super) removed: VecDeque<SegmentName>,
    /// The files that unfinished appends and removals left behind.
    pub(super) temporaries: Vec<PathBuf>,
}

impl Listing {
    /// Reads the directory. Files whose names do not end like a segment's are foreign, and are left
    /// alone.
    ///
    /// While a writer appends, a listing may show a new file without the file before it. The next
    /// listing shows both. Where the log begins is read afterwards, because that is durable before
    /// a file is removed: a segment that the listing lacks is then known to be removed.
    pub(super) fn read(directory: &Path) -> Result<Self, LogError> {
        for _ in 1..ATTEMPTS {
            if let Ok(listing) = Self::read_once(directory) {
                return Ok(listing);
            }
        }
        Self::read_once(directory)
    }

    fn read_once(directory: &Path) -> Result<Self, LogError> {
        let unavailable = |error| LogError::unavailable(directory.display(), "list it", error);
        let (mut names, mut temporaries) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(directory).map_err(unavailable)? {
            let file_name = entry.map_err(unavailable)?.file_name();
            let path = directory.join(&file_name);
            let text = file_name.to_string_lossy();
            if text.ends_with(TEMPORARY_SUFFIX) || text == beginning::TEMPORARY_FILE {
                temporaries.push(path);
            } else if text.ends_with(SUFFIX) {
                let name = SegmentName::parse(&text)
                    .ok_or_else(|| LogError::corrupt(path.display(), Damage::Name))?;
                names.push(name);
            }
        }
        names.sort_unstable();
        let before = beginning::read(directory)?;
        let first = first_after(before.as_ref());
        let held = names.partition_point(|name| name.sequence < first);
        let held = names.split_off(if before.is_some() { held } else { 0 });
        check_sequences(directory, first, &held)?;
        if before.is_some() && held.is_empty() {
            let place = beginning::path(directory);
            return Err(LogError::corrupt(place.display(), Damage::MissingAfter(first)));
        }
        Ok(Self { before, names: held, removed: names.into(), temporaries })
    }
}

/// Returns the sequence of a log's first segment.
pub(super) fn first_after(removed: Option<&ChainEnd>) -> Sequence {
    removed.map_or(Sequence::FIRST, |removed| removed.sequence.next())
}

fn check_sequences(
    directory: &Path,
    first: Sequence,
    names: &[SegmentName],
) -> Result<(), LogError> {
    let mut expected = first;
    for name in names {
        if name.sequence != expected {
            let damage = if name.sequence < expected {
                Damage::Duplicate(name.sequence)
            } else {
                Damage::MissingBefore(expected)
            };
            return Err(LogError::corrupt(directory.join(name.to_string()).display(), damage));
        }
        expected = expected.next();
    }
    Ok(())
}

/// Reads header and seal of each segment and compares it with its predecessor; the first one is
/// compared with `before`. Each is passed to `visit` and then dropped, because the infos of a long
/// log do not fit in memory.
pub(super) fn walk(
    directory: &Path,
    names: &[SegmentName],
    mut before: Option<ChainEnd>,
    visit: &mut dyn FnMut(Arc<SegmentInfo>),
) -> Result<(), LogError> {
    for name in names {
        let info = Arc::new(read_info(directory, name)?);
        check_next(before.as_ref(), &info).map_err(|reason| {
            LogError::corrupt(directory.join(name.to_string()).display(), reason)
        })?;
        before = Some(info.chain_end());
        visit(info);
    }
    Ok(())
}
