//! Keeps the index informed, while the process runs, about bases that others created, put back or
//! removed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hindsight_index::Index;
use hindsight_log::{BaseNotice, SharedLog};
use hindsight_runtime::CancellationToken;
use tracing::{error, info, warn};

use crate::bases::{Found, RegistryError, register_bases};
use crate::metrics;
use crate::open::Opened;

/// Pause between two looks at what is cheap to see.
const INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two looks at every manifest while something is damaged or absent, because a file
/// may change in place.
const RELOOK: Duration = Duration::from_secs(5);
/// A base is gone when no look has found it for this long.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// The same limit when the directory holds nothing at all. The mount point of a file system that is
/// not mounted looks like this, which is no reason to remove windows and to copy another base into
/// the directory below the mount point.
const GONE_FROM_NOTHING_AFTER: Duration = Duration::from_secs(600);

/// Keeps the index informed about bases, until shutdown.
pub fn watch_bases(
    opened: &Opened,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let mut registry = Registry {
        shared: opened.log.shared.clone(),
        index: Arc::clone(&opened.index),
        directory: opened.bases.clone(),
        seen: None,
        found: Found::default(),
        looked: Instant::now(),
        absences: Absences::default(),
    };
    async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
            registry.look().await;
        }
    }
}

struct Registry {
    shared: Option<Arc<dyn SharedLog>>,
    index: Arc<Index>,
    directory: PathBuf,
    seen: Option<Seen>,
    /// The result of the last look that succeeded.
    found: Found,
    looked: Instant,
    absences: Absences,
}

/// What shows cheaply that something has changed.
#[derive(PartialEq, Eq)]
struct Seen {
    announced: Option<Vec<BaseNotice>>,
    names: Vec<(OsString, Option<SystemTime>)>,
}

impl Registry {
    async fn look(&mut self) {
        let announced = match &self.shared {
            Some(shared) => match shared.announced().await {
                Ok(announced) => Some(announced),
                // The task that reads the log reports the error.
                Err(_) => return,
            },
            None => None,
        };
        // A file system that does not answer must not hold up anything else.
        tokio::task::block_in_place(|| self.look_at_files(announced));
    }

    fn look_at_files(&mut self, announced: Option<Vec<BaseNotice>>) {
        let seen = Seen { announced, names: names_in(&self.directory) };
        let has_changed = self.seen.as_ref() != Some(&seen);
        let waited = self.looked.elapsed();
        if !is_due(has_changed, self.absences.any(), self.found.is_whole(), waited) {
            return;
        }
        self.looked = Instant::now();
        match self.take_in(seen.announced.as_deref()) {
            Ok(found) => {
                metrics::bases_absent(found.absent.len());
                if found != self.found {
                    say(&self.found, &found, &self.directory);
                }
                self.found = found;
                self.seen = Some(seen);
            }
            Err(error) => {
                // It is unknown which bases exist.
                self.absences = Absences::default();
                self.seen = None;
                warn!(%error, "the bases cannot be listed; trying again");
            }
        }
    }

    /// Adds new bases to the index, and removes bases that are gone: no window that depends on a
    /// missing base may be published (I7).
    fn take_in(&mut self, announced: Option<&[BaseNotice]>) -> Result<Found, RegistryError> {
        let found = register_bases(&self.index, &self.directory, announced)?;
        let known = self.index.view().bases()?.into_iter().map(|base| base.name);
        let missing = known.filter(|name| !found.there.contains(name));
        let patience =
            patience(is_bare(&self.directory).map_err(|error| unlisted(&self.directory, error))?);
        for name in self.absences.note(missing, self.looked, patience) {
            self.index.forget_base(&name)?;
            error!(
                base = name,
                directory = %self.directory.display(),
                "a base is gone: windows that begin with it are not restorable, and a history built on it stops when it \
                 next has to begin there, after a gap or a restart, until it is put back"
            );
        }
        Ok(found)
    }
}

fn unlisted(directory: &Path, source: std::io::Error) -> RegistryError {
    let path = directory.to_owned();
    RegistryError::List(hindsight_base::Error::Io { action: "list", path, source })
}

/// Returns whether the directory is missing or empty.
fn is_bare(directory: &Path) -> std::io::Result<bool> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn patience(is_bare: bool) -> Duration {
    if is_bare { GONE_FROM_NOTHING_AFTER } else { GONE_AFTER }
}

/// Returns whether it is time to read every manifest.
fn is_due(has_changed: bool, is_any_missing: bool, is_whole: bool, waited: Duration) -> bool {
    has_changed || is_any_missing || (!is_whole && waited >= RELOOK)
}

