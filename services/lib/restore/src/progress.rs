//! How far a restore has come, to be looked at from outside at any time.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What a restore is doing, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Checks,
    Collections,
    Documents,
    Indexes,
    Views,
    Verification,
    Expiry,
    Users,
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

/// Counters written by the restore, read by whoever shows them. Sharing it costs an `Arc`.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    phase: AtomicU8,
    /// Milliseconds after `started`.
    phase_started_ms: AtomicU64,
    /// What is counted depends on the phase: collections, documents, indexes, views.
    done: AtomicU64,
    total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
}

/// Stands for a total that nobody knows.
const UNKNOWN: u64 = u64::MAX;

/// One look at a [`Progress`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgressSnapshot {
    pub phase: Phase,
    /// Collections, documents, indexes or views, as the phase says.
    pub done: u64,
    pub total: Option<u64>,
    pub bytes_done: u64,
    pub bytes_total: Option<u64>,
    /// Per second, since the phase began.
    pub rate: f64,
    pub bytes_rate: f64,
    #[serde(rename = "elapsed_seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Until the phase ends, where the total is known.
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

    /// The counters now. They are read one after another, so they may be a batch apart.
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
