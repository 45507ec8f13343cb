//! Files that survive a crash, whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}", path = path.display())]
pub struct FileError {
    /// What was being done: `create`, `write`, `sync`, `rename to`, `sync directory` or `remove`.
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

/// Writes a file and makes it durable: first the content, under a temporary name, then the name,
/// then the directory's entry. After a crash the file holds all of `bytes`, or is as it was before.
///
/// # Errors
/// Returns the step that failed. The file may hold its new content then, but for the last step.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut temporary = OsString::from(path);
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(failed("create", &temporary))?;
    file.write_all(bytes).map_err(failed("write", &temporary))?;
    file.sync_all().map_err(failed("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("rename to", path))?;
    sync_parent(path)
}

/// Makes the name of a file or directory durable: syncs the directory that it is in.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_parent(path: &Path) -> Result<(), FileError> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_directory(Path::new(".")),
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

/// Makes renames, removals and new files in `directory` durable.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> Result<(), FileError> {
    let synced = File::open(directory).and_then(|handle| handle.sync_all());
    synced.map_err(failed("sync directory", directory))
}

/// Removes a file. A file that is gone already is no error.
///
/// # Errors
/// The file cannot be removed.
pub fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("record.json");
        for content in ["first", "second, which is longer", ""] {
            write_durably(&path, content.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), content);
        }
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_name_is_synced_where_it_stands() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        sync_parent(&directory.path().join("new")).expect("synced");
        for without_directory in ["new", "", "/"] {
            sync_parent(Path::new(without_directory)).expect("synced");
        }
        let error = sync_parent(Path::new("/nowhere/at/all")).expect_err("no directory");
        assert_eq!(
            (error.action, error.path.as_path()),
            ("sync directory", Path::new("/nowhere/at"))
        );
    }

    #[test]
    fn only_a_file_that_stays_is_an_error() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("record");
        fs::write(&path, b"").expect("written");
        remove_if_there(&path).expect("removed");
        remove_if_there(&path).expect("gone");
        assert_eq!(remove_if_there(directory.path()).expect_err("a directory").action, "remove");
    }

    #[test]
    fn the_step_and_the_path_are_named() {
        let error = write_durably(Path::new("/nowhere/at/all"), b"").expect_err("no directory");
        assert_eq!(error.action, "create");
        assert!(error.to_string().contains("/nowhere/at/all.tmp"), "{error}");
    }
}
