//! `hindsight token create`.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::AccessError;
use super::role::Role;
use super::token::{Digest, Token};
use super::{token_file, tokens};

/// Arguments of `hindsight token create`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  hindsight token create --name dashboard --role viewer --expires 2027-01-01T00:00:00Z"
)]
pub struct TokenCreate {
    /// Holder of the token: 1 to 64 letters, digits or ._@+-. Logs and the audit file show the
    /// name.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Calls that the token allows.
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Role,
    /// Time at which the token expires (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Tokens file to add the entry to; created if it is missing. Default: print the entry on
    /// stderr.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Creates a token. The token is printed once, on stdout, and stored nowhere.
///
/// # Errors
/// Returns an error when a flag or the tokens file cannot be used, or when nothing can be written.
pub fn run(create: &TokenCreate) -> Result<(), AccessError> {
    let now = Timestamp::now();
    token_file::check_name(&create.name).map_err(|error| usage("--name", &error))?;
    let expires = create.expires.as_deref().map(|text| expiry(text, now)).transpose()?;
    let token = Token::random().map_err(|error| AccessError::Failed(error.to_string()))?;
    let entry = entry(&create.name, create.role, token.digest(), expires);
    match &create.file {
        Some(path) => {
            append(path, &entry)?;
            eprintln!("added {:?} to {}. The token, shown only now:", create.name, path.display());
        }
        None => eprintln!("add this to the tokens file:\n\n{entry}\nThe token, shown only now:"),
    }
    writeln!(io::stdout(), "{}", token.reveal()).map_err(|error| failed("print the token", &error))
}

fn usage(flag: &str, error: &str) -> AccessError {
    AccessError::usage(format!("{flag}: {error}"))
}

fn failed(doing: &str, error: &io::Error) -> AccessError {
    AccessError::Failed(format!("{doing}: {error}"))
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, AccessError> {
    let time: Timestamp = text.parse().map_err(|_| {
        usage("--expires", &format!("{text:?} is no time such as 2027-01-01T00:00:00Z"))
    })?;
    if time <= now {
        return Err(usage("--expires", &format!("{time} is past")));
    }
    Ok(time)
}

fn entry(name: &str, role: Role, digest: Digest, expires: Option<Timestamp>) -> String {
    let role = role.name();
    let expires = expires.map_or(String::new(), |time| format!("expires = \"{time}\"\n"));
    format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{digest}\"\n{expires}")
}

/// Adds an entry to a file, unless the file could not be parsed afterwards.
fn append(path: &Path, entry: &str) -> Result<(), AccessError> {
    let before = match tokens::text(path) {
        Ok(text) => text,
        Err(_) if !path.exists() => String::new(),
        Err(error) => return Err(AccessError::usage(error)),
    };
    let gap = match before.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    token_file::parse(&format!("{before}{gap}{entry}"))
        .map_err(|error| AccessError::usage(format!("{}: {error}", path.display())))?;
    let file = File::options().append(true).create(true).mode(0o600).open(path);
    let named = |doing| format!("{doing} {}", path.display());
    let mut file = file.map_err(|error| failed(&named("open"), &error))?;
    // A single write call: a server that reads the file meanwhile sees the whole entry or none of
    // it.
    file.write_all(format!("{gap}{entry}").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| failed(&named("write"), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn entries_are_added_to_a_private_file_and_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        let expires = "2027-01-01T00:00:00Z".parse().ok();
        let (ann, bob) = (Token::random().unwrap(), Token::random().unwrap());
        append(&path, &entry("ann", Role::Viewer, ann.digest(), None)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // As an editor may leave it.
        fs::write(&path, fs::read_to_string(&path).unwrap().trim_end()).unwrap();
        append(&path, &entry("bob", Role::Restorer, bob.digest(), expires)).unwrap();
        let entries = tokens::read(&path).unwrap();
        assert_eq!((&*entries[&ann.digest()].name, entries.len()), ("ann", 2));
        assert_eq!(entries[&bob.digest()].expires, expires);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(ann.reveal()) && !text.contains(bob.reveal()));
    }

    #[test]
    fn a_file_that_would_be_refused_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        let add = |name| {
            append(&path, &entry(name, Role::Viewer, Token::random().unwrap().digest(), None))
        };
        add("ann").unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(add("ann").unwrap_err().to_string().contains("both named \"ann\""));
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        fs::write(&path, "broken").unwrap();
        assert!(add("bob").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "broken");
    }

    #[test]
    fn an_expiry_lies_ahead() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        assert!(expiry("2026-11-21T12:00:01Z", now).is_ok());
        assert!(expiry("2026-11-21T12:00:00Z", now).is_err());
        assert!(expiry("tomorrow", now).is_err());
    }
}
