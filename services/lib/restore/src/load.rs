//! Loads documents. Reading, digesting and sending overlap.
//!
//! Blocking readers take one collection after another, the largest first, and fill batches. Senders
//! take batches of any collection from one queue, so that a single large collection keeps all
//! connections busy. The batches of a capped collection are sent one after another, because the
//! order is part of the state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hindsight_oplog::raw::Malformed;
use hindsight_runtime::queue::{self, Held};
use hindsight_runtime::{TaskFailure, Tasks};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, BatchBuilder, Unfit};
use super::destination::Destination;
use super::digest::Digest;
use super::documents::display_id;
use super::error::RestoreError;
use super::plan::{Plan, PlannedCollection};
use super::progress::Progress;
use super::settings::RestoreSettings;
use super::snapshot::Snapshot;
use super::time_series;
use super::verbatim::Verbatim;

/// What loading needs, shared by its tasks.
pub(super) struct Loader {
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) plan: Arc<Plan>,
    pub(super) settings: RestoreSettings,
    pub(super) progress: Arc<Progress>,
    pub(super) verbatim: Arc<Verbatim>,
}

/// A batch on its way to the target.
struct Work {
    /// The place of the collection in the plan.
    collection: usize,
    batch: Batch,
    /// Notified when the target has taken the batch, if the next batch must wait for that.
    taken: Option<oneshot::Sender<()>>,
}

/// What the readers share: the order of the collections, the next collection to read, and the
/// digests of those that were read.
struct Reading {
    order: Vec<usize>,
    next: AtomicUsize,
    digests: Mutex<Vec<Option<Digest>>>,
}

/// How long tasks may take to end once they are asked to. They check every few milliseconds; only a
/// source that is stuck in a read takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Loader {
    /// Writes every document of the plan. Returns the digest of what was written for each
    /// collection, in the order of the plan.
    pub(super) async fn load(
        self: Arc<Self>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Digest>, RestoreError> {
        let connections = self.settings.connections;
        let (sender, receiver) =
            queue::bounded::<Work>(connections * self.settings.batch_bytes * 2);
        let (sender, receiver) = (Arc::new(sender), Arc::new(tokio::sync::Mutex::new(receiver)));
        let reading = Arc::new(Reading::of(&self.plan));
        let stop = cancel.child_token();
        let mut tasks = Tasks::new(stop.clone());
        for _ in 0..self.settings.readers.min(self.plan.collections.len()) {
            let (loader, reading, sender, stop) =
                (Arc::clone(&self), Arc::clone(&reading), Arc::clone(&sender), stop.clone());
            tasks.spawn_blocking("reader of the state", move || {
                loader.read_collections(&reading, &sender, &stop)
            });
        }
        drop(sender);
        for _ in 0..connections {
            let (loader, receiver, stop) = (Arc::clone(&self), Arc::clone(&receiver), stop.clone());
            tasks.spawn("sender to the target", async move {
                stop.run_until_cancelled(loader.send_batches(&receiver)).await.unwrap_or(Ok(()))
            });
        }
        drop(receiver);
        let joined = tasks.join(PATIENCE).await;
        if cancel.is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        joined.map_err(flatten)?;
        let digests = reading.digests.lock().expect("no reader panicked: all were joined").clone();
        let all: Option<Vec<Digest>> = digests.into_iter().collect();
        all.ok_or_else(|| RestoreError::Defect("a collection was not read to its end".into()))
    }

    fn read_collections(
        &self,
        reading: &Reading,
        queue: &queue::Sender<Work>,
        stop: &CancellationToken,
    ) -> Result<(), RestoreError> {
        while let Some(&index) = reading.order.get(reading.next.fetch_add(1, Ordering::Relaxed)) {
            let collection = &self.plan.collections[index];
            let Some(digest) = self.read(index, collection, queue, stop)? else { return Ok(()) };
            reading.digests.lock().expect("no reader panics holding it")[index] = Some(digest);
        }
        Ok(())
    }

    /// Reads one collection into the queue. Returns `None` when asked to stop before the end.
    fn read(
        &self,
        index: usize,
        collection: &PlannedCollection,
        queue: &queue::Sender<Work>,
        stop: &CancellationToken,
    ) -> Result<Option<Digest>, RestoreError> {
        let namespace = || collection.state.namespace();
        let failed = |source| RestoreError::Source { namespace: namespace(), source };
        let garbled = |error: Malformed| failed(error.into());
        let refuses_mixed = collection.time_series.as_ref().is_some_and(|it| it.refuses_mixed);
        let mut digest = Digest::default();
        let mut builder = BatchBuilder::new(
            &collection.state.name,
            collection.ordered,
            self.settings.batch_bytes,
            self.settings.batch_documents,
        );
        if collection.raw_data {
            builder = builder.of_buckets();
        }
        for document in self.snapshot.documents(&collection.state).map_err(failed)? {
            let document = document.map_err(failed)?;
            if refuses_mixed
                && let Some(reason) = time_series::refusal(&document).map_err(garbled)?
            {
                let what = format!("the bucket with _id {}", display_id(&document));
                return Err(RestoreError::WriteRefused {
                    namespace: namespace(),
                    what,
                    reason: reason.to_owned(),
                });
            }
            let Some(ready) = self.take_in(&mut builder, collection, &document)? else { continue };
            digest.add_of(collection, &document);
            for batch in ready.into_iter().flatten() {
                if !enqueue(queue, index, batch, collection.ordered, stop) {
                    return Ok(None);
                }
            }
        }
        let sent = builder
            .take()
            .is_none_or(|batch| enqueue(queue, index, batch, collection.ordered, stop));
        Ok(sent.then_some(digest))
    }

    /// Adds a document, and returns the batches that are now ready, in the order to send them.
    /// Returns `None` when the document is left out.
    fn take_in(
        &self,
        builder: &mut BatchBuilder,
        collection: &PlannedCollection,
        document: &[u8],
    ) -> Result<Option<[Option<Batch>; 2]>, RestoreError> {
        let unfit = match builder.add(document) {
            Ok(full) => return Ok(Some([full, None])),
            Err(unfit) => unfit,
        };
        let namespace = collection.state.namespace();
        let Unfit::Verbatim(reason) = unfit else { return Err(refused(namespace, unfit)) };
        let is_written = self.verbatim.decide(&namespace, document, reason)?;
        let alone = || Batch::verbatim(&namespace, document);
        Ok(is_written.then(|| [builder.take(), Some(alone())]))
    }

    async fn send_batches(
        &self,
        receiver: &tokio::sync::Mutex<queue::Receiver<Work>>,
    ) -> Result<(), RestoreError> {
        loop {
            let received = receiver.lock().await.recv().await;
            let Some(Held { item: work, .. }) = received.as_ref() else { return Ok(()) };
            let collection = &self.plan.collections[work.collection];
            self.destination.write(collection, &work.batch).await?;
            self.progress.add(work.batch.documents, work.batch.bytes);
            if let Some(Held { item: Work { taken: Some(taken), .. }, .. }) = received {
                // A reader that no longer waits has been asked to stop.
                let _ = taken.send(());
            }
        }
    }
}

