//! What capture is doing, for people: the member read from, the last failure, whether it is paused.

use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// The member being read and why it was chosen.
    pub member: Option<String>,
    pub member_reason: Option<String>,
    /// Set while the source cannot be read.
    pub source_error: Option<String>,
    /// Set while segments cannot be made durable: capture is paused, nothing is lost.
    pub log_error: Option<String>,
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
        });
    }

    pub fn source_failed(&self, error: &str) {
        self.change(|status| {
            status.member = None;
            status.member_reason = None;
            status.source_error = Some(error.to_owned());
        });
    }

    pub fn log_failed(&self, error: Option<String>) {
        self.change(|status| status.log_error = error);
    }

    fn change(&self, change: impl FnOnce(&mut CaptureStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
