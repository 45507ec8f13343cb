//! What capture is doing, for people: the member read from, the last failure, whether capture is
//! paused.

use std::time::{Duration, SystemTime};

use hindsight_remedy::Finding;
use hindsight_runtime::Board;
use hindsight_segment::WriterEpoch;
use tokio::time::Instant;

use crate::error::CaptureError;

/// The role of one tailer among the tailers of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// The role is not known yet, or the log has no leader.
    #[default]
    None,
    /// This tailer captures.
    Leading {
        /// This tailer's writer epoch.
        epoch: WriterEpoch,
    },
    /// Another tailer captures, and this one would take over.
    StandingBy {
        /// The leader's name, for people.
        leader: String,
        /// The leader's writer epoch.
        epoch: WriterEpoch,
    },
}

/// The outcome of the last looks at the members' catalogs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogStatus {
    /// When the members were last listed.
    pub checked_at: Option<SystemTime>,
    /// Why the members could not be listed at the last attempt. None when they were listed.
    pub failed: Option<String>,
    /// The collections that members list differently, for people.
    pub differing: Vec<String>,
}

/// The state of capture, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// Whether this tailer leads or stands by.
    pub role: Role,
    /// The member being read.
    pub member: Option<String>,
    /// Why that member was chosen.
    pub member_reason: Option<String>,
    /// Why the source cannot be read. None while it can be read.
    pub source_error: Option<Finding>,
    /// Why segments cannot be made durable. While this is set, capture is paused and nothing is
    /// lost.
    pub log_error: Option<String>,
    /// The work on the log that takes longer than it should. None while no work does.
    pub log_overdue: Option<String>,
    /// What endangers the segments that the log holds.
    pub risks: Vec<Finding>,
    /// How members list their catalog.
    pub catalog: CatalogStatus,
    /// Since when the source cannot be read.
    pub source_failed_at: Option<Instant>,
    /// Since when segments cannot be made durable.
    pub log_failed_at: Option<Instant>,
}

impl CaptureStatus {
    /// Returns how long the source has been unreadable. Zero while it can be read.
    pub fn source_failing_for(&self) -> Duration {
        self.source_failed_at.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns how long segments could not be made durable. Zero while they can be.
    pub fn log_failing_for(&self) -> Duration {
        self.log_failed_at.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Publishes the state of capture. Clones are handles of the same board.
#[derive(Debug, Clone, Default)]
pub struct StatusBoard(Board<CaptureStatus>);

impl StatusBoard {
    /// Returns the present state.
    pub fn now(&self) -> CaptureStatus {
        self.0.now()
    }

    /// Notes which member is being read and why it was chosen. The source can be read again.
    pub fn reading_from(&self, host: &str, reason: &str) {
        self.0.change(|status| {
            status.member = Some(host.to_owned());
            status.member_reason = Some(reason.to_owned());
            status.source_error = None;
            status.source_failed_at = None;
        });
    }

    /// Notes why the source cannot be read.
    pub fn source_failed(&self, error: &CaptureError) {
        self.0.change(|status| {
            status.member = None;
            status.member_reason = None;
            status.source_error = Some(error.into());
            status.source_failed_at.get_or_insert_with(Instant::now);
        });
    }

    /// Notes why the log, or what is derived from it, cannot be read or written. None notes that
    /// both work again.
    pub fn log_failed(&self, error: Option<String>) {
        self.0.change(|status| {
            let since = || status.log_failed_at.unwrap_or_else(Instant::now);
            status.log_failed_at = error.is_some().then(since);
            status.log_error = error;
        });
    }

    pub(crate) fn log_overdue(&self, overdue: Option<String>) {
        self.0.change(|status| status.log_overdue = overdue);
    }

    /// Notes that this tailer leads. The tailer took the log over by writing to it, so any failure
    /// before that is over.
    pub fn leads(&self, epoch: WriterEpoch) {
        self.log_failed(None);
        self.plays(Role::Leading { epoch });
    }

    /// Notes the role of this tailer.
    pub fn plays(&self, role: Role) {
        self.0.change(|status| status.role = role);
    }

    /// Replaces the list of what endangers the segments that the log holds.
    pub fn at_risk(&self, risks: Vec<Finding>) {
        self.0.change(|status| status.risks = risks);
    }

    /// Notes that members were listed, and which collections members list differently.
    #[expect(
        clippy::disallowed_methods,
        reason = "the wall clock is noted for people, never decided by"
    )]
    pub(crate) fn looked_at_catalog(&self, differing: Vec<String>) {
        let checked_at = Some(SystemTime::now());
        self.0.change(|status| {
            status.catalog = CatalogStatus { checked_at, failed: None, differing };
        });
    }

    /// Notes that members could not be listed. Earlier findings stay. Returns false when the same
    /// reason was noted already.
    pub(crate) fn catalog_unchecked(&self, reason: &str) -> bool {
        self.0.change_if(|status| {
            let is_new = status.catalog.failed.as_deref() != Some(reason);
            status.catalog.failed = Some(reason.to_owned());
            is_new
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_log_is_failing_since_its_first_failure() {
        let board = StatusBoard::default();
        assert_eq!(board.now().log_failing_for(), Duration::ZERO);
        board.log_failed(Some("no space".into()));
        let since = board.now().log_failed_at;
        assert!(since.is_some());
        std::thread::sleep(Duration::from_millis(5));
        board.log_failed(Some("still no space".into()));
        let now = board.now();
        assert_eq!((now.log_failed_at, now.log_error.as_deref()), (since, Some("still no space")));
        assert!(now.log_failing_for() >= Duration::from_millis(5));
        board.log_failed(None);
        assert_eq!(board.now(), CaptureStatus::default());
    }

    #[test]
    fn whoever_took_the_log_over_says_nothing_of_failures_before() {
        let board = StatusBoard::default();
        board.log_failed(Some("the broker does not answer".into()));
        board.leads(WriterEpoch(7));
        let now = board.now();
        assert_eq!((now.log_error, now.log_failed_at), (None, None));
        assert_eq!(now.role, Role::Leading { epoch: WriterEpoch(7) });
    }
}
