//! The tokens that are in force.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use super::token::Token;
use super::token_file::{self, Entries, Entry};
use super::watched::Watched;

/// Limit on the size of a tokens file. A larger file is a mistake.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The current tokens of a file.
pub struct Tokens(Watched<Entries>);

/// Why a token gives no access. The reason is for the log: the caller does not learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAccess {
    Unknown,
    Expired,
}

impl Tokens {
    /// Reads a tokens file, which must exist and have no mistakes.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = path.to_owned();
        let read = move || read(&file);
        Ok(Self(Watched::new("the tokens file", vec![path.to_owned()], read)?))
    }

    /// Returns the entry that this token belongs to.
    pub fn find(&self, token: &Token, now: Timestamp) -> Result<Entry, NoAccess> {
        find(&self.0.now(), token, now)
    }

    /// Reads the file again.
    pub fn reload(&self) {
        self.0.reload();
    }
}

fn find(entries: &Entries, token: &Token, now: Timestamp) -> Result<Entry, NoAccess> {
    let entry = entries.get(&token.digest()).ok_or(NoAccess::Unknown)?;
    match entry.expires {
        Some(expires) if expires <= now => Err(NoAccess::Expired),
        _ => Ok(entry.clone()),
    }
}

/// Reads and parses a file. An error names the file.
pub(super) fn read(path: &Path) -> Result<Entries, String> {
    let name = path.display();
    token_file::parse(&text(path)?).map_err(|error| format!("the tokens file {name}: {error}"))
}

/// Returns the text of a tokens file, whatever it says.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let name = path.display();
    let bad = |error: std::io::Error| format!("read the tokens file {name}: {error}");
    let mut text = String::new();
    let file = File::open(path).map_err(bad)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(bad)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the tokens file {name} is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    #[test]
    fn a_token_is_found_until_it_expires() {
        let token = Token::parse("abc").unwrap();
        let text = format!(
            "[[token]]\nname = \"ann\"\nrole = \"operator\"\nsha256 = \"{}\"\nexpires = 2027-01-01T00:00:00Z",
            token.digest()
        );
        let entries = token_file::parse(&text).unwrap();
        let at = |time: &str| find(&entries, &token, time.parse().unwrap());
        let entry = at("2026-12-31T23:59:59.999Z").unwrap();
        assert_eq!((&*entry.name, entry.role), ("ann", Role::Operator));
        assert_eq!(at("2027-01-01T00:00:00Z"), Err(NoAccess::Expired));
        let other = Token::parse("abd").unwrap();
        assert_eq!(find(&entries, &other, Timestamp::UNIX_EPOCH), Err(NoAccess::Unknown));
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        let missing = Tokens::open(&path).err().unwrap();
        assert!(missing.contains("tokens.toml") && missing.contains("No such file"), "{missing}");
        std::fs::write(&path, "[[token]]\n").unwrap();
        let empty = Tokens::open(&path).err().unwrap();
        assert!(empty.contains("tokens.toml: token 1 has no name"), "{empty}");
        std::fs::write(&path, vec![b'#'; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert!(Tokens::open(&path).err().unwrap().contains("larger"));
    }
}
