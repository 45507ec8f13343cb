//! What can happen only to a directory: crashes between the steps of an append, full disks, files
//! that people moved.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hindsight_segment::SegmentDigest;
use tempfile::TempDir;

use super::files::{BeforeStep, Step};
use super::*;
use crate::conformance::{self, ScriptedFault, SegmentMaker, Subject, sample_source};
use crate::error::Damage;

mod opening;
mod removing;
mod steps;

/// A log directory whose steps fail as a test decides.
struct Bench {
    directory: TempDir,
    /// Called before each step.
    verdict: Arc<Mutex<Verdict>>,
}

type Verdict = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        Self { directory, verdict: Arc::new(Mutex::new(Box::new(|_| Ok(())))) }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// From now on, `verdict` is called before each step.
    fn decide(&self, verdict: impl FnMut(Step) -> io::Result<()> + Send + 'static) {
        *self.verdict.lock().unwrap() = Box::new(verdict);
    }

    /// Returns the list that each step from now on is added to.
    fn note_steps(&self) -> Arc<Mutex<Vec<Step>>> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        self.decide(move |step| {
            noted.lock().unwrap().push(step);
            Ok(())
        });
        seen
    }

    fn all_works(&self) {
        self.decide(|_| Ok(()));
    }

    async fn open_with(&self, options: DirectoryOptions) -> Result<DirectoryLog, LogError> {
        let verdict = Arc::clone(&self.verdict);
        let before_step: BeforeStep = Box::new(move |step| {
            let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
            (*verdict)(step)
        });
        let directory = self.path().to_owned();
        DirectoryLog::open(self.path(), move || {
            Store::open_writer(directory, &options, before_step)
        })
        .await
    }

    async fn log(&self) -> DirectoryLog {
        self.open_with(DirectoryOptions::default()).await.unwrap()
    }

    /// Returns a closed log with this many segments.
    async fn filled(segments: usize) -> (Self, SegmentMaker) {
        let bench = Self::new();
        let mut maker = SegmentMaker::default();
        let log = bench.log().await;
        for _ in 0..segments {
            log.append(maker.make(5)).await.unwrap();
        }
        (bench, maker)
    }

    fn file_names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn segment_files(&self) -> Vec<PathBuf> {
        let names = self.file_names();
        names.iter().filter(|it| it.ends_with(".seg")).map(|it| self.path().join(it)).collect()
    }

    fn file_of(&self, sequence: Sequence) -> PathBuf {
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(&format!("{:012}-", sequence.0))
        };
        self.segment_files().into_iter().find(is_it).unwrap()
    }
}

#[async_trait]
impl Subject for Bench {
    async fn open(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        Ok(Box::new(self.open_with(DirectoryOptions::default()).await?))
    }

    async fn open_reader(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        let options = DirectoryOptions::default();
        Ok(Box::new(DirectoryLog::open_reader(self.path(), options).await?))
    }

    async fn fail_next_append(&self, fault: ScriptedFault) {
        let fails = match fault {
            ScriptedFault::Refused => Step::WritePiece(1),
            ScriptedFault::AnswerLost => Step::SyncDirectory,
        };
        let mut due = true;
        self.decide(move |step| {
            if step == fails && std::mem::take(&mut due) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        });
    }

    async fn flip_bit(&self, sequence: Sequence, permille: u64) {
        let path = &self.file_of(sequence);
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.len() as u64 * permille / 1000;
        bytes[at as usize] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    async fn replace(&self, sequence: Sequence, other: SealedSegment) {
        fs::write(self.file_of(sequence), other.to_bytes()).unwrap();
    }
}

#[tokio::test]
async fn conforms() {
    conformance::run(Bench::new).await;
}
