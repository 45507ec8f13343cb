//! The copy from its first scan to the finished base.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use hindsight_base::{Base, BaseWriter, CollectionInfo, Origin};
use hindsight_mongo::Hello;
use hindsight_runtime::CancellationToken;
use tokio::sync::watch;

use super::catalog;
use super::error::{CopyError, Result};
use super::progress::{CopyProgress, CopyStage, ProgressSender};
use super::scan::{Scanned, Scans};
use super::start::Started;
use super::throttle::Throttle;

/// How many rounds of scans are run when collections that seemed to have vanished come back.
const ROUNDS: u32 = 5;

impl Started {
    /// Copies everything into a new base under `directory_of_bases`. At most one copy at a time may
    /// run per directory: this call first removes what earlier copies left unfinished. A copy that
    /// fails or is cancelled removes what it wrote.
    ///
    /// # Errors
    /// Returns [`CopyError::Cancelled`] when `cancel` is triggered, [`CopyError::Base`] when the
    /// base cannot be written, [`CopyError::Unsettled`] when a state that the copy waits for does
    /// not come, and [`CopyError::Server`] or [`CopyError::Refused`] when the member does not
    /// answer as needed. [`CopyError::kind`] says what to do about each.
    pub async fn run(
        mut self,
        directory_of_bases: &Path,
        progress: watch::Sender<CopyProgress>,
        cancel: &CancellationToken,
    ) -> Result<Base> {
        let progress = ProgressSender::new(progress);
        self.member.report_to(progress.clone());
        hindsight_base::remove_left_overs(directory_of_bases)?;
        let name = format!("copy-{}-{}", self.start.ts.seconds(), self.start.ts.increment());
        let base = BaseWriter::create(directory_of_bases, &name, self.settings.writer.clone())?;
        let copied = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(CopyError::Cancelled),
            copied = Box::pin(self.copy_into(&base, &progress)) => copied,
        };
        match copied {
            Ok(origin) => finish(base, origin, &progress).await,
            Err(error) => {
                if let Err(left) = base.abandon() {
                    tracing::warn!(error = %left, "an unfinished base is left behind");
                }
                Err(error)
            }
        }
    }

    /// Copies everything but the manifest.
    async fn copy_into(&self, base: &BaseWriter, progress: &ProgressSender) -> Result<Origin> {
        let timeout = self.settings.majority_timeout;
        progress.stage(CopyStage::Listing);
        let collections = catalog::read(&self.member, timeout).await?;
        tracing::info!(collections = collections.len(), "listed what to copy");
        progress.collections_found(collections.len());
        progress.stage(CopyStage::Scanning);
        let scans = Scans {
            member: self.member.clone(),
            after: self.scanned_after,
            base,
            throttle: Throttle::new(self.settings.bytes_per_second),
            progress: progress.clone(),
        };
        self.scan_all(&scans, collections).await?;
        progress.stage(CopyStage::AwaitingMajority);
        let end = self.await_end().await?;
        Ok(self.origin(&end))
    }

    /// Scans all collections. Scans again those that seemed dropped but exist: their drop was
    /// rolled back.
    async fn scan_all(&self, scans: &Scans<'_>, collections: Vec<CollectionInfo>) -> Result<()> {
        let mut to_scan = collections;
        for _ in 0..ROUNDS {
            let vanished = self.scan_round(scans, to_scan).await?;
            if vanished.is_empty() {
                return Ok(());
            }
            let existing =
                catalog::read_uuids(&self.member, self.settings.majority_timeout).await?;
            let (back, gone): (Vec<_>, Vec<_>) =
                vanished.into_iter().partition(|info| existing.contains(&info.uuid));
            for info in gone {
                tracing::info!(db = info.db, name = info.name, "dropped while the base was copied");
                scans.base.dropped_collection(info);
            }
            if back.is_empty() {
                return Ok(());
            }
            back.iter().for_each(|_| scans.progress.collection_reopened());
            to_scan = back;
        }
        Err(CopyError::Unsettled("collections vanish and come back during the copy".to_owned()))
    }

    async fn scan_round(
        &self,
        scans: &Scans<'_>,
        collections: Vec<CollectionInfo>,
    ) -> Result<Vec<CollectionInfo>> {
        stream::iter(collections)
            .map(|info| Box::pin(scans.scan(info)))
            .buffer_unordered(self.settings.parallel_scans.max(1))
            .try_filter_map(|scanned| async move {
                match scanned {
                    Scanned::Copied => Ok(None),
                    Scanned::Vanished(info) => Ok(Some(info)),
                }
            })
            .try_collect()
            .await
    }

    /// Waits for E: the majority point once it has passed everything that a reply carried and
    /// everything that the member has applied by now.
    async fn await_end(&self) -> Result<Hello> {
        let now = self.member.hello().await?;
        let target = self.member.seen().max(now.last_applied.ts);
        let end = self.member.majority_at(target, None, self.settings.majority_timeout).await?;
        Ok(end.expect("no incarnation was asked for"))
    }
}

async fn finish(base: BaseWriter, origin: Origin, progress: &ProgressSender) -> Result<Base> {
    progress.stage(CopyStage::Finishing);
    let finished = tokio::task::spawn_blocking(move || base.finish(origin)).await;
    let base = finished
        .map_err(|panic| CopyError::Refused(format!("writing the manifest failed: {panic}")))??;
    progress.stage(CopyStage::Done);
    let manifest = base.manifest();
    tracing::info!(
        base = base.name(),
        documents = manifest.documents(),
        raw_bytes = manifest.raw_bytes(),
        stored_bytes = manifest.stored_bytes(),
        "copied a base"
    );
    Ok(base)
}
