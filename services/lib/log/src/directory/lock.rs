//! One writer at a time: a lock of the operating system on a file. The lock ends with the process
//! that holds it.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::LogError;

const LOCK_FILE: &str = "LOCK";

pub(super) fn take_lock(directory: &Path) -> Result<File, LogError> {
    let path = directory.join(LOCK_FILE);
    let unavailable = |error| LogError::unavailable(path.display(), "lock it", error);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&file).take(64).read_to_string(&mut holder);
            let place = directory.display().to_string();
            return Err(LogError::InUse { place, holder: holder.trim().to_owned() });
        }
    }
    // The note names the holder as a courtesy to people. A full disk must not keep the writer out
    // just because the note cannot be written.
    let note = format!("process {}\n", std::process::id());
    let _ = file.set_len(0).and_then(|()| file.write_all(note.as_bytes()));
    Ok(file)
}
