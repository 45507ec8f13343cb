//! Reads connection strings from a flag, the environment or a file. They may hold passwords and are
//! never shown.

use std::path::Path;

use crate::exit::Failure;

/// Returns the value itself, or the first line of the file.
pub(crate) fn read(
    flag: &str,
    value: Option<&str>,
    file: Option<&Path>,
) -> Result<String, Failure> {
    let text = match (value, file) {
        (Some(value), _) => value.to_owned(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("read {flag}-file {}: {error}", path.display()))
        })?,
        (None, None) => return Err(Failure::usage(format!("{flag} or {flag}-file is needed"))),
    };
    match text.trim() {
        "" => Err(Failure::usage(format!("{flag} is empty"))),
        text => Ok(text.to_owned()),
    }
}
