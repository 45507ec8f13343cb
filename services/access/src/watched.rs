//! Files that are read again when they have changed, while the process runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

/// Shortest time between two checks of the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// A value read from some files. When the files become unreadable, the last value stays in force.
pub(super) struct Watched<T> {
    what: &'static str,
    paths: Vec<PathBuf>,
    read: Read<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// Tells whether a path leads to another file, or to other content, than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T> Watched<T> {
    /// Reads the files for the first time. `read` reads all of `paths`.
    pub(super) fn new(
        what: &'static str,
        paths: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        // The stamps are taken before reading, so that a change in the meantime is seen next time.
        let stamps = stamps(&paths);
        let value = Arc::new(read()?);
        let state = Mutex::new(State { value, stamps, looked: Instant::now() });
        Ok(Self { what, paths, read: Box::new(read), state })
    }

    /// Returns the value in force now.
    pub(super) fn now(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            self.look(&mut state, false);
        }
        Arc::clone(&state.value)
    }

    /// Reads the files again, whether or not they have changed.
    pub(super) fn reload(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut state, true);
    }

    fn look(&self, state: &mut State<T>, always: bool) {
        let stamps = stamps(&self.paths);
        if !always && stamps == state.stamps {
            return;
        }
        state.stamps = stamps;
        match (self.read)() {
            Ok(value) => {
                state.value = Arc::new(value);
                info!("{} read again", self.what);
            }
            Err(error) => {
                error!(%error, "{} cannot be read again: what was read before stays in force", self.what);
            }
        }
    }

    #[cfg(test)]
    fn look_now(&self) {
        let mut state = self.state.lock().unwrap();
        self.look(&mut state, false);
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let it = fs::metadata(path).ok()?;
        Some(Stamp {
            device: it.dev(),
            inode: it.ino(),
            length: it.size(),
            modified: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        })
    };
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "1").unwrap();
        let reads = Arc::new(AtomicUsize::new(0));
        let (file, count) = (path.clone(), Arc::clone(&reads));
        let read = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        let watched = Watched::new("the number", vec![path.clone()], read).unwrap();
        let look = |expected: u32, expected_reads: usize| {
            watched.look_now();
            assert_eq!(*watched.now(), expected);
            assert_eq!(reads.load(Ordering::SeqCst), expected_reads);
        };
        look(1, 1);
        fs::write(&path, "22").unwrap();
        look(22, 2);
        fs::write(&path, "broken").unwrap();
        look(22, 3);
        // No further error is logged until the file changes again.
        look(22, 3);
        fs::remove_file(&path).unwrap();
        look(22, 4);
        // Some editors put another file of the same length in its place.
        fs::write(dir.path().join("new"), "33").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        look(33, 5);
        watched.reload();
        assert_eq!(reads.load(Ordering::SeqCst), 6);
    }

    #[test]
    fn the_first_reading_must_succeed() {
        let missing = Watched::<()>::new("it", vec![], || Err("not there".into()));
        assert_eq!(missing.err().as_deref(), Some("not there"));
    }
}
