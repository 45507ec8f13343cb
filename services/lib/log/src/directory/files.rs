//! The steps in which files are written, made durable and removed.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use hindsight_runtime::files;
use hindsight_segment::{SealedSegment, Sequence};

use crate::error::LogError;

/// The steps of an append, in order, and then those of a removal and of packing. Tests make a step
/// fail, or simulate a power failure before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    /// Writes the header, a frame or the seal.
    WritePiece(usize),
    SyncFile,
    Rename,
    SyncDirectory,
    /// Removes what a failed append or packing left. One that succeeds does not take this step.
    RemoveTemporary,
    WriteBeginning,
    SyncBeginning,
    /// Gives the beginning its name. Then the directory is synced.
    RenameBeginning,
    /// Removes a file that the log needs no more. It begins with this segment.
    RemoveFile(Sequence),
    CreatePack,
    /// Copies a segment into the pack.
    PackSegment(Sequence),
    /// Writes the table and the footer of the pack.
    WriteTable,
    SyncPack,
    /// Gives the pack its name. Then the directory is synced.
    RenamePack,
}

impl Step {
    pub(super) fn action(self) -> &'static str {
        match self {
            Step::Create | Step::CreatePack => "create it",
            Step::WritePiece(_)
            | Step::WriteBeginning
            | Step::PackSegment(_)
            | Step::WriteTable => "write it",
            Step::SyncFile | Step::SyncBeginning | Step::SyncPack => "sync it",
            Step::Rename | Step::RenameBeginning | Step::RenamePack => "give it its name",
            Step::SyncDirectory => "sync the directory",
            Step::RemoveTemporary | Step::RemoveFile(_) => "remove it",
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

/// Removes a file. A file that is gone already is no error.
pub(super) fn remove_file(path: &Path) -> Result<(), LogError> {
    let removed = files::remove_if_there(path);
    removed.map_err(|error| LogError::unavailable(path.display(), "remove it", error.source))
}