/// The bases that the index knows and the last look did not find, each with the time of the first
/// look that did not find it.
#[derive(Debug, Default)]
struct Absences(BTreeMap<String, Instant>);

impl Absences {
    fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes in one look. Returns the bases that were missing for at least `patience`.
    fn note(
        &mut self,
        missing: impl Iterator<Item = String>,
        now: Instant,
        patience: Duration,
    ) -> Vec<String> {
        let before = std::mem::take(&mut self.0);
        let since = |name: &str| before.get(name).copied().unwrap_or(now);
        self.0 = missing.map(|name| (name.clone(), since(&name))).collect();
        let is_gone = |since: Instant| now.duration_since(since) >= patience;
        self.0.iter().filter(|(_, since)| is_gone(**since)).map(|(name, _)| name.clone()).collect()
    }
}

/// Returns each directory of a base with the time at which a file was last added to it or removed
/// from it.
fn names_in(directory: &Path) -> Vec<(OsString, Option<SystemTime>)> {
    let changed = |entry: &DirEntry| entry.metadata().and_then(|it| it.modified()).ok();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    // A base that is being written changes all the time. Its new name shows when it is complete.
    let entries =
        entries.filter(|entry| !entry.file_name().to_string_lossy().ends_with(".partial"));
    let mut names: Vec<_> = entries.map(|entry| (entry.file_name(), changed(&entry))).collect();
    names.sort();
    names
}

/// Logs what this look found that the last look did not find the same.
fn say(before: &Found, found: &Found, directory: &Path) {
    found.say_damaged();
    for base in &found.absent {
        warn!(
            base = base.name,
            directory = %directory.display(),
            "the log announces a base that is not there, or is another one: windows that begin with it are not \
             restorable from here"
        );
    }
    if found.is_whole() && !before.is_whole() {
        info!(bases = found.there.len(), "every base is there and whole");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_damaged_is_looked_at_again() {
        let soon = RELOOK / 2;
        assert!(!is_due(false, false, true, RELOOK), "all is well");
        assert!(is_due(true, false, true, soon));
        assert!(is_due(false, true, true, soon));
        assert!(!is_due(false, false, false, soon));
        assert!(is_due(false, false, false, RELOOK));
    }

    #[test]
    fn a_place_where_nothing_is_mounted_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("base");
        assert!(is_bare(&path).expect("it can be told"));
        std::fs::create_dir(&path).expect("a directory");
        assert!(is_bare(&path).expect("it can be told"));
        std::fs::write(path.join("README"), "").expect("a file");
        assert!(!is_bare(&path).expect("it can be told"));
        let (start, mut absences) = (Instant::now(), Absences::default());
        let mut gone = |after: Duration| {
            let missing = std::iter::once("a".to_owned());
            !absences.note(missing, start + after, patience(true)).is_empty()
        };
        assert!(!gone(Duration::ZERO) && !gone(GONE_AFTER * 2) && gone(GONE_FROM_NOTHING_AFTER));
    }

    #[test]
    fn a_base_is_gone_only_when_it_was_never_there_for_a_while() {
        let start = Instant::now();
        let mut absences = Absences::default();
        let mut gone = |missing: &[&str], seconds| {
            let missing = missing.iter().map(|name| (*name).to_owned());
            absences.note(missing, start + Duration::from_secs(seconds), GONE_AFTER)
        };
        assert!(gone(&["a"], 0).is_empty());
        assert!(gone(&["a", "b"], 9).is_empty());
        assert!(gone(&["b"], 10).is_empty(), "a was there again");
        assert!(gone(&["a", "b"], 11).is_empty());
        assert_eq!(gone(&["a", "b"], 19), ["b"]);
        assert_eq!(gone(&["a"], 21), ["a"]);
        assert!(gone(&[], 60).is_empty());
        assert!(gone(&["a"], 60).is_empty(), "it came back, and went again");
    }

    #[test]
    fn a_file_put_into_a_directory_shows() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let base = temp.path().join("base-1-1");
        std::fs::create_dir(&base).expect("made");
        let before = names_in(temp.path());
        assert_eq!(before.len(), 1);
        // The clock of a file system may be coarse.
        std::thread::sleep(Duration::from_millis(50));
        std::fs::write(base.join("manifest.json"), "{}").expect("written");
        assert_ne!(names_in(temp.path()), before);
        let before = names_in(temp.path());
        std::fs::create_dir(temp.path().join("copy.partial")).expect("made");
        assert_eq!(names_in(temp.path()), before, "it is not a base yet");
    }
}
