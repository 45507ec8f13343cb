//! Checks that the segments in the files are one chain.

use std::path::Path;
use std::sync::Arc;

use hindsight_segment::{ChainEnd, SegmentInfo, Sequence, check_next};

use super::names::LogFile;
use super::stored::OpenFile;
use crate::error::LogError;

/// Reads header and seal of each segment of `files` from `from` to `through`, and compares it with
/// its predecessor; the first one is compared with `before`. Each is passed to `visit` and then
/// dropped, because the infos of a long log do not fit in memory.
pub(super) fn walk(
    directory: &Path,
    files: &[LogFile],
    (from, through): (Sequence, Sequence),
    mut before: Option<ChainEnd>,
    visit: &mut dyn FnMut(Arc<SegmentInfo>),
) -> Result<(), LogError> {
    for name in files {
        let (first, last) = (name.begins().max(from), name.ends().min(through));
        if first > last {
            continue;
        }
        let file = OpenFile::open(directory, *name)?;
        for sequence in first.0..=last.0 {
            let info = follow(&file, Sequence(sequence), before.as_ref())?;
            before = Some(info.chain_end());
            visit(info);
        }
    }
    Ok(())
}

/// Checks the chain of the files that hold segments from `from` on, and returns the last segment's
/// header and seal; None when there are no such files. Of a pack, only the first and the last
/// segment are read: all of them were compared with each other when the pack was written, and are
/// again when they are read.
pub(super) fn check_files(
    directory: &Path,
    files: &[LogFile],
    from: Sequence,
    mut before: Option<ChainEnd>,
) -> Result<Option<Arc<SegmentInfo>>, LogError> {
    let mut end = None;
    let checked = files.partition_point(|file| file.ends() < from);
    for name in &files[checked..] {
        let file = OpenFile::open(directory, *name)?;
        let first = name.begins().max(from);
        let mut info = follow(&file, first, before.as_ref())?;
        if first < name.ends() {
            info = Arc::new(file.segment(name.ends())?.info()?);
        }
        before = Some(info.chain_end());
        end = Some(info);
    }
    Ok(end)
}

/// Returns a segment's header and seal, after comparing it with its predecessor.
fn follow(
    file: &OpenFile,
    sequence: Sequence,
    before: Option<&ChainEnd>,
) -> Result<Arc<SegmentInfo>, LogError> {
    let stored = file.segment(sequence)?;
    let info = Arc::new(stored.info()?);
    check_next(before, &info).map_err(|reason| stored.corrupt(reason))?;
    Ok(info)
}
