//! What capture is doing, for people: the member read from, the last failure, whether it is paused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hindsight_segment::WriterEpoch;

use crate::catalog_watch::CatalogStatus;

/// Of one tailer among several of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing is known yet, or there is nothing to lead.
    #[default]
    None,
    Leading {
        epoch: WriterEpoch,
    },
    StandingBy {
        /// Who leads, for people.
        leader: String,
        epoch: WriterEpoch,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    pub role: Role,
    /// The member being read and why it was chosen.
    pub member: Option<String>,
    pub member_reason: Option<String>,
    /// Set while the source cannot be read.
    pub source_error: Option<String>,
    /// Set while segments cannot be made durable: capture is paused, nothing is lost.
    pub log_error: Option<String>,
    /// Set while something done to the log takes longer than it should.
    pub log_overdue: Option<String>,
    /// What endangers segments that are held.
    pub risks: Vec<String>,
    /// How members list their catalog.
    pub catalog: CatalogStatus,
    /// Since when the source cannot be read.
    pub source_failed_at: Option<Instant>,
    /// Since when segments cannot be made durable.
    pub log_failed_at: Option<Instant>,
}

impl CaptureStatus {
    /// For how long the source could not be read.
    pub fn source_failing_for(&self) -> Duration {
        self.source_failed_at.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// For how long segments could not be made durable.
    pub fn log_failing_for(&self) -> Duration {
        self.log_failed_at.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[derive(Debug, Clone, Default)]
pub struct StatusBoard(Arc<Mutex<CaptureStatus>>);

impl StatusBoard {
    pub fn now(&self) -> CaptureStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn reading_from(&self, host: &str, reason: &str) {
        self.change(|status| {
            status.member = Some(host.to_owned());
            status.member_reason = Some(reason.to_owned());
            status.source_error = None;
            status.source_failed_at = None;
        });
    }

    pub fn source_failed(&self, error: &str) {
        self.change(|status| {
            status.member = None;
            status.member_reason = None;
            status.source_error = Some(error.to_owned());
            status.source_failed_at.get_or_insert_with(Instant::now);
        });
    }

    /// With nothing: the log can be read and written again, and what is derived from it too.
    pub fn log_failed(&self, error: Option<String>) {
        self.change(|status| {
            let since = || status.log_failed_at.unwrap_or_else(Instant::now);
            status.log_failed_at = error.is_some().then(since);
            status.log_error = error;
        });
    }

    pub(crate) fn log_overdue(&self, overdue: Option<String>) {
        self.change(|status| status.log_overdue = overdue);
    }

    /// This one leads now. It took the log over by writing to it: whatever failed before is over.
    pub fn leads(&self, epoch: WriterEpoch) {
        self.log_failed(None);
        self.plays(Role::Leading { epoch });
    }

    pub fn plays(&self, role: Role) {
        self.change(|status| status.role = role);
    }

    pub fn at_risk(&self, risks: Vec<String>) {
        self.change(|status| status.risks = risks);
    }

    /// Members were listed; some may differ from each other.
    #[expect(
        clippy::disallowed_methods,
        reason = "the wall clock is noted for people, never decided by"
    )]
    pub(crate) fn looked_at_catalog(&self, differing: Vec<String>) {
        let checked_at = Some(SystemTime::now());
        self.change(|status| {
            status.catalog = CatalogStatus { checked_at, failed: None, differing };
        });
    }

    /// Members could not be listed; what was found before stays. False when that was told already.
    pub(crate) fn catalog_unchecked(&self, reason: &str) -> bool {
        let mut is_new = false;
        self.change(|status| {
            is_new = status.catalog.failed.as_deref() != Some(reason);
            status.catalog.failed = Some(reason.to_owned());
        });
        is_new
    }

    fn change(&self, change: impl FnOnce(&mut CaptureStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
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
