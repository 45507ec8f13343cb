//! One segment file: how it is made durable, and how it is read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hindsight_runtime::files;
use hindsight_segment::limits::MAX_HEADER_BYTES;
use hindsight_segment::{SealedSegment, SegmentInfo, Sequence, TRAILER_BYTES, tail_bytes};

use super::names::SegmentName;
use crate::error::{Damage, LogError};

/// How many bytes at the end of a file are read first. Most seals are shorter, so that one read of
/// the end is enough.
const FIRST_TAIL_BYTES: u64 = 64 << 10;

/// The steps of an append, in order, and then those of a removal. Tests make a step fail, or
/// simulate a power failure before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    /// Writes the header, a frame or the seal.
    WritePiece(usize),
    SyncFile,
    Rename,
    SyncDirectory,
    /// Removes what a failed append left. An append that succeeds does not take this step.
    RemoveTemporary,
    WriteBeginning,
    SyncBeginning,
    /// Gives the beginning its name. Then the directory is synced.
    RenameBeginning,
    RemoveSegment(Sequence),
}

impl Step {
    pub(super) fn action(self) -> &'static str {
        match self {
            Step::Create => "create it",
            Step::WritePiece(_) => "write it",
            Step::SyncFile => "sync it",
            Step::Rename => "give it its name",
            Step::SyncDirectory => "sync the directory",
            Step::RemoveTemporary | Step::RemoveSegment(_) => "remove it",
            Step::WriteBeginning => "write it",
            Step::SyncBeginning => "sync it",
            Step::RenameBeginning => "give it its name",
        }
    }
}

/// Called before each step. When it returns an error, the step fails with that error.
pub(super) type BeforeStep = Box<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// Makes the file complete and durable under its temporary name.
pub(super) fn write_temporary(
    path: &Path,
    segment: &SealedSegment,
    before: &BeforeStep,
) -> Result<(), (Step, io::Error)> {
    let step = |step: Step, run: &mut dyn FnMut() -> io::Result<()>| {
        before(step).and_then(|()| run()).map_err(|error| (step, error))
    };
    let mut file = None;
    step(Step::Create, &mut || {
        file = Some(File::create(path)?);
        Ok(())
    })?;
    let mut file = file.expect("created by the step before");
    for (index, piece) in segment.pieces().enumerate() {
        step(Step::WritePiece(index), &mut || io::Write::write_all(&mut file, piece))?;
    }
    step(Step::SyncFile, &mut || file.sync_all())
}

/// Makes renames, removals and new files in `directory` durable. The caller names the directory and
/// the step, so only the cause is returned.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    files::sync_directory(directory).map_err(|error| error.source)
}

/// Creates the directory and its missing parents, and makes the name of each of them durable.
/// Otherwise synced segments could vanish together with their directory.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|it| !it.exists()).collect();
    fs::create_dir_all(directory)?;
    for created in missing.iter().rev() {
        files::sync_parent(created).map_err(|error| error.source)?;
    }
    Ok(())
}

/// Reads header and seal from the two ends of a segment file, and compares them with the file's
/// name.
pub(super) fn read_info(directory: &Path, name: &SegmentName) -> Result<SegmentInfo, LogError> {
    let path = directory.join(name.to_string());
    let (file, length) = open(&path)?;
    let mut tail = read_end(&path, &file, length, FIRST_TAIL_BYTES)?;
    let trailer = &tail[tail.len().saturating_sub(TRAILER_BYTES)..];
    let needed = tail_bytes(trailer).map_err(|e| LogError::of_segment(path.display(), e))? as u64;
    if needed > tail.len() as u64 {
        tail = read_end(&path, &file, length, needed)?;
    }
    let info = if tail.len() as u64 == length {
        SegmentInfo::from_ends(&tail, &tail, length)
    } else {
        let mut head = vec![0; length.min(MAX_HEADER_BYTES as u64) as usize];
        read_at(&path, &file, &mut head, 0)?;
        SegmentInfo::from_ends(&head, &tail, length)
    };
    let info = info.map_err(|error| LogError::of_segment(path.display(), error))?;
    if SegmentName::of(&info) != *name {
        let found = SegmentName::of(&info).to_string();
        return Err(LogError::corrupt(path.display(), Damage::Misnamed { found }));
    }
    Ok(info)
}

/// Reads `length` bytes at `offset` of a segment file.
pub(super) fn read_range(path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
    let (file, file_length) = open(path)?;
    if offset.checked_add(length as u64).is_none_or(|end| end > file_length) {
        return Err(cut_short(path));
    }
    let mut bytes = vec![0; length];
    read_at(path, &file, &mut bytes, offset)?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<(File, u64), LogError> {
    let unavailable = |error| LogError::unavailable(path.display(), "open it", error);
    let file = File::open(path).map_err(unavailable)?;
    let length = file.metadata().map_err(unavailable)?.len();
    Ok((file, length))
}

fn read_end(path: &Path, file: &File, length: u64, wanted: u64) -> Result<Vec<u8>, LogError> {
    let taken = length.min(wanted);
    let mut tail = vec![0; taken as usize];
    read_at(path, file, &mut tail, length - taken)?;
    Ok(tail)
}

fn read_at(path: &Path, file: &File, bytes: &mut [u8], offset: u64) -> Result<(), LogError> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_short(path),
        _ => LogError::unavailable(path.display(), "read it", error),
    })
}

fn cut_short(path: &Path) -> LogError {
    let error = hindsight_segment::Error::Corrupt {
        place: hindsight_segment::Place::Trailer,
        what: "the segment is cut short",
    };
    LogError::corrupt(path.display(), error)
}

/// Removes a file. A file that is gone already is no error.
pub(super) fn remove_file(path: &Path) -> Result<(), LogError> {
    let removed = files::remove_if_there(path);
    removed.map_err(|error| LogError::unavailable(path.display(), "remove it", error.source))
}
