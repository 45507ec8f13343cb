//! Batches of a cursor, kept as the server sent them.

use async_trait::async_trait;
use bson::RawDocumentBuf;
use hindsight_oplog::raw::{Doc, Element, Malformed};
use mongodb::raw_batch_cursor::RawBatch;

use crate::failure::Failure;

/// An open cursor.
#[async_trait]
pub trait Batches: Send {
    /// Returns the next batch, or `None` when the cursor has ended or its connection broke. An
    /// answer is complete only after a batch that [is the last](CursorReply::is_last).
    async fn next(&mut self) -> Option<Result<Batch, Failure>>;
}

/// A scripted cursor, for tests.
#[async_trait]
impl Batches for std::vec::IntoIter<Result<Batch, Failure>> {
    async fn next(&mut self) -> Option<Result<Batch, Failure>> {
        Iterator::next(self)
    }
}

/// One answer of a cursor. Its documents are slices of the answer.
#[derive(Debug)]
pub struct Batch(Answer);

#[derive(Debug)]
enum Answer {
    Driver(RawBatch),
    Scripted(RawDocumentBuf),
}

impl Batch {
    /// Returns the whole answer.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Answer::Driver(batch) => batch.as_raw_document().as_bytes(),
            Answer::Scripted(reply) => reply.as_bytes(),
        }
    }

    /// Reads the answer in place.
    ///
    /// # Errors
    /// Returns an error when the answer is not that of a cursor.
    pub fn read(&self) -> Result<CursorReply<'_>, Malformed> {
        CursorReply::read(Doc::new(self.as_bytes())?)
    }
}

impl From<RawBatch> for Batch {
    fn from(batch: RawBatch) -> Self {
        Self(Answer::Driver(batch))
    }
}

impl From<RawDocumentBuf> for Batch {
    fn from(reply: RawDocumentBuf) -> Self {
        Self(Answer::Scripted(reply))
    }
}

/// `{cursor: {firstBatch | nextBatch: [...], id}, operationTime, …}`.
#[derive(Debug, Clone, Copy)]
pub struct CursorReply<'a> {
    documents: Doc<'a>,
    /// Whether this is the last batch.
    pub is_last: bool,
}

impl<'a> CursorReply<'a> {
    /// # Errors
    /// Returns an error when the answer is not that of a cursor.
    pub fn read(reply: Doc<'a>) -> Result<Self, Malformed> {
        let cursor = reply.get(b"cursor")?.and_then(Element::as_doc);
        let cursor = cursor.ok_or(Malformed("a reply without a cursor"))?;
        let batch = match cursor.get(b"firstBatch")? {
            Some(batch) => Some(batch),
            None => cursor.get(b"nextBatch")?,
        };
        let documents = batch.and_then(Element::as_array);
        let id = cursor.get(b"id")?.and_then(Element::as_integer);
        Ok(Self {
            documents: documents.ok_or(Malformed("a cursor's reply without a batch"))?,
            is_last: id.ok_or(Malformed("a cursor's reply without its id"))? == 0,
        })
    }

    /// Returns the bytes of each item, without looking into them: for readers that parse each item
    /// anyway.
    pub fn items(&self) -> impl Iterator<Item = Result<&'a [u8], Malformed>> + use<'a> {
        self.documents.elements().map(|element| Ok(element?.value))
    }

    pub fn documents(&self) -> impl Iterator<Item = Result<Doc<'a>, Malformed>> + use<'a> {
        self.documents.elements().map(|element| {
            element?.as_doc().ok_or(Malformed("a batch with something other than documents"))
        })
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    fn bytes(document: Document) -> Vec<u8> {
        bson::serialize_to_vec(&document).expect("serializes")
    }

    fn with<T>(document: Document, read: impl FnOnce(Doc<'_>) -> T) -> T {
        read(Doc::new(&bytes(document)).expect("well formed"))
    }

    #[test]
    fn batches_are_read_raw() {
        let reply = doc! {
        "cursor": { "firstBatch": [{ "_id": 1 }, { "_id": 2, "a": [1] }], "id": 7_i64, "ns": "a.b" },
        "ok": 1.0,
        };
        with(reply, |reply| {
            let batch = CursorReply::read(reply).expect("well formed");
            assert!(!batch.is_last);
            let documents: Vec<_> = batch
                .documents()
                .map(|found| found.expect("well formed").as_bytes().to_vec())
                .collect();
            assert_eq!(documents, [bytes(doc! { "_id": 1 }), bytes(doc! { "_id": 2, "a": [1] })]);
        });
        let last = doc! { "cursor": { "id": 0_i64, "ns": "a.b", "nextBatch": [] }, "ok": 1.0 };
        with(last, |reply| {
            let batch = CursorReply::read(reply).expect("well formed");
            assert!(batch.is_last);
            assert_eq!(batch.documents().count(), 0);
        });
        for unreadable in [
            doc! { "ok": 1.0 },
            doc! { "cursor": { "id": 0_i64 } },
            doc! { "cursor": { "firstBatch": [] } },
            doc! { "cursor": { "firstBatch": 1, "id": 0_i64 } },
        ] {
            with(unreadable, |reply| assert!(CursorReply::read(reply).is_err()));
        }
        let numbers = doc! { "cursor": { "firstBatch": [1], "id": 0_i64 } };
        with(numbers, |reply| {
            assert!(CursorReply::read(reply).expect("well formed").documents().any(|d| d.is_err()))
        });
    }
}
