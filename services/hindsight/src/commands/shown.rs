//! Prints documents, with a warning for each document that JSON cannot carry exactly.

use bytes::Bytes;
use hindsight_api::extended_json::written;
use hindsight_extended_json::{Inexact, Notation, Value};
use hindsight_oplog::Entry;

use super::print::{print, say};
use crate::exit::Result;

/// Prints documents as canonical Extended JSON, one per line, all at once. `name` returns a
/// document's name for warnings.
pub(super) fn print_documents(documents: &[Bytes], name: impl Fn(&[u8]) -> String) -> Result<()> {
    let mut lines = Vec::new();
    for document in documents {
        let written = written(document, Notation::Canonical)?;
        warn(|| name(document), written.inexact());
        serde_json::to_writer(&mut lines, &written.marked())?;
        lines.push(b'\n');
    }
    print(&lines)
}

/// `shop.orders {"$numberInt":"42"}`
pub(super) fn name_of(ns: &str, document: &[u8]) -> String {
    let written = written(document, Notation::Canonical);
    let id = written.ok().and_then(|written| Some(text_of(&written.value(b"_id")?)));
    format!("{ns} {}", id.unwrap_or_else(|| "a document without _id".to_owned()))
}

/// `the entry of 2026-11-21T12:00:00Z (1795000000,17)`
pub(super) fn name_of_entry(entry: &[u8]) -> String {
    let at = Entry::parse(entry).map(|entry| entry.ts().for_people().to_string());
    format!("the entry of {}", at.unwrap_or_else(|_| "an unknown time".to_owned()))
}

/// Prints one line on stderr when `inexact` is not empty. The document is still printed, because
/// its bytes cannot be changed.
pub(super) fn warn(name: impl FnOnce() -> String, inexact: &[Inexact]) {
    let texts: Vec<String> = inexact.iter().map(Inexact::to_string).collect();
    warn_of_texts(name, &texts);
}

/// Like [`warn`], for the texts that an answer itself carries.
pub(super) fn warn_of_texts(name: impl FnOnce() -> String, inexact: &[String]) {
    if !inexact.is_empty() {
        say(&format!("warning: {} is not shown exactly: {}", name(), inexact.join("; ")));
    }
}

/// Returns a value as JSON on one line.
pub(super) fn text_of(value: &Value<'_>) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("({error})"))
}

/// Returns the first `most` characters of a text.
pub(super) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
