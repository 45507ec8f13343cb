//! The log that is appended to.

use std::sync::Arc;
use std::time::Duration;

use hindsight_holdings::{Access, LogChoice, LogUrl, OpenLog, kafka_options};
use hindsight_log::{
    DirectoryLog, DirectoryOptions, Instance, KafkaLog, Leader, LogError, SharedLog,
};
use hindsight_segment::SourceIdentity;
use tokio::time::Instant;

use crate::error::ArchiveError;
use crate::progress::{Progress, Tell};

/// A leader of the target that shows no sign of life for this long is gone.
const LEADER_PATIENCE: Duration = Duration::from_secs(4);
/// How often to look for a sign of life.
const LOOK: Duration = Duration::from_millis(250);

/// The log to append to. Other writers are kept out of it during the copy.
pub struct Target {
    pub(crate) log: OpenLog,
    /// The same log, if it is a directory.
    pub(crate) directory: Option<DirectoryLog>,
}

impl Target {
    /// Opens a log for appending segments of the replica set `set`. A log that several processes
    /// may have open is taken over, unless a process still captures into it.
    ///
    /// # Errors
    /// Returns [`LogError::InUse`] when another process writes into the log, and another error when
    /// the log cannot be opened or belongs to another replica set.
    pub async fn open(
        choice: &LogChoice,
        set: &SourceIdentity,
        tell: &Tell,
    ) -> Result<Self, ArchiveError> {
        let mut directory = None;
        let log = match &choice.url {
            LogUrl::Directory(path) => {
                let options = DirectoryOptions { expected: Some(set.clone()), known: None };
                let log = DirectoryLog::open_writer(path, options).await?;
                directory = Some(log.clone());
                OpenLog { log: Arc::new(log), shared: None }
            }
            LogUrl::Kafka { brokers, topic } => {
                let access = Access::Capture(set.clone());
                let (topic, instance) = (topic.as_deref(), Instance::UNKNOWN);
                let options = kafka_options(choice, brokers, topic, &access, instance)?;
                let log = Arc::new(KafkaLog::open(options).await?);
                refuse_if_led(log.as_ref(), tell).await?;
                log.lead().await?;
                OpenLog { log: Arc::<KafkaLog>::clone(&log), shared: Some(log) }
            }
        };
        Ok(Self { log, directory })
    }

    /// Lets other writers in again.
    pub(crate) async fn leave(self) -> Result<(), LogError> {
        match &self.log.shared {
            Some(shared) => shared.resign().await,
            None => Ok(()),
        }
    }
}

/// Refuses the copy when a tailer captures into the target: a copy must not fence a tailer.
async fn refuse_if_led(log: &dyn SharedLog, tell: &Tell) -> Result<(), LogError> {
    let first = log.observe().await?;
    if !may_lead(&first) {
        return Ok(());
    }
    tell(Progress::WatchingLeader { name: &first.name });
    let until = Instant::now() + LEADER_PATIENCE;
    while Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        let now = log.observe().await?;
        if shows_life(&first, &now) {
            return Err(LogError::InUse { place: "the target".to_owned(), holder: now.name });
        }
    }
    Ok(())
}

/// Returns whether the leader may still capture.
fn may_lead(leader: &Leader) -> bool {
    leader.epoch.0 != 0 && !leader.has_resigned
}

/// Returns whether somebody wrote between two looks, other than to give the log up.
fn shows_life(before: &Leader, now: &Leader) -> bool {
    (now.epoch, now.signs) != (before.epoch, before.signs) && !now.has_resigned
}

#[cfg(test)]
mod tests {
    use hindsight_segment::WriterEpoch;

    use super::*;

    fn leader(epoch: u64, signs: u64, has_resigned: bool) -> Leader {
        let (instance, name) = (Instance::UNKNOWN, "process 1 on db1".to_owned());
        Leader { epoch: WriterEpoch(epoch), instance, name, has_resigned, signs }
    }

    #[test]
    fn only_a_leader_that_goes_on_writing_is_not_fenced() {
        assert!(!may_lead(&leader(0, 0, false)), "nobody ever led");
        assert!(!may_lead(&leader(3, 9, true)), "it gave the log up");
        let before = leader(3, 9, false);
        assert!(may_lead(&before));
        assert!(!shows_life(&before, &before), "it is silent");
        assert!(shows_life(&before, &leader(3, 10, false)), "it beats");
        assert!(shows_life(&before, &leader(4, 9, false)), "another took over");
        assert!(!shows_life(&before, &leader(3, 10, true)), "it gave the log up meanwhile");
    }
}
