//! How far a restore has come, readable from outside at any time.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What a restore is doing. The phases follow each other in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The plan is made, and the target is checked.
    Checks,
    /// Collections are created with their options.
    Collections,
    /// Documents are loaded.
    Documents,
    /// Indexes are built, except those that expire documents.
    Indexes,
    /// Views are created.
    Views,
    /// Documents are read back and compared.
    Verification,
    /// TTL indexes and other settings that delete documents are created.
    Expiry,
    /// Users and roles are restored.
    Users,
    /// The restore is complete.
    Done,
}

const PHASES: [Phase; 9] = [
    Phase::Checks,
    Phase::Collections,
    Phase::Documents,
    Phase::Indexes,
    Phase::Views,
    Phase::Verification,
    Phase::Expiry,
    Phase::Users,
    Phase::Done,
];

/// Counters that the restore writes and any number of readers show. The counters are shared in an
/// `Arc`.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    phase: AtomicU8,
    /// When the phase began, in milliseconds after `started`.
    phase_started_ms: AtomicU64,
    /// What is counted depends on the phase: collections, documents, indexes, views.
    done: AtomicU64,
    total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
}

/// Stands for an unknown total.
const UNKNOWN: u64 = u64::MAX;

/// The counters of a [`Progress`] at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgressSnapshot {
    /// The current phase.
    pub phase: Phase,
    /// How many collections, documents, indexes or views are done, depending on the phase.
    pub done: u64,
    /// How many there are in this phase; `None` when unknown.
    pub total: Option<u64>,
    /// Bytes of documents that are done in this phase.
    pub bytes_done: u64,
    /// Bytes of documents in this phase; `None` when unknown.
    pub bytes_total: Option<u64>,
    /// What is done per second, since the phase began.
    pub rate: f64,
    /// Bytes per second, since the phase began.
    pub bytes_rate: f64,
    /// The time since the [`Progress`] was created.
    #[serde(rename = "elapsed_seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Estimated time until the phase ends; `None` when the total is unknown or nothing is done
    /// yet.
    #[serde(rename = "remaining_seconds", serialize_with = "optional_seconds")]
    pub remaining: Option<Duration>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            phase: AtomicU8::new(0),
            phase_started_ms: AtomicU64::new(0),
            done: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            bytes_done: AtomicU64::new(0),
            bytes_total: AtomicU64::new(UNKNOWN),
        }
    }
}

impl Progress {
    pub(super) fn begin(&self, phase: Phase, total: Option<u64>, bytes_total: Option<u64>) {
        let index = PHASES.iter().position(|known| *known == phase).unwrap_or(0);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.done.store(0, Ordering::Relaxed);
        self.bytes_done.store(0, Ordering::Relaxed);
        self.total.store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.bytes_total.store(bytes_total.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.phase_started_ms.store(now, Ordering::Relaxed);
        self.phase.store(index as u8, Ordering::Release);
    }

    pub(super) fn add(&self, done: u64, bytes: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the counters as they are now. They are read one after another, so they may be a
    /// batch apart.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let known = |counter: &AtomicU64| match counter.load(Ordering::Relaxed) {
            UNKNOWN => None,
            total => Some(total),
        };
        let phase = PHASES[usize::from(self.phase.load(Ordering::Acquire)).min(PHASES.len() - 1)];
        let elapsed = self.started.elapsed();
        let began = Duration::from_millis(self.phase_started_ms.load(Ordering::Relaxed));
        let in_phase = elapsed.saturating_sub(began).as_secs_f64().max(1e-3);
        let done = self.done.load(Ordering::Relaxed);
        let bytes_done = self.bytes_done.load(Ordering::Relaxed);
        let (total, bytes_total) = (known(&self.total), known(&self.bytes_total));
        let rate = done as f64 / in_phase;
        ProgressSnapshot {
            phase,
            done,
            total,
            bytes_done,
            bytes_total,
            rate,
            bytes_rate: bytes_done as f64 / in_phase,
            elapsed,
            remaining: total.and_then(|total| remaining(total.saturating_sub(done), rate)),
        }
    }
}

fn remaining(left: u64, rate: f64) -> Option<Duration> {
    (rate > 0.0).then(|| Duration::try_from_secs_f64(left as f64 / rate).ok()).flatten()
}

pub(super) fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((time.as_secs_f64() * 1e3).round() / 1e3)
}

fn optional_seconds<S: serde::Serializer>(
    time: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_starts_from_zero_and_knows_what_it_was_told() {
        let progress = Progress::default();
        progress.begin(Phase::Documents, Some(10), None);
        progress.add(4, 400);
        let seen = progress.snapshot();
        assert_eq!((seen.phase, seen.done, seen.total), (Phase::Documents, 4, Some(10)));
        assert_eq!((seen.bytes_done, seen.bytes_total), (400, None));
        assert!(seen.rate > 0.0 && seen.remaining.is_some());
        progress.begin(Phase::Indexes, None, None);
        let seen = progress.snapshot();
        assert_eq!((seen.phase, seen.done, seen.remaining), (Phase::Indexes, 0, None));
    }
}
