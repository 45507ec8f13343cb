//! Keeps the number of files of a log directory small.

use std::time::Duration;

use hindsight_log::{DirectoryLog, LogError, PackLimits};
use hindsight_runtime::{Backoff, CancellationToken};
use hindsight_tailer::{Boards, StatusBoard};
use tracing::{debug, error, info, warn};

use crate::open::Opened;

/// The pause between two looks when there was nothing to pack.
const LOOK: Duration = Duration::from_secs(10);
/// The longest pause after a failure.
const PATIENCE: Duration = Duration::from_secs(600);

/// Packs the older segments of a log directory until no more are to be packed, or until `stop` is
/// cancelled.
///
/// # Errors
/// The same as [`DirectoryLog::pack`].
pub async fn pack_older(log: &DirectoryLog, stop: CancellationToken) -> Result<(), LogError> {
    while let Some(packed) = log.pack(PackLimits::default(), stop.clone()).await? {
        let (first, last) = (packed.first, packed.last);
        debug!(%first, %last, packed.files, packed.bytes, "packed segments");
    }
    Ok(())
}

/// Packs the older segments of a log directory that this process captures into, until shutdown.
/// Ends at once for any other log.
///
/// A segment that is damaged is not packed, nor are the segments after it: the status says so until
/// the segment was put back or removed.
pub fn pack_log(
    opened: &Opened,
    boards: &Boards,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let (log, status) = (opened.directory.clone(), boards.status.clone());
    async move {
        if let Some(log) = log {
            pack_directory(log, status, shutdown).await;
        }
    }
}

async fn pack_directory(log: DirectoryLog, status: StatusBoard, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(LOOK, PATIENCE);
    while !shutdown.is_cancelled() {
        match pack_older(&log, shutdown.clone()).await {
            Ok(()) => {
                if backoff.failures() > 0 {
                    info!("segments of the log are packed again");
                    status.at_risk(Vec::new());
                }
                backoff.reset();
                shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await;
            }
            Err(error) => {
                say(&error, backoff.failures());
                status.at_risk(vec![error.to_string().into()]);
                backoff.pause(&shutdown).await;
            }
        }
    }
}

/// Says that packing failed, for the first time or again.
fn say(error: &LogError, failures: u32) {
    match error.is_retryable() {
        false if failures == 0 => {
            error!(%error, "a segment of the log cannot be packed; the files stay as they are");
        }
        _ => warn!(%error, "segments of the log cannot be packed; trying again"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use hindsight_log::conformance::SegmentMaker;
    use hindsight_log::{DirectoryOptions, SegmentLog};
    use hindsight_segment::Sequence;

    use super::*;

    fn files(directory: &Path, ending: &str) -> usize {
        let names = fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name());
        names.filter(|it| it.to_string_lossy().ends_with(ending)).count()
    }

    async fn until(holds: impl Fn() -> bool) {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn segments_are_packed_while_the_process_runs_and_damage_shows_in_the_status() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let log = DirectoryLog::open_writer(path, DirectoryOptions::default()).await.unwrap();
        let mut maker = SegmentMaker::default();
        for _ in 0..490 {
            log.append(maker.make(1)).await.unwrap();
        }
        let name = |it: &fs::DirEntry| it.file_name().to_string_lossy().into_owned();
        let first = fs::read_dir(path).unwrap().map(Result::unwrap);
        let first = first.min_by_key(|it| name(it)).unwrap().path();
        let whole = fs::read(&first).unwrap();
        let mut damaged = whole.clone();
        damaged[150] ^= 1;
        fs::write(&first, damaged).unwrap();

        let status = Boards::default().status;
        let run = |shutdown: &CancellationToken| {
            tokio::spawn(pack_directory(log.clone(), status.clone(), shutdown.clone()))
        };
        let shutdown = CancellationToken::new();
        let packing = run(&shutdown);
        until(|| !status.now().risks.is_empty()).await;
        let told = status.now().risks[0].to_string();
        assert!(told.contains(&first.display().to_string()), "{told}");
        assert_eq!(files(path, ".pack"), 0);
        shutdown.cancel();
        packing.await.unwrap();

        fs::write(&first, whole).unwrap();
        let shutdown = CancellationToken::new();
        let packing = run(&shutdown);
        until(|| files(path, ".seg") == 240).await;
        assert_eq!(files(path, ".pack"), 1);
        shutdown.cancel();
        packing.await.unwrap();
        assert_eq!(log.infos(Sequence::FIRST, 1000).await.unwrap().len(), 490);
    }
}
