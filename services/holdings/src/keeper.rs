//! Keeps a usable base. Copies one when the newest run of the log has none, as at the start and
//! after a gap, and when the history met an entry that it cannot apply.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hindsight_base::Renewal;
use hindsight_copy::{
    CopyBoard, CopyErrorKind, CopyProgress, CopySettings, CopyState, Started, begin,
};
use hindsight_index::{BaseSummary, Index};
use hindsight_log::{BaseDigest, BaseNotice, SharedLog};
use hindsight_oplog::OpTime;
use hindsight_runtime::{Backoff, CancellationToken};
use hindsight_tailer::{
    CaptureError, CaptureSettings, Companion, Preference, SetIdentity, Source, candidates,
};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::bases::{RegistryError, register_bases};
use crate::metrics;

/// Announces the bases of this replica set that the log does not know. Returns all bases that the
/// log knows afterwards.
async fn announce_missing(
    shared: &dyn SharedLog,
    identity: &SetIdentity,
    directory: &Path,
) -> Result<Vec<BaseNotice>, CaptureError> {
    let mut announced = shared.announced().await?;
    for base in hindsight_base::list(directory).map_err(RegistryError::List)?.bases {
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

/// First and longest pause between two bases that the history needs.
const FIRST_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// How often the keeper checks whether a base is missing.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tells whether the history of this process cannot continue, and could continue from a base that
/// is copied now.
pub type NeedsBase = Arc<dyn Fn() -> bool + Send + Sync>;

/// Writes a base from the history of this process. Takes the last entry of the log, how many
/// seconds the history may be behind, and what asks to stop. Returns the reason as text when no
/// base can be written.
pub type RenewsBase =
    Arc<dyn Fn(OpTime, u32, &CancellationToken) -> Result<Renewal, String> + Send + Sync>;

/// When a base is copied besides the first of each run of the log.
#[derive(Clone, Default)]
pub struct BaseNeeds {
    /// Whether the history cannot continue without another base.
    pub history: Option<NeedsBase>,
    /// How old the newest base may become.
    pub renew_every: Option<Duration>,
    /// Writes a base from the history, if this process keeps one. Otherwise, and where the history
    /// cannot tell everything, the base is copied from the source.
    pub renews: Option<RenewsBase>,
}

/// Keeps a usable base beside a capture.
pub struct BaseKeeper {
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
    needs: BaseNeeds,
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
    /// Makes a keeper for a capture with these settings. `shared` is the log, if it is shared.
    pub fn new(
        settings: &CaptureSettings,
        index: Arc<Index>,
        directory: PathBuf,
        shared: Option<Arc<dyn SharedLog>>,
        board: CopyBoard,
        needs: BaseNeeds,
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
            needs,
            for_history: Sparingly::new(),
        }
    }

    /// Returns whether the newest run of the log lacks a base whose entries it holds.
    fn is_base_missing(&self) -> Result<bool, CaptureError> {
        let view = self.index.view();
        let runs = view.runs()?;
        let Some(run) = runs.last() else { return Ok(false) };
        Ok(!view.bases()?.iter().any(|base| run.first <= base.capture_from))
    }

    /// Returns the last entry of the log when the newest base is older than it may become, by the
    /// source's clock: while nothing is captured, no base grows old.
    fn base_is_old_at(&self) -> Result<Option<OpTime>, CaptureError> {
        let Some(every) = self.needs.renew_every else { return Ok(None) };
        let view = self.index.view();
        let (runs, bases) = (view.runs()?, view.bases()?);
        let captured = runs.last().map(|run| run.last);
        Ok(captured.filter(|captured| is_old(*captured, &bases, every)))
    }

    /// Writes a base from the history, or copies one where the history cannot tell everything.
    async fn renew(
        &mut self,
        captured: OpTime,
        shutdown: &CancellationToken,
    ) -> Result<(), CaptureError> {
        let every = self.needs.renew_every.unwrap_or_default().as_secs();
        // A base from a history that is further behind would soon be old itself.
        let behind = u32::try_from(every / 2).unwrap_or(u32::MAX);
        let Some(renews) = self.needs.renews.clone() else { return self.copy(shutdown).await };
        let stop = shutdown.clone();
        let renewed = tokio::task::spawn_blocking(move || renews(captured, behind, &stop)).await;
        match renewed.map_err(|error| error.to_string()).flatten() {
            Ok(Renewal::NotNow) => Ok(()),
            Ok(Renewal::Made(base)) => {
                info!(base, "wrote a base from the history");
                self.register().await
            }
            Ok(Renewal::NotExact(reason)) => {
                info!(reason, "the history cannot tell everything: a base is copied");
                self.copy(shutdown).await
            }
            Err(_) if shutdown.is_cancelled() => Ok(()),
            Err(error) => {
                let text = format!("a base cannot be written from the history: {error}");
                Err(CaptureError::Unavailable(text))
            }
        }
    }

    fn history_needs_base(&mut self) -> bool {
        self.needs.history.as_ref().is_some_and(|needs| needs()) && self.for_history.take()
    }

    async fn begin_copy(&self) -> Result<Started, CaptureError> {
        let survey = self.source.survey(&self.source.hosts()).await?;
        if survey.identity != self.identity {
            let text = "the source is another replica set now";
            return Err(CaptureError::Refused(text.to_owned()));
        }
        let mut found = candidates(&survey.members, &self.preference)?;
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
                Err(error) if error.kind() == CopyErrorKind::Refused => {
                    return Err(error.into());
                }
                Err(error) => failures.push(format!("{}: {error}", candidate.host)),
            }
        }
        let text = format!("no member to copy a base from: {}", failures.join("; "));
        Err(CaptureError::Unavailable(text))
    }

    async fn copy(&mut self, shutdown: &CancellationToken) -> Result<(), CaptureError> {
        let started = match self.begun.take() {
            Some(started) => started,
            None => self.begin_copy().await?,
        };
        info!(member = %started.source().member, "copying a base");
        let (sender, receiver) = watch::channel(CopyProgress::default());
        let copied = tokio::select! {
            copied = started.run(&self.directory, sender, shutdown) => copied,
            never = self.show(receiver) => match never {},
        };
        let base = copied?;
        info!(base = base.name(), documents = base.manifest().documents(), "base complete");
        self.register().await
    }

    /// Lets the index, and a shared log, know a base that is complete.
    async fn register(&mut self) -> Result<(), CaptureError> {
        match self.shared {
            Some(_) => {
                self.may_announce = true;
                self.announce().await
            }
            None => Ok(register_bases(&self.index, &self.directory, None).map(drop)?),
        }
    }

    /// Announces in a shared log which bases belong to it, and then registers them. Returns an
    /// error when the log is lost to another tailer. When the log or the directory is out of reach,
    /// this is retried.
    async fn announce(&mut self) -> Result<(), CaptureError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        if !self.may_announce {
            return Ok(());
        }
        let announced = announce_missing(shared.as_ref(), &self.identity, &self.directory).await;
        let registered = announced.and_then(|all| {
            Ok(register_bases(&self.index, &self.directory, Some(&all)).map(drop)?)
        });
        match registered {
            Ok(()) => {
                self.may_announce = false;
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                warn!(%error, "a base cannot be announced; trying again");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn show(&self, progress: watch::Receiver<CopyProgress>) -> std::convert::Infallible {
        loop {
            self.board.set(CopyState::Copying(progress.borrow().clone()));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn is_old(captured: OpTime, bases: &[BaseSummary], every: Duration) -> bool {
    let newest = bases.iter().map(|base| base.exact_from.ts.seconds()).max();
    newest.is_some_and(|newest| {
        u64::from(captured.ts.seconds().saturating_sub(newest)) >= every.as_secs()
    })
}

#[async_trait]
impl Companion for BaseKeeper {
    /// For an empty log, begins a copy and returns the entry from which the log must hold the
    /// oplog.
    async fn begin(&mut self) -> Result<Option<OpTime>, CaptureError> {
        if self.index.resume_point()?.is_some() {
            return Ok(None);
        }
        let started = self.begin_copy().await?;
        let from = started.capture_from();
        self.begun = Some(started);
        Ok(Some(from))
    }

    /// A copy that fails is retried, with the reason on the board.
    async fn run(mut self: Box<Self>, shutdown: CancellationToken) -> Result<(), CaptureError> {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        while !shutdown.is_cancelled() {
            let mut delay = INTERVAL;
            self.announce().await?;
            let is_missing = self.begun.is_some() || self.is_base_missing()?;
            let is_copied = is_missing || self.history_needs_base();
            let is_old_at = if is_copied { None } else { self.base_is_old_at()? };
            if is_copied || is_old_at.is_some() {
                let made = match is_old_at {
                    Some(captured) => self.renew(captured, &shutdown).await,
                    None => self.copy(&shutdown).await,
                };
                match made {
                    Ok(()) => {
                        backoff.reset();
                        self.board.set(CopyState::Idle);
                    }
                    Err(_) if shutdown.is_cancelled() => return Ok(()),
                    Err(error) => {
                        metrics::base_failed();
                        warn!(%error, "copying a base failed; it will be tried again");
                        self.board.set(CopyState::Failed(error.to_string()));
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
}

#[cfg(test)]
mod tests {
    use std::io;

    use hindsight_index::IndexError;

    use super::*;

    #[test]
    fn a_base_is_old_once_capture_is_that_far_past_it() {
        let base = |exact_from| BaseSummary {
            name: format!("base-{exact_from}"),
            start: OpTime::new(exact_from, 1, 1).ts,
            capture_from: OpTime::new(exact_from, 1, 1),
            exact_from: OpTime::new(exact_from, 1, 1),
            created_wall_ms: 0,
            documents: 1,
            bytes: 1,
        };
        let every = Duration::from_secs(60);
        let old = |captured, bases: &[_]| is_old(OpTime::new(captured, 1, 1), bases, every);
        assert!(!old(1000, &[]), "a missing base is not an old one");
        assert!(!old(1059, &[base(1000)]) && old(1060, &[base(1000)]));
        assert!(!old(1060, &[base(1050), base(1000)]));
        assert!(!old(900, &[base(1000)]));
    }

    #[test]
    fn a_directory_out_of_reach_is_no_reason_to_end() {
        let path = PathBuf::from("/bases");
        let source = io::Error::from(io::ErrorKind::StaleNetworkFileHandle);
        let stale = hindsight_base::Error::Io { action: "list", path, source };
        assert!(CaptureError::from(RegistryError::List(stale)).is_retryable());
        let other = hindsight_base::Error::Refused("another base of that name".to_owned());
        assert!(!CaptureError::from(RegistryError::List(other)).is_retryable());
        let taken = IndexError::BaseNameTaken { name: "b".to_owned() };
        assert!(!CaptureError::from(taken).is_retryable());
    }
}
