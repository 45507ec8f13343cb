//! How commands on the data directory reach the process that runs on it, when that process requires
//! tokens. They use a token that is created at each start and stored in the directory, where only
//! its owner can read it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hindsight_runtime::files;

use super::token::{Digest, Token};

/// Creates a token and writes it to `path`, readable only by the file's owner.
pub(super) fn write(path: &Path) -> io::Result<Digest> {
    let token = Token::random().map_err(io::Error::other)?;
    let temporary = path.with_extension("token.new");
    remove(&temporary)?;
    // The file must be new: an existing file could belong to somebody else.
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(token.reveal().as_bytes())?;
    drop(file);
    fs::rename(&temporary, path)?;
    Ok(token.digest())
}

/// Removes the token that an earlier process left.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    files::remove_if_there(path).map_err(|error| error.source)
}

/// Returns the token, or `None` when there is no file.
pub(super) fn read(path: &Path) -> io::Result<Option<Token>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(1024).read_to_string(&mut text)?;
    let token = Token::parse(text.trim());
    token.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no token"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_owner_can_read_it_and_each_start_makes_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        assert!(read(&path).unwrap().is_none());
        let first = write(&path).unwrap();
        // Left behind by a process that was killed.
        fs::write(dir.path().join("api.token.new"), "old").unwrap();
        let second = write(&path).unwrap();
        assert_ne!(first, second);
        assert_eq!(read(&path).unwrap().map(|token| token.digest()), Some(second));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(read(&path).is_err());
    }
}
