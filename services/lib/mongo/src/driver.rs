//! The driver as a [`Connection`].

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf};
use futures_util::StreamExt;
use mongodb::options::{CursorType, SelectionCriteria};
use mongodb::raw_batch_cursor::RawBatchCursor;

use crate::client::{Connection, Wait};
use crate::cursor::{Batch, Batches};
use crate::failure::Failure;
use crate::transaction::{DriverTransaction, Transaction};

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) client: mongodb::Client,
    /// The members that commands are sent to; `None` for the primary.
    pub(crate) read_from: Option<SelectionCriteria>,
}

#[async_trait]
impl Connection for Driver {
    async fn run(&self, db: &str, command: RawDocumentBuf) -> Result<Document, Failure> {
        let database = self.client.database(db);
        let mut run = database.run_raw_command(command);
        if let Some(from) = self.read_from.clone() {
            run = run.selection_criteria(from);
        }
        Ok(run.await?)
    }

    async fn open(
        &self,
        db: &str,
        command: RawDocumentBuf,
        wait: Wait,
    ) -> Result<Box<dyn Batches>, Failure> {
        let database = self.client.database(db);
        let mut run = database.run_raw_cursor_command(command);
        if let Some(from) = self.read_from.clone() {
            run = run.selection_criteria(from);
        }
        if let Wait::Tail { without_news, batch_size } = wait {
            run = run.cursor_type(CursorType::TailableAwait).max_time(without_news);
            if let Some(limit) = batch_size {
                run = run.batch_size(limit);
            }
        }
        Ok(Box::new(run.batch().await?))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, Failure> {
        Ok(Box::new(DriverTransaction::begin(&self.client).await?))
    }
}

#[async_trait]
impl Batches for RawBatchCursor {
    async fn next(&mut self) -> Option<Result<Batch, Failure>> {
        let batch = StreamExt::next(self).await?;
        Some(batch.map(Batch::from).map_err(Failure::from))
    }
}
