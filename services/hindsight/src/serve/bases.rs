//! Keeps a usable base. Copies one when the newest run of the log has none, as at the start and
//! after a gap, and when the history met an entry that it cannot apply.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hindsight_api::service::CopyBoard;
use hindsight_copy::{CopyErrorKind, CopyProgress, CopySettings, Started, begin};
use hindsight_index::{Index, IndexError};
use hindsight_log::{BaseDigest, BaseNotice, LogError, SharedLog};
use hindsight_oplog::OpTime;
use hindsight_replayer::Applied;
use hindsight_runtime::{Backoff, CancellationToken};
use hindsight_tailer::{CaptureSettings, Preference, SetIdentity, Source, candidates};
use serde_json::json;
use tokio::sync::watch;
use tracing::{info, warn};

use super::metrics;
use crate::base_registry::register_bases;

/// Announces the bases of this replica set that the log does not know. Returns all bases that the
/// log knows afterwards.
async fn announce_missing(
    shared: &dyn SharedLog,
    identity: &SetIdentity,
    directory: &Path,
) -> Result<Vec<BaseNotice>> {
    let mut announced = shared.announced().await?;
    for base in hindsight_base::list(directory)?.bases {
        let notice = BaseNotice { name: base.name, digest: BaseDigest(base.digest) };
        let set = base.origin.source.replica_set_id;
        let is_others = set.is_some_and(|set| set != identity.replica_set_id);
        if is_others || announced.contains(&notice) {
            continue;
        }
        info!(base = notice.name, "announcing a base");
        shared.announce(notice.clone()).await?;
        announced.push(notice);
    }
    Ok(announced)
}

/// Returns whether a failure passes by itself: the log or the directory is out of reach, or a disk
/// is full.
fn is_passing(error: &anyhow::Error) -> bool {
    if let Some(error) = error.downcast_ref::<LogError>() {
        return error.is_retryable();
    }
    if let Some(error) = error.downcast_ref::<hindsight_base::Error>() {
        return error.is_retryable();
    }
    matches!(error.downcast_ref::<IndexError>(), Some(IndexError::Storage { .. }))
}

/// First and longest pause between two bases that the history needs.
const FIRST_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// How often the keeper checks whether a base is missing.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct BaseKeeper {
    source: Source,
    identity: SetIdentity,
    preference: Preference,
    index: Arc<Index>,
    directory: PathBuf,
    shared: Option<Arc<dyn SharedLog>>,
    board: CopyBoard,
    /// The copy that began before capture, because capture must begin no later than the copy needs.
    begun: Option<Started>,
    /// Whether the directory may hold bases that the log does not announce yet.
    may_announce: bool,
    /// `None` in a process without a history. No history then reports that it needs a base.
    history: Option<watch::Receiver<Applied>>,
    for_history: Sparingly,
}

/// Limits how often bases are copied for a history that stops again and again: each base costs a
/// copy of everything.
struct Sparingly {
    backoff: Backoff,
    not_before: Instant,
}

impl Sparingly {
    fn new() -> Self {
        Self { backoff: Backoff::new(FIRST_REST, LONGEST_REST), not_before: Instant::now() }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let may = self.not_before <= now;
        if may {
            self.not_before = now + self.backoff.next_delay();
        }
        may
    }
}

impl BaseKeeper {
    pub(super) fn new(
        settings: &CaptureSettings,
        index: Arc<Index>,
        directory: PathBuf,
        shared: Option<Arc<dyn SharedLog>>,
        board: CopyBoard,
        history: Option<watch::Receiver<Applied>>,
    ) -> Self {
        Self {
            source: settings.source.clone(),
            identity: settings.identity.clone(),
            preference: settings.preference.clone(),
            index,
            directory,
            may_announce: shared.is_some(),
            shared,
            board,
            begun: None,
            history,
            for_history: Sparingly::new(),
        }
    }

    /// For an empty log, begins a copy and returns the entry from which on the log must hold the
    /// oplog.
    pub(super) async fn first_copy(mut self) -> Result<(Self, Option<OpTime>)> {
        if self.index.resume_point()?.is_some() {
            return Ok((self, None));
        }
        let started = self.begin().await?;
        let from = started.capture_from();
        self.begun = Some(started);
        Ok((self, Some(from)))
    }

