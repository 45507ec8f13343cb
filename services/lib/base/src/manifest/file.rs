//! `manifest.json`: one JSON object whose last member is the BLAKE3 of all bytes before that
//! member.
//!
//! ```text
//! {
//!   "format": 1,
//!   …
//!   "collections": [ … ],
//!   "blake3": "<64 hexadecimal digits>"
//! }
//! ```
//!
//! So the file is JSON for every tool, and no byte of it can change unnoticed.

use std::fs;
use std::path::Path;

use hindsight_runtime::files;
use serde::Deserialize;

use super::{FORMAT, Manifest, check, text};
use crate::{Error, Result};

pub(crate) const MANIFEST_NAME: &str = "manifest.json";

/// The largest manifest that is read, in bytes. The manifest of a hundred thousand collections with
/// dozens of indexes is far smaller.
const MAX_MANIFEST_BYTES: u64 = 1 << 30;

const BEFORE_DIGEST: &str = ",\n  \"blake3\": \"";
const AFTER_DIGEST: &str = "\"\n}\n";
const DIGEST_DIGITS: usize = 64;

pub(crate) fn write(directory: &Path, manifest: &Manifest) -> Result<()> {
    let path = directory.join(MANIFEST_NAME);
    check::consistent(manifest)
        .map_err(|reason| Error::Refused(format!("the base would not be sound: {reason}")))?;
    let mut json = serde_json::to_string_pretty(manifest)
        .map_err(|error| Error::Refused(format!("cannot write {}: {error}", path.display())))?;
    let end = json.strip_suffix("\n}").expect("an object with members, printed over lines").len();
    json.truncate(end);
    let digest = text::to_hex(blake3::hash(json.as_bytes()).as_bytes());
    json.push_str(BEFORE_DIGEST);
    json.push_str(&digest);
    json.push_str(AFTER_DIGEST);
    Ok(files::write_durably(&directory.join(MANIFEST_NAME), json.as_bytes())?)
}

/// Returns the manifest, and the digest that vouches for it.
pub(crate) fn read(directory: &Path) -> Result<(Manifest, [u8; 32])> {
    let path = directory.join(MANIFEST_NAME);
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!("it has no {MANIFEST_NAME}, so it was never finished");
            return Err(Error::NotABase { path: directory.to_owned(), reason });
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    if length > MAX_MANIFEST_BYTES {
        return Err(Error::corrupt(&path, "it is too large to be a manifest"));
    }
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let body = checked_body(&bytes).map_err(|reason| Error::corrupt(&path, reason))?;
    Ok((parse(&path, body)?, *blake3::hash(body).as_bytes()))
}

/// Returns the bytes before the digest, after comparing them with it.
fn checked_body(bytes: &[u8]) -> std::result::Result<&[u8], &'static str> {
    let tail_bytes = BEFORE_DIGEST.len() + DIGEST_DIGITS + AFTER_DIGEST.len();
    let body_bytes = bytes.len().checked_sub(tail_bytes).ok_or("it is cut short")?;
    let (body, tail) = bytes.split_at(body_bytes);
    let digest = text::to_hex(blake3::hash(body).as_bytes());
    let expected = [BEFORE_DIGEST, &digest, AFTER_DIGEST].concat();
    if tail != expected.as_bytes() {
        return Err("it does not match its digest");
    }
    Ok(body)
}

fn parse(path: &Path, body: &[u8]) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let unreadable = |error: serde_json::Error| Error::corrupt(path, error.to_string());
    let json = [body, b"}"].concat();
    let Version { format } = serde_json::from_slice(&json).map_err(unreadable)?;
    if format > FORMAT {
        let path = path.to_owned();
        return Err(Error::NewerFormat { path, found: format, supported: FORMAT });
    }
    let manifest: Manifest = serde_json::from_slice(&json).map_err(unreadable)?;
    check::consistent(&manifest).map_err(|reason| Error::corrupt(path, reason))?;
    Ok(manifest)
}
