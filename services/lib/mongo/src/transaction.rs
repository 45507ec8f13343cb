//! Transactions on the primary of a replica set.

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf};
use futures_util::StreamExt;
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{
    ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions, WriteConcern,
};

use crate::cursor::Batch;
use crate::failure::Failure;

/// How often a commit is sent whose result is unknown.
const COMMITS: u32 = 3;

/// A transaction that reads one snapshot and commits with a majority. A transaction that is dropped
/// has no effect.
#[async_trait]
pub trait Transaction: Send {
    /// Runs a command that answers with one document.
    ///
    /// # Errors
    /// Returns any [`Failure`]. Nothing of the transaction takes effect then. Write errors inside
    /// an answer are not failures: the caller checks for them.
    async fn run(&mut self, db: &str, command: RawDocumentBuf) -> Result<Document, Failure>;

    /// Returns all documents of a command that answers with a cursor.
    ///
    /// # Errors
    /// As for [`Transaction::run`].
    async fn documents(
        &mut self,
        db: &str,
        command: RawDocumentBuf,
    ) -> Result<Vec<Vec<u8>>, Failure>;

    /// Commits.
    ///
    /// # Errors
    /// Returns [`CommitFailure::NotCommitted`] when the transaction has no effect, and
    /// [`CommitFailure::Unknown`] when nobody could tell.
    async fn commit(&mut self) -> Result<(), CommitFailure>;

    /// Gives up the transaction. The server does so by itself after a while.
    async fn abort(&mut self);
}

/// Why a commit failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitFailure {
    /// The transaction has no effect.
    #[error("not committed: {0}")]
    NotCommitted(Failure),
    /// The transaction may have taken effect, or may not.
    #[error("whether it was committed is unknown: {0}")]
    Unknown(Failure),
}

pub(crate) struct DriverTransaction {
    client: mongodb::Client,
    session: mongodb::ClientSession,
}

impl DriverTransaction {
    pub(crate) async fn begin(client: &mongodb::Client) -> Result<Self, Failure> {
        let mut session = client.start_session().await?;
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let options = TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .write_concern(WriteConcern::majority())
            .selection_criteria(primary)
            .build();
        session.start_transaction().with_options(options).await?;
        Ok(Self { client: client.clone(), session })
    }
}

#[async_trait]
impl Transaction for DriverTransaction {
    async fn run(&mut self, db: &str, command: RawDocumentBuf) -> Result<Document, Failure> {
        let database = self.client.database(db);
        let ran = database.run_raw_command(command).session(&mut self.session).await;
        ran.map_err(passing_if_transient)
    }

    async fn documents(
        &mut self,
        db: &str,
        command: RawDocumentBuf,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let database = self.client.database(db);
        let open = database.run_raw_cursor_command(command).session(&mut self.session).batch();
        let mut cursor = open.await.map_err(passing_if_transient)?;
        let mut batches = cursor.stream(&mut self.session);
        let (mut documents, mut is_complete) = (Vec::new(), false);
        while let Some(batch) = batches.next().await {
            let batch = Batch::from(batch.map_err(passing_if_transient)?);
            let unreadable = |error| Failure::refused(format!("an unreadable answer: {error}"));
            let reply = batch.read().map_err(unreadable)?;
            is_complete = reply.is_last;
            for document in reply.documents() {
                documents.push(document.map_err(unreadable)?.as_bytes().to_vec());
            }
        }
        // The driver also ends a stream whose connection broke.
        is_complete.then_some(documents).ok_or_else(|| Failure::passing("the answer was cut short"))
    }

    async fn commit(&mut self) -> Result<(), CommitFailure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Err(error) = self.session.commit_transaction().await else { return Ok(()) };
            let is_unknown = error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
            if is_unknown && tries < COMMITS {
                continue;
            }
            let failure = Failure::from(error);
            return Err(match is_unknown {
                true => CommitFailure::Unknown(failure),
                false => CommitFailure::NotCommitted(failure),
            });
        }
    }

    async fn abort(&mut self) {
        if let Err(error) = self.session.abort_transaction().await {
            let failure = Failure::from(error);
            tracing::debug!(%failure, "a transaction was not aborted; the server will do so");
        }
    }
}

/// A write conflict and an election end a transaction, and not the next try.
fn passing_if_transient(error: Error) -> Failure {
    let is_transient = error.contains_label(TRANSIENT_TRANSACTION_ERROR);
    let failure = Failure::from(error);
    if is_transient { failure.made_passing() } else { failure }
}
