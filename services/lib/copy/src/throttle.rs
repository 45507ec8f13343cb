//! Limits how much of a member's disk and network a copy takes.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Spaces reads so that on average at most a given number of bytes per second is read.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: Option<NonZeroU64>,
    /// The time at which everything read so far is paid for.
    paid_at: Mutex<Instant>,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Throttle { bytes_per_second, paid_at: Mutex::new(Instant::now()) }
    }

    /// Waits as long as reading these bytes may take. All scans share the rate.
    pub(super) async fn pay(&self, bytes: u64) {
        if let Some(until) = self.charge(bytes, Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }

    fn charge(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let cost = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        // Unused time is not saved up: a pause must not be followed by a burst.
        *paid_at = (*paid_at).max(now) + cost;
        Some(*paid_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_rate_is_kept_and_unused_time_is_not_saved() {
        let throttle = Throttle::new(NonZeroU64::new(1000));
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        *throttle.paid_at.lock().expect("not poisoned") = begin;
        assert_eq!(throttle.charge(500, begin), Some(at(500)));
        assert_eq!(throttle.charge(500, begin), Some(at(1000)), "scans share the rate");
        assert_eq!(throttle.charge(100, at(5000)), Some(at(5100)));
        assert_eq!(Throttle::new(None).charge(u64::MAX, begin), None);
    }
}