impl Reading {
    fn of(plan: &Plan) -> Self {
        let mut order: Vec<usize> = (0..plan.collections.len()).collect();
        let size = |index: &usize| plan.collections[*index].state.bytes_hint.unwrap_or(0);
        order.sort_by_key(|index| std::cmp::Reverse(size(index)));
        let digests = Mutex::new(vec![None; order.len()]);
        Self { order, next: AtomicUsize::new(0), digests }
    }
}

/// Puts a batch into the queue once there is room; with `wait`, also waits until the target has
/// taken the batch. Returns false when asked to stop meanwhile.
fn enqueue(
    queue: &queue::Sender<Work>,
    collection: usize,
    batch: Batch,
    wait: bool,
    stop: &CancellationToken,
) -> bool {
    let bytes = batch.insert.as_bytes().len()
        + batch.repair.as_ref().map_or(0, |repair| repair.as_bytes().len());
    let (taken, answer) = oneshot::channel();
    let work = Work { collection, batch, taken: wait.then_some(taken) };
    let pass = async { queue.send(work, bytes).await.is_ok() && (!wait || answer.await.is_ok()) };
    Handle::current().block_on(stop.run_until_cancelled(pass)).unwrap_or(false)
}

fn refused(namespace: String, unfit: Unfit) -> RestoreError {
    match unfit {
        Unfit::Malformed(error) => RestoreError::Source { namespace, source: error.into() },
        Unfit::Verbatim(_) => RestoreError::Defect(format!("{namespace}: a document was not sent")),
        Unfit::Impossible { id, reason } => RestoreError::WriteRefused {
            namespace,
            what: format!("the document with _id {id} as it is"),
            reason: reason.to_owned(),
        },
    }
}

fn flatten(failure: TaskFailure<RestoreError>) -> RestoreError {
    match failure {
        TaskFailure::Failed { error, .. } => error,
        other => RestoreError::Defect(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