    /// Runs until shutdown. A copy that fails is retried, with the reason on the board.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        while !shutdown.is_cancelled() {
            let mut delay = INTERVAL;
            self.announce().await?;
            if self.begun.is_some() || self.is_base_missing()? || self.history_needs_base() {
                match self.copy(&shutdown).await {
                    Ok(()) => {
                        backoff.reset();
                        self.board.set(None);
                    }
                    Err(_) if shutdown.is_cancelled() => return Ok(()),
                    Err(error) => {
                        metrics::base_failed();
                        warn!(%error, "copying a base failed; it will be tried again");
                        self.board.set(Some(json!({"failed": format!("{error:#}")})));
                        delay = backoff.next_delay();
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Returns whether the newest run of the log lacks a base whose entries it holds.
    fn is_base_missing(&self) -> Result<bool> {
        let view = self.index.view();
        let runs = view.runs()?;
        let Some(run) = runs.last() else { return Ok(false) };
        Ok(!view.bases()?.iter().any(|base| run.first <= base.capture_from))
    }

    /// Returns whether the history cannot continue, and could continue from a base that is copied
    /// now.
    fn history_needs_base(&mut self) -> bool {
        let history = self.history.as_ref().map(|history| history.borrow());
        let needs = history.is_some_and(|it| it.stopped.as_ref().is_some_and(|it| it.needs_base));
        needs && self.for_history.take()
    }

    async fn begin(&self) -> Result<Started> {
        let survey = self.source.survey(&self.source.hosts()).await?;
        anyhow::ensure!(survey.identity == self.identity, "the source is another replica set now");
        let mut found =
            candidates(&survey.members, &self.preference).map_err(anyhow::Error::msg)?;
        // A base from a member that does not build indexes is the last resort, because it has no
        // indexes either.
        let builds_indexes = |host: &str| {
            survey.members.iter().any(|member| member.host == host && member.builds_indexes)
        };
        found.sort_by_key(|candidate| !builds_indexes(&candidate.host));
        let mut failures = Vec::new();
        for candidate in found {
            let client = self.source.member_client(&candidate.host)?;
            let settings = CopySettings {
                expected_replica_set: Some(self.identity.replica_set_id),
                ..CopySettings::default()
            };
            match begin(&client, settings).await {
                Ok(started) => {
                    if !builds_indexes(&candidate.host) {
                        warn!(
                            member = candidate.host,
                            "no member that builds indexes can be copied from: indexes are missing in this base, until \
                             the catalogs of other members are compared"
                        );
                    }
                    return Ok(started);
                }
                Err(error) if error.kind() == CopyErrorKind::Refused => return Err(error.into()),
                Err(error) => failures.push(format!("{}: {error}", candidate.host)),
            }
        }
        anyhow::bail!("no member to copy a base from: {}", failures.join("; "))
    }

    async fn copy(&mut self, shutdown: &CancellationToken) -> Result<()> {
        let started = match self.begun.take() {
            Some(started) => started,
            None => self.begin().await?,
        };
        info!(member = %started.source().member, "copying a base");
        let (sender, receiver) = watch::channel(CopyProgress::default());
        let copied = tokio::select! {
            copied = started.run(&self.directory, sender, shutdown) => copied,
            never = self.show(receiver) => match never {},
        };
        let base = copied?;
        info!(base = base.name(), documents = base.manifest().documents(), "base complete");
        match self.shared {
            Some(_) => {
                self.may_announce = true;
                self.announce().await
            }
            None => register_bases(&self.index, &self.directory, None).map(drop),
        }
    }

    /// Announces in a shared log which bases belong to it, and then registers them. Returns an
    /// error when the log is lost to another tailer. When the log or the directory is out of reach,
    /// this is retried.
    async fn announce(&mut self) -> Result<()> {
        let Some(shared) = &self.shared else { return Ok(()) };
        if !self.may_announce {
            return Ok(());
        }
        let announced = announce_missing(shared.as_ref(), &self.identity, &self.directory).await;
        let registered = announced
            .and_then(|all| register_bases(&self.index, &self.directory, Some(&all)).map(drop));
        match registered {
            Ok(()) => {
                self.may_announce = false;
                Ok(())
            }
            Err(error) if is_passing(&error) => {
                warn!(error = format!("{error:#}"), "a base cannot be announced; trying again");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn show(&self, progress: watch::Receiver<CopyProgress>) -> std::convert::Infallible {
        loop {
            let now = progress.borrow().clone();
            self.board.set(Some(json!({
                "stage": format!("{:?}", now.stage),
                "collections_done": now.collections_done,
                "collections": now.collections,
                "documents": now.documents,
                "bytes": now.raw_bytes,
                "last_failure": now.last_failure,
            })));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_directory_out_of_reach_is_no_reason_to_end() {
        let path = PathBuf::from("/bases");
        let source = io::Error::from(io::ErrorKind::StaleNetworkFileHandle);
        let stale: Result<()> =
            Err(hindsight_base::Error::Io { action: "list", path, source }.into());
        assert!(is_passing(&stale.context("list the bases").expect_err("an error")));
        let reason = "another base of that name".to_owned();
        assert!(!is_passing(&hindsight_base::Error::Refused(reason).into()));
        assert!(!is_passing(&IndexError::BaseNameTaken { name: "b".to_owned() }.into()));
    }
}
