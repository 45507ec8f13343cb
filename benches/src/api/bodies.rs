//! Reads and checks the bodies of answers.

use anyhow::{Context, Result, bail, ensure};
use bson::RawDocument;
use bson::oid::ObjectId;
use serde_json::Value;

/// Returns `false` for a document that did not exist. Everything else that is not an answer is an
/// error.
pub fn is_there(code: u16, body: &[u8]) -> Result<bool> {
    if code == 200 {
        return Ok(true);
    }
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    if code == 404 && problem["reason"] == "NO_SUCH_DOCUMENT" {
        return Ok(false);
    }
    bail!("HTTP {code}: {}", String::from_utf8_lossy(body))
}

/// Checks the `_id` of a document.
pub fn check_id(document: &[u8], id: ObjectId) -> Result<()> {
    let found = RawDocument::from_bytes(document)?.get_object_id("_id")?;
    ensure!(found == id, "asked for {id}, got {found}");
    Ok(())
}

/// Checks the `_id` of a document in Extended JSON.
pub fn check_json_id(document: &Value, id: ObjectId) -> Result<()> {
    let found = document["_id"]["$oid"].as_str();
    ensure!(found == Some(id.to_hex().as_str()), "asked for {id}, got {document}");
    Ok(())
}

/// Checks the `_id` of the document that an entry wrote.
pub fn check_entry_id(entry: &[u8], id: ObjectId) -> Result<()> {
    let entry = RawDocument::from_bytes(entry)?;
    let field = if entry.get_str("op")? == "u" { "o2" } else { "o" };
    check_id(entry.get_document(field)?.as_bytes(), id)
}

/// Checks the `_id` of the document that an entry in Extended JSON wrote.
pub fn check_json_entry_id(entry: &Value, id: ObjectId) -> Result<()> {
    check_json_id(&entry[if entry["op"] == "u" { "o2" } else { "o" }], id)
}

/// Splits a body of documents that follow each other.
pub fn each_document(bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let (mut documents, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let head = rest.first_chunk::<4>().context("half a document")?;
        let (document, after) = rest
            .split_at_checked(usize::try_from(i32::from_le_bytes(*head))?.max(5))
            .context("half a document")?;
        documents.push(document);
        rest = after;
    }
    Ok(documents)
}

/// A number of documents, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The number of documents.
    pub documents: u64,
    /// The bytes of all documents together.
    pub bytes: u64,
}

/// Counts documents that arrive in pieces.
#[derive(Debug, Default)]
pub struct DocumentCounter {
    scanned: Scanned,
    length: Vec<u8>,
    left: usize,
}

impl DocumentCounter {
    /// Takes the next piece of the body.
    pub fn take(&mut self, mut piece: &[u8]) {
        self.scanned.bytes += piece.len() as u64;
        while !piece.is_empty() {
            if self.left == 0 {
                let wanted = (4 - self.length.len()).min(piece.len());
                self.length.extend_from_slice(&piece[..wanted]);
                piece = &piece[wanted..];
                if let Ok(length) = <[u8; 4]>::try_from(&self.length[..]) {
                    self.left = (u32::from_le_bytes(length) as usize).saturating_sub(4).max(1);
                    self.length.clear();
                }
            }
            let skipped = self.left.min(piece.len());
            piece = &piece[skipped..];
            if skipped > 0 && skipped == self.left {
                self.scanned.documents += 1;
            }
            self.left -= skipped;
        }
    }

    /// Returns what was counted.
    ///
    /// # Errors
    /// Returns an error when the last document is not whole.
    pub fn end(self) -> Result<Scanned> {
        ensure!(self.left == 0 && self.length.is_empty(), "the last document is not whole");
        Ok(self.scanned)
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn documents_are_counted_however_they_are_cut() {
        let documents = [doc! {}, doc! {"a": 1}, doc! {"b": "some text"}, doc! {}];
        let bytes: Vec<u8> = documents.iter().flat_map(|it| it.to_vec().expect("BSON")).collect();
        assert_eq!(each_document(&bytes).expect("whole").len(), 4);
        assert!(each_document(&bytes[..bytes.len() - 1]).is_err());
        for size in 1..=bytes.len() {
            let mut counter = DocumentCounter::default();
            bytes.chunks(size).for_each(|piece| counter.take(piece));
            let expected = Scanned { documents: 4, bytes: bytes.len() as u64 };
            assert_eq!(counter.end().expect("whole"), expected, "pieces of {size}");
        }
        let mut counter = DocumentCounter::default();
        counter.take(&bytes[..bytes.len() - 2]);
        assert!(counter.end().is_err());
    }

    #[test]
    fn only_a_missing_document_is_an_answer() {
        assert!(is_there(200, b"").expect("an answer"));
        assert!(!is_there(404, br#"{"reason":"NO_SUCH_DOCUMENT"}"#).expect("an answer"));
        assert!(is_there(404, br#"{"reason":"NO_SUCH_COLLECTION"}"#).is_err());
        assert!(is_there(429, br#"{"reason":"TOO_MANY_CALLS"}"#).is_err());
    }

    #[test]
    fn another_document_is_an_error() {
        let (id, other) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
        let update = doc! {"op": "u", "o": {"$v": 2}, "o2": {"_id": id}}.to_vec().expect("BSON");
        assert!(check_entry_id(&update, id).is_ok());
        assert!(check_entry_id(&update, other).is_err());
        let delete = serde_json::json!({"op": "d", "o": {"_id": {"$oid": id.to_hex()}}});
        assert!(check_json_entry_id(&delete, id).is_ok());
        assert!(check_json_entry_id(&delete, other).is_err());
    }
}
