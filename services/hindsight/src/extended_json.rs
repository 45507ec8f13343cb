//! Documents and entries as Extended JSON v2, fields in order: canonical for scripts, relaxed for people.

mod written;

use anyhow::{Context, Result};
use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use serde_json::{Value, json};

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;

use crate::cli::Output;

pub use written::Written;

/// # Errors
/// Bytes that are no BSON, or that hold invalid UTF-8, which JSON cannot carry.
pub fn of(bytes: &[u8]) -> Result<Value> {
    Ok(parse(bytes)?.into_canonical_extjson())
}

/// Easier to read, and numbers lose their types: for eyes only.
///
/// # Errors
/// As [`of`].
pub fn relaxed(bytes: &[u8]) -> Result<Value> {
    Ok(parse(bytes)?.into_relaxed_extjson())
}

/// What the output format asks for.
///
/// # Errors
/// As [`of`].
pub fn shown(output: Output, bytes: &[u8]) -> Result<Value> {
    match output {
        Output::Json => of(bytes),
        Output::Text => relaxed(bytes),
    }
}

/// A document as people type it, fields in order.
///
/// # Errors
/// Text that is no JSON object, or that Extended JSON gives no meaning.
pub fn parse_document(text: &str) -> Result<RawDocumentBuf> {
    let json: Value = serde_json::from_str(text).context("it is not JSON")?;
    anyhow::ensure!(json.is_object(), "it is not a JSON object");
    let value = Bson::try_from(json).context("it is not Extended JSON")?;
    let document = value.as_document().context("it is a value, not a document")?;
    RawDocumentBuf::try_from(document).context("it cannot be written as BSON")
}

fn parse(bytes: &[u8]) -> Result<Bson> {
    // Nesting has no other limit there, and every level takes some of the stack.
    Doc::new(bytes).and_then(Doc::validate).context("read a document")?;
    let raw = RawDocument::from_bytes(bytes).context("read a document")?;
    let document = Document::try_from(raw).context("a document cannot be shown as JSON")?;
    Ok(Bson::Document(document))
}

/// Our own positions: `{"t": …, "i": …}`.
pub fn of_timestamp(ts: Timestamp) -> Value {
    json!({"t": ts.seconds(), "i": ts.increment()})
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    /// A caller may send this as an id or a filter.
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
        assert!(of(&bytes).is_err() && relaxed(&bytes).is_err());
    }

    #[test]
    fn is_canonical_and_keeps_the_order() {
        let document = rawdoc! {"z": 1_i32, "a": 2_i64, "n": {"y": 1.0, "b": bson::Timestamp {time: 1, increment: 2}}};
        let json = of(document.as_bytes()).expect("valid").to_string();
        assert_eq!(
            json,
            r#"{"z":{"$numberInt":"1"},"a":{"$numberLong":"2"},"n":{"y":{"$numberDouble":"1.0"},"b":{"$timestamp":{"t":1,"i":2}}}}"#
        );
    }
}
