//! How commands print their answers.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::exit::Result;

/// Prints one JSON object on one line.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    print_line(&serde_json::to_string(value)?)
}

pub(super) fn print_line(line: &str) -> Result<()> {
    print(format!("{line}\n").as_bytes())
}

/// Prints data. A reader that closes the pipe early (`| head`) is not a failure.
pub(super) fn print(data: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Prints a message for people on stderr.
pub(super) fn say(line: &str) {
    eprintln!("{line}");
}
