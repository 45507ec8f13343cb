//! Runs raw commands on the target.

use bson::{Document, RawDocumentBuf};
use hindsight_mongo::{Batch, Client, CursorReply, Failure};
use hindsight_oplog::raw::{DocWriter, Malformed};

/// Runs one command and returns its reply. Write errors inside the reply are not examined.
pub(super) async fn run(client: &Client, db: &str, command: Vec<u8>) -> Result<Document, Failure> {
    client.run(db, raw(command)?).await
}

/// Returns the command `{name: 1}`.
pub(super) fn simple(name: &str) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.int32(name.as_bytes(), 1);
    command.finish()
}

/// Returns the command `{name: text}`.
pub(super) fn named(name: &str, text: &str) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(name.as_bytes(), text);
    command.finish()
}

/// Runs a command that answers with a cursor, and passes the raw bytes of every document to
/// `visit`.
pub(super) async fn for_each_document(
    client: &Client,
    db: &str,
    command: Vec<u8>,
    mut visit: impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Failure> {
    let visit_batch = |_: &Batch, reply: CursorReply<'_>| {
        reply.documents().try_for_each(|document| visit(document?.as_bytes()))
    };
    client.for_each_batch(db, raw(command)?, visit_batch).await
}

/// Returns all documents of a cursor, for lists that are short by nature.
pub(super) async fn collect(
    client: &Client,
    db: &str,
    command: Vec<u8>,
) -> Result<Vec<Vec<u8>>, Failure> {
    client.documents(db, raw(command)?).await
}

fn raw(command: Vec<u8>) -> Result<RawDocumentBuf, Failure> {
    RawDocumentBuf::from_bytes(command).map_err(|error| Failure::refused(error.to_string()))
}
