//! Sends commands and returns raw answers.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf, rawdoc};
use hindsight_oplog::raw::{Doc, Malformed};

use crate::cursor::{Batch, Batches, CursorReply};
use crate::failure::Failure;
use crate::hello::Hello;
use crate::set_config::SetConfig;
use crate::transaction::Transaction;

/// How a cursor waits when it has returned everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The cursor ends.
    No,
    /// The server keeps the cursor, and answers with an empty batch after this time without news.
    Tail {
        /// How long the server waits for news before it answers with an empty batch.
        without_news: Duration,
        /// Limit on the number of documents in a batch after the first. None: the server's own.
        batch_size: Option<u32>,
    },
}

/// What a [`Client`] talks to: the driver, or a script in tests.
#[async_trait]
pub trait Connection: Debug + Send + Sync {
    /// Runs a command that answers with one document.
    ///
    /// # Errors
    /// Returns any [`Failure`]. Write errors inside an answer are not failures: the caller checks
    /// for them.
    async fn run(&self, db: &str, command: RawDocumentBuf) -> Result<Document, Failure>;

    /// Runs a command that answers with a cursor.
    ///
    /// # Errors
    /// Returns any [`Failure`].
    async fn open(
        &self,
        db: &str,
        command: RawDocumentBuf,
        wait: Wait,
    ) -> Result<Box<dyn Batches>, Failure>;

    /// Begins a transaction.
    ///
    /// # Errors
    /// Returns any [`Failure`]. Scripts know no transactions unless they say otherwise.
    async fn begin(&self) -> Result<Box<dyn Transaction>, Failure> {
        Err(Failure::refused("no transactions are known here"))
    }
}

/// A connection to one member, or to a whole deployment. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Client(Arc<dyn Connection>);

impl Client {
    pub fn new(connection: impl Connection + 'static) -> Self {
        Self(Arc::new(connection))
    }

    /// Runs a command that answers with one document.
    ///
    /// # Errors
    /// Returns any [`Failure`]. Write errors inside an answer are not failures: the caller checks
    /// for them.
    pub async fn run(&self, db: &str, command: RawDocumentBuf) -> Result<Document, Failure> {
        self.0.run(db, command).await
    }

    /// Runs a command that answers with a cursor.
    ///
    /// # Errors
    /// Returns any [`Failure`].
    pub async fn open(
        &self,
        db: &str,
        command: RawDocumentBuf,
        wait: Wait,
    ) -> Result<Box<dyn Batches>, Failure> {
        self.0.open(db, command, wait).await
    }

    /// Begins a transaction. A standalone server refuses the first command of a transaction.
    ///
    /// # Errors
    /// Returns any [`Failure`].
    pub async fn begin(&self) -> Result<Box<dyn Transaction>, Failure> {
        self.0.begin().await
    }

    /// Runs a command that answers with a cursor, and passes each of its batches to `visit`.
    ///
    /// # Errors
    /// Returns any [`Failure`], also when an answer is malformed or was cut short.
    pub async fn for_each_batch(
        &self,
        db: &str,
        command: RawDocumentBuf,
        mut visit: impl FnMut(&Batch, CursorReply<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        let malformed = |error: Malformed| unreadable(&error);
        let mut batches = self.open(db, command, Wait::No).await?;
        let mut is_complete = false;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let reply = batch.read().map_err(malformed)?;
            is_complete = reply.is_last;
            visit(&batch, reply).map_err(malformed)?;
        }
        // The driver also ends a stream whose connection broke.
        if !is_complete {
            return Err(Failure::passing("the answer was cut short"));
        }
        Ok(())
    }

    /// Returns all documents of a cursor, for lists that are short by nature.
    ///
    /// # Errors
    /// Returns the failures of [`Client::for_each_batch`].
    pub async fn documents(
        &self,
        db: &str,
        command: RawDocumentBuf,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut documents = Vec::new();
        let keep = |_: &Batch, reply: CursorReply<'_>| {
            for document in reply.documents() {
                documents.push(document?.as_bytes().to_vec());
            }
            Ok(())
        };
        self.for_each_batch(db, command, keep).await?;
        Ok(documents)
    }

    /// Asks the server what it is.
    ///
    /// # Errors
    /// Returns any [`Failure`].
    pub async fn hello(&self) -> Result<Hello, Failure> {
        self.ask(rawdoc! { "hello": 1 }, Hello::read).await
    }

    /// Asks a member for the configuration of its replica set.
    ///
    /// # Errors
    /// Returns any [`Failure`].
    pub async fn set_config(&self) -> Result<SetConfig, Failure> {
        self.ask(SetConfig::command(), SetConfig::read).await
    }

    async fn ask<T>(
        &self,
        question: RawDocumentBuf,
        read: impl FnOnce(Doc<'_>) -> Result<T, Malformed>,
    ) -> Result<T, Failure> {
        let answer = self.run("admin", question).await?;
        let bytes = answer.to_vec().map_err(|error| Failure::refused(error.to_string()))?;
        Doc::new(&bytes).and_then(read).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &Malformed) -> Failure {
    Failure::refused(format!("the server's answer is not readable: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every cursor with these batches.
    #[derive(Debug)]
    struct Scripted(Vec<RawDocumentBuf>);

    #[async_trait]
    impl Connection for Scripted {
        async fn run(&self, _: &str, _: RawDocumentBuf) -> Result<Document, Failure> {
            Err(Failure::from_server(59, "CommandNotFound", "no such command"))
        }

        async fn open(
            &self,
            _: &str,
            _: RawDocumentBuf,
            _: Wait,
        ) -> Result<Box<dyn Batches>, Failure> {
            let batches: Vec<_> = self.0.iter().cloned().map(|reply| Ok(reply.into())).collect();
            Ok(Box::new(batches.into_iter()))
        }
    }

    fn batch(part: &str, id: i64, documents: &[i32]) -> RawDocumentBuf {
        let mut array = bson::RawArrayBuf::new();
        documents.iter().for_each(|number| array.push(rawdoc! { "n": *number }));
        let mut cursor = rawdoc! { "id": id };
        cursor.append(bson::raw::CString::try_from(part).expect("no null byte"), array);
        rawdoc! { "cursor": cursor, "ok": 1 }
    }

    #[tokio::test]
    async fn all_batches_count_and_none_may_be_missing() {
        let first = batch("firstBatch", 7, &[1, 2]);
        let whole = Client::new(Scripted(vec![first.clone(), batch("nextBatch", 0, &[3])]));
        let found = whole.documents("db", rawdoc! { "find": "c" }).await.expect("complete");
        assert_eq!(found.len(), 3);
        assert_eq!(found[2], rawdoc! { "n": 3 }.into_bytes());

        let cut = Client::new(Scripted(vec![first]));
        let failure = cut.documents("db", rawdoc! { "find": "c" }).await.expect_err("cut short");
        assert!(failure.is_passing(), "{failure}");

        let odd = Client::new(Scripted(vec![rawdoc! { "ok": 1 }]));
        let failure = odd.documents("db", rawdoc! { "find": "c" }).await.expect_err("no cursor");
        assert!(!failure.is_passing(), "{failure}");
        assert!(odd.hello().await.expect_err("unknown").is(59));
    }
}
