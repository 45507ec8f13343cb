//! The sign of life of a tailer that leads. It is given every second, as long as a standby would do
//! no better.

use std::sync::Arc;
use std::time::Duration;

use hindsight_log::{LogError, SegmentLog, SharedLog};
use hindsight_runtime::CancellationToken;
use hindsight_segment::WriterEpoch;
use tokio::time::Instant;
use tracing::warn;

use crate::error::CaptureError;
use crate::overdue::told_while_overdue;
use crate::status::StatusBoard;

/// A leader shows that it lives at least this often.
const BEAT: Duration = Duration::from_secs(1);
/// A leader that fails for this long falls silent, so that another tailer can try.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a leader knows about whether its beats are written.
#[derive(Debug, Default)]
struct Voice {
    /// The time since which every beat was written.
    heard_since: Option<Instant>,
}

impl Voice {
    /// Notes whether a beat was written.
    fn said(&mut self, written: bool, now: Instant) {
        self.heard_since = written.then(|| self.heard_since.unwrap_or(now));
    }

    /// Returns whether the leader should continue to show that it lives. A log that cannot be
    /// written counts against the leader only while beats are written: a leader that writes beats,
    /// but cannot append or index, has a problem of its own, such as a full disk. A log that is out
    /// of reach is out of reach for everybody, and deposes nobody.
    fn is_of_use(&self, source_failing: Duration, log_failing: Duration, now: Instant) -> bool {
        let heard = self.heard_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        source_failing <= PATIENCE && log_failing.min(heard) <= PATIENCE
    }
}

/// Shows that the leader lives, as long as the leader is of use.
pub(crate) async fn beat(
    shared: Arc<dyn SharedLog>,
    epoch: WriterEpoch,
    status: StatusBoard,
    shutdown: CancellationToken,
) -> Result<(), CaptureError> {
    let mut voice = Voice::default();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(BEAT) => {}
        }
        let now = status.now();
        let (source, log) = (now.source_failing_for(), now.log_failing_for());
        if !voice.is_of_use(source, log, Instant::now()) {
            check_leads(shared.as_ref(), epoch).await?;
            continue;
        }
        let log: &dyn SegmentLog = shared.as_ref();
        let beat = told_while_overdue(&status, log, "a sign of life in the log", shared.beat());
        match beat.await {
            Ok(written) => voice.said(written, Instant::now()),
            // An append will also fail before long, and report it.
            Err(error) if error.is_retryable() => {
                voice.said(false, Instant::now());
                warn!(%error, "the others do not hear this leader");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks that no other tailer took over. A leader that writes no beats does not learn this from
/// them.
async fn check_leads(shared: &dyn SharedLog, epoch: WriterEpoch) -> Result<(), LogError> {
    match shared.observe().await {
        Ok(leader) if leader.epoch > epoch => {
            let place = "the log".to_owned();
            Err(LogError::Fenced { place, epoch, newest: leader.epoch })
        }
        Ok(_) => Ok(()),
        Err(error) if error.is_retryable() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Returns a voice whose beats were written, or not, once a second until now.
    fn voice(written: &[bool], start: Instant) -> (Voice, Instant) {
        let mut voice = Voice::default();
        let mut now = start;
        for written in written {
            voice.said(*written, now);
            now += BEAT;
        }
        (voice, now)
    }

    #[test]
    fn a_leader_that_cannot_read_the_source_falls_silent() {
        let (voice, now) = voice(&[true; 20], Instant::now());
        assert!(voice.is_of_use(Duration::ZERO, Duration::ZERO, now));
        assert!(voice.is_of_use(PATIENCE, Duration::ZERO, now));
        assert!(!voice.is_of_use(LONG, Duration::ZERO, now));
    }

    #[test]
    fn a_leader_that_is_heard_and_cannot_append_or_index_falls_silent() {
        let (voice, now) = voice(&[true; 20], Instant::now());
        assert!(voice.is_of_use(Duration::ZERO, PATIENCE, now));
        assert!(!voice.is_of_use(Duration::ZERO, LONG, now));
    }

    #[test]
    fn a_log_out_of_reach_for_everybody_deposes_nobody() {
        let start = Instant::now();
        let mut outage = [true; 40];
        outage[10..30].fill(false);
        for beats in 1..=40 {
            let (voice, now) = voice(&outage[..beats], start);
            // The log is back after 30 beats, and the append is retried within seconds.
            let log_failing = match beats {
                10..36 => now.duration_since(start) - BEAT * 10,
                _ => Duration::ZERO,
            };
            assert!(voice.is_of_use(Duration::ZERO, log_failing, now), "after {beats} beats");
        }
    }
}
