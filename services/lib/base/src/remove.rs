//! Removes a base.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use hindsight_runtime::files;

use crate::writer::PARTIAL_SUFFIX;
use crate::{Error, Result, remove_partial};

/// Removes a base. It is a base until one moment and no base from then on, also after a crash: what
/// a crash leaves of it is an unfinished base. A base that is gone already is no error.
///
/// # Errors
/// Returns [`Error::Io`] when files cannot be removed.
pub fn remove(directory: &Path) -> Result<()> {
    let mut partial = OsString::from(directory);
    partial.push(PARTIAL_SUFFIX);
    match fs::rename(directory, &partial) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("rename", directory)(error)),
    }
    files::sync_parent(directory)?;
    remove_partial(Path::new(&partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_base_is_gone_and_others_stay() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        for name in ["base-1-1", "base-2-1"] {
            fs::create_dir(temp.path().join(name)).expect("made");
            fs::write(temp.path().join(name).join("manifest.json"), "{}").expect("written");
        }
        for _ in 0..2 {
            remove(&temp.path().join("base-1-1")).expect("removed");
            let left = fs::read_dir(temp.path()).expect("listed").map(|it| it.expect("one"));
            assert_eq!(left.map(|it| it.file_name()).collect::<Vec<_>>(), ["base-2-1"]);
        }
    }
}
