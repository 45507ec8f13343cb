//! Watches how much of the disk is used, how fast that grows, and when the disk will be full.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hindsight_index::{Index, IndexError};
use hindsight_runtime::{Board, CancellationToken};

use crate::metrics;
use crate::open::Opened;

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_secs(15);
/// Growth is measured over at most this time, and over at least the second. Compactions of the
/// history make the use of the disk go up and down within minutes.
const LONGEST_SPAN: Duration = Duration::from_secs(6 * 3600);
const SHORTEST_SPAN: Duration = Duration::from_secs(300);
/// Use of the disk is noted at most this often.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// How much of the disk is used, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// What the segments take that are held.
    pub log_bytes: u64,
    /// What the bases take.
    pub base_bytes: u64,
    /// What the history takes. Zero in a process that keeps none.
    pub history_bytes: u64,
    /// What is free where log, bases and history lie; of several file systems, the least. `None`
    /// when the system does not say.
    pub free_bytes: Option<u64>,
    /// By how much the use of the disk grows in an hour. `None` in the first minutes.
    pub growth_bytes_per_hour: Option<u64>,
}

impl DiskUse {
    /// Returns after how many hours the disk is full if its use goes on growing like this. `None`
    /// when that is not known, or the use does not grow.
    pub fn full_in_hours(&self) -> Option<u64> {
        self.free_bytes?.checked_div(self.growth_bytes_per_hour?)
    }

    fn used_bytes(&self) -> u64 {
        self.log_bytes + self.base_bytes + self.history_bytes
    }
}

/// Where the use of the disk is published.
pub type DiskBoard = Board<DiskUse>;

/// Returns how many bytes the history takes.
pub type HistoryBytes = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Watches the disk until shutdown. `places` are directories on the file systems that are written
/// to; `history` is `None` in a process that keeps no history.
pub fn watch_disk(
    opened: &Opened,
    places: Vec<PathBuf>,
    history: Option<HistoryBytes>,
    board: DiskBoard,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let index = Arc::clone(&opened.index);
    async move {
        let (mut growth, begun) = (Growth::default(), Instant::now());
        loop {
            let looked = tokio::task::block_in_place(|| look(&index, &places, history.as_ref()));
            match looked {
                Ok(mut disk) => {
                    disk.growth_bytes_per_hour = growth.note(begun.elapsed(), disk.used_bytes());
                    metrics::disk(&disk);
                    board.set(disk);
                }
                Err(error) => tracing::warn!(%error, "the use of the disk is not known"),
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
                return;
            }
        }
    }
}

fn look(
    index: &Index,
    places: &[PathBuf],
    history: Option<&HistoryBytes>,
) -> Result<DiskUse, IndexError> {
    let view = index.view();
    let free = places.iter().filter_map(|place| free_bytes(place).ok()).min();
    Ok(DiskUse {
        log_bytes: view.runs()?.iter().map(|run| run.stored_bytes).sum(),
        base_bytes: view.bases()?.iter().map(|base| base.bytes).sum(),
        history_bytes: history.map_or(0, |bytes| bytes()),
        free_bytes: free,
        growth_bytes_per_hour: None,
    })
}

/// Returns what an ordinary process may still write to the file system of a directory.
fn free_bytes(place: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(place)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// How the use of the disk went.
#[derive(Debug, Default)]
struct Growth {
    /// Times since the first look and bytes, oldest first.
    noted: VecDeque<(Duration, u64)>,
}

impl Growth {
    /// Notes one look. Returns by how many bytes the use grows in an hour.
    fn note(&mut self, at: Duration, bytes: u64) -> Option<u64> {
        while self.noted.front().is_some_and(|(first, _)| *first + LONGEST_SPAN < at) {
            self.noted.pop_front();
        }
        if self.noted.back().is_none_or(|(last, _)| *last + NOTE_EVERY <= at) {
            self.noted.push_back((at, bytes));
        }
        let (begun, before) = self.noted.front()?;
        let span = at.checked_sub(*begun).filter(|span| *span >= SHORTEST_SPAN)?;
        let grown = u128::from(bytes.saturating_sub(*before)) * 3600 / u128::from(span.as_secs());
        Some(u64::try_from(grown).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_known_after_a_while_and_follows_the_last_hours() {
        let mut growth = Growth::default();
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(growth.note(minutes(0), 1000), None);
        assert_eq!(growth.note(minutes(4), 1400), None);
        assert_eq!(growth.note(minutes(6), 1600), Some(6000));
        assert_eq!(growth.note(minutes(7), 900), Some(0), "it shrank");
        // What was before the last six hours does not count.
        for hour in 1..20 {
            growth.note(minutes(60 * hour), 1_000_000);
        }
        assert_eq!(growth.note(minutes(60 * 20), 1_000_000), Some(0));
        assert!(growth.noted.len() < 10);
    }

    #[test]
    fn the_disk_is_full_when_what_is_free_has_grown_over() {
        let disk = DiskUse {
            free_bytes: Some(1000),
            growth_bytes_per_hour: Some(300),
            ..DiskUse::default()
        };
        assert_eq!(disk.full_in_hours(), Some(3));
        assert_eq!(DiskUse { growth_bytes_per_hour: Some(0), ..disk }.full_in_hours(), None);
        assert_eq!(DiskUse { growth_bytes_per_hour: None, ..disk }.full_in_hours(), None);
        assert_eq!(DiskUse { free_bytes: None, ..disk }.full_in_hours(), None);
    }

    #[test]
    fn a_directory_has_free_space_and_a_missing_one_has_none_to_tell() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        assert!(free_bytes(temp.path()).expect("it is there") > 0);
        assert!(free_bytes(&temp.path().join("missing")).is_err());
    }
}
