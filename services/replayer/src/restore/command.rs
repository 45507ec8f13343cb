//! Running raw commands on the target.

use bson::{Bson, Document, RawDocumentBuf};
use futures_util::StreamExt;
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed};
use mongodb::Client;
use mongodb::error::{Error, ErrorKind};

use super::error::RestoreError;

pub(super) const UNAUTHORIZED: i32 = 13;
pub(super) const NAMESPACE_EXISTS: i32 = 48;
pub(super) const NAMESPACE_NOT_FOUND: i32 = 26;
pub(super) const INDEX_NOT_FOUND: i32 = 27;
pub(super) const UNKNOWN_FIELD: i32 = 40415;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The network or the server's role: the same command may pass later.
    Unavailable(String),
    /// The server's answer, with its code (0 where it gave none).
    Refused { code: i32, message: String },
}

impl Failure {
    pub(super) fn is(&self, wanted: i32) -> bool {
        matches!(self, Failure::Refused { code, .. } if *code == wanted)
    }

    /// As the error of a write to `namespace`.
    pub(super) fn writing(self, namespace: &str, what: impl Into<String>) -> RestoreError {
        let (namespace, what) = (namespace.to_owned(), what.into());
        match self {
            Failure::Unavailable(reason) => RestoreError::Unavailable {
                doing: format!("writing {what} of {namespace}"),
                reason,
            },
            Failure::Refused { message, .. } => {
                RestoreError::WriteRefused { namespace, what, reason: message }
            }
        }
    }

    /// As the error of a read of the target.
    pub(super) fn reading(self, what: &str) -> RestoreError {
        let reason = match self {
            Failure::Unavailable(reason) => reason,
            Failure::Refused { message, .. } => message,
        };
        RestoreError::Unavailable { doing: format!("reading {what}"), reason }
    }
}

/// Replies by which a server says that it is not, or no longer, the one to ask.
const NOT_NOW: [i32; 10] = [6, 7, 89, 91, 189, 9001, 10107, 11600, 11602, 13435];

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(command) if !NOT_NOW.contains(&command.code) => {
                Failure::Refused { code: command.code, message: command.message.clone() }
            }
            ErrorKind::Command(_)
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Shutdown => Failure::Unavailable(error.kind.to_string()),
            _ => Failure::Refused { code: 0, message: error.kind.to_string() },
        }
    }
}

/// Runs one command and returns its reply, write errors inside it unexamined.
pub(super) async fn run(client: &Client, db: &str, command: Vec<u8>) -> Result<Document, Failure> {
    let command = RawDocumentBuf::from_bytes(command)
        .map_err(|error| Failure::Refused { code: 0, message: error.to_string() })?;
    run_raw(client, db, command).await
}

pub(super) async fn run_raw(
    client: &Client,
    db: &str,
    command: RawDocumentBuf,
) -> Result<Document, Failure> {
    Ok(client.database(db).run_raw_command(command).await?)
}

/// `{name: 1}`.
pub(super) fn simple(name: &str) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.int32(name.as_bytes(), 1);
    command.finish()
}

/// `{name: text}`.
pub(super) fn named(name: &str, text: &str) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(name.as_bytes(), text);
    command.finish()
}

/// Runs a command that answers with a cursor and gives every document's raw bytes to `visit`.
pub(super) async fn for_each_document(
    client: &Client,
    db: &str,
    command: Vec<u8>,
    mut visit: impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Failure> {
    let garbled = |message: String| Failure::Refused { code: 0, message };
    let command =
        RawDocumentBuf::from_bytes(command).map_err(|error| garbled(error.to_string()))?;
    let mut batches = client.database(db).run_raw_cursor_command(command).batch().await?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let reply = batch.as_raw_document().as_bytes();
        visit_batch(reply, &mut visit).map_err(|error| garbled(format!("bad reply: {error}")))?;
    }
    Ok(())
}

fn visit_batch(
    reply: &[u8],
    visit: &mut impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    const NO_BATCH: Malformed = Malformed("no batch in the cursor's reply");
    let cursor = Doc::new(reply)?.get(b"cursor")?.and_then(Element::as_doc).ok_or(NO_BATCH)?;
    let batch = match cursor.get(b"firstBatch")? {
        Some(first) => Some(first),
        None => cursor.get(b"nextBatch")?,
    };
    for element in batch.and_then(Element::as_array).ok_or(NO_BATCH)?.elements() {
        visit(element?.value)?;
    }
    Ok(())
}

/// All documents of a cursor, for lists that are short by nature.
pub(super) async fn collect(
    client: &Client,
    db: &str,
    command: Vec<u8>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut documents = Vec::new();
    let keep = |document: &[u8]| {
        documents.push(document.to_vec());
        Ok(())
    };
    for_each_document(client, db, command, keep).await?;
    Ok(documents)
}

/// Canonical Extended JSON of one raw value, for messages; what JSON cannot show is shown in hexadecimal.
pub(super) fn display_value(element: Element<'_>) -> String {
    let mut writer = DocWriter::new();
    writer.value(element.kind, b"v", element.value);
    let bytes = writer.finish();
    let decoded = RawDocumentBuf::from_bytes(bytes)
        .ok()
        .and_then(|raw| Document::try_from(raw.as_ref()).ok())
        .and_then(|mut document| document.remove("v"))
        .map(Bson::into_canonical_extjson);
    match decoded {
        Some(value) => value.to_string(),
        None => element.value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
