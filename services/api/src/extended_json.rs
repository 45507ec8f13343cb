//! Documents and entries as Extended JSON v2, canonical for scripts and relaxed for people, and
//! documents as people type them.

mod typed;

use anyhow::{Context, Result};
use bson::{RawBson, RawDocumentBuf};
use hindsight_extended_json::{Notation, Written};
use serde_json::{Value, json};

use hindsight_oplog::Timestamp;

pub use typed::parse as parse_value;

/// # Errors
/// Returns an error when the bytes are not BSON.
pub fn written(bytes: &[u8], notation: Notation) -> Result<Written<'_>> {
    Written::of(bytes, notation).context("read a document")
}

/// Parses a document as people type it. The fields keep their order.
///
/// # Errors
/// Returns an error when the text is not a JSON object, or when Extended JSON gives it no meaning.
pub fn parse_document(text: &str) -> Result<RawDocumentBuf> {
    match parse_value(text)? {
        RawBson::Document(document) => Ok(document),
        _ => anyhow::bail!("it is a value, not a document: write {{…}}"),
    }
}

/// Returns a position as `{"t": …, "i": …}`, the form used in Hindsight's own JSON.
pub fn of_timestamp(ts: Timestamp) -> Value {
    json!({"t": ts.seconds(), "i": ts.increment()})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers may send such a document as an id or a filter.
    #[test]
    fn bottomless_nesting_is_refused() {
        let levels = 100_000_i32;
        let mut bytes = Vec::new();
        for inside in (0..levels).rev() {
            bytes.extend((5 + 7 * inside).to_le_bytes());
            bytes.extend([0x03, 0]);
        }
        bytes.truncate(bytes.len() - 2);
        bytes.resize(bytes.len() + levels as usize, 0);
        assert_eq!(bytes.len(), 5 + 7 * (levels as usize - 1));
        assert!(written(&bytes, Notation::Canonical).is_err());
    }
}
