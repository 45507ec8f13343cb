//! Writes that survive a crash: first the file's content, then its name, then the directory's
//! entry.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Makes renames and new files in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(Error::io("sync directory", directory))
}

/// Writes `bytes` to the file `directory/name`. After a crash, either all of them are there, or
/// there is no file of that name.
pub(crate) fn write_file(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    let temporary = directory.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(bytes).map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::io("rename to", &path))?;
    sync_directory(directory)
}
