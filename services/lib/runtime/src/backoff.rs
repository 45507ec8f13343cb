//! Waits longer after each failure, up to a limit.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Doubling delays between two bounds. The delays are deterministic: one process retries one thing,
/// so there is no herd that jitter would have to spread.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    failures: u32,
}

impl Backoff {
    /// Returns a backoff whose first delay is `first` and whose delays never exceed `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, failures: 0 }
    }

    /// Counts a failure, and returns the delay before the next try.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1_u32 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.limit)
    }

    /// Counts a failure, and waits before the next try. Returns false when shutdown was requested
    /// meanwhile.
    pub async fn pause(&mut self, shutdown: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => false,
            () = tokio::time::sleep(self.next_delay()) => true,
        }
    }

    /// Returns how many tries in a row have failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Starts again with the first delay, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_limit_and_starts_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let delays: Vec<u128> = (0..6).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next_delay(), Duration::from_millis(100));
    }
}
