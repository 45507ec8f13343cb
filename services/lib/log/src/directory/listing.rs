//! Lists the segments in the directory, and checks that they are one chain.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_segment::{ChainEnd, SegmentInfo, Sequence, check_next};

use super::files::read_info;
use super::names::{SUFFIX, SegmentName, TEMPORARY_SUFFIX};
use crate::error::{Damage, LogError};

/// How many times the directory is listed before a hole in the listing is believed.
const ATTEMPTS: usize = 5;

#[derive(Debug)]
pub(super) struct Listing {
    /// The segments in the order of their sequences, from the first on, without holes.
    pub(super) names: Vec<SegmentName>,
    /// The files that unfinished appends left behind.
    pub(super) temporaries: Vec<PathBuf>,
}

impl Listing {
    /// Reads the directory. Files whose names do not end like a segment's are foreign, and are left
    /// alone.
    ///
    /// While a writer appends, a listing may show a new file without the file before it. The next
    /// listing shows both.
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
            if text.ends_with(TEMPORARY_SUFFIX) {
                temporaries.push(path);
            } else if text.ends_with(SUFFIX) {
                let name = SegmentName::parse(&text)
                    .ok_or_else(|| LogError::corrupt(path.display(), Damage::Name))?;
                names.push(name);
            }
        }
        names.sort_unstable();
        check_sequences(directory, &names)?;
        Ok(Self { names, temporaries })
    }
}

fn check_sequences(directory: &Path, names: &[SegmentName]) -> Result<(), LogError> {
    let mut expected = Sequence::FIRST;
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
