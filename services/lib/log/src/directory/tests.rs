//! What can happen only to a directory: crashes between the steps of an append, full disks, files
//! that people moved, segments that are packed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use hindsight_segment::SegmentDigest;
use tempfile::TempDir;

use super::files::{BeforeStep, Step};
use super::listing::Listing;
use super::names::LogFile;
use super::pack::{Footer, Line};
use super::stored::OpenFile;
use super::*;
use crate::conformance::{self, ScriptedFault, SegmentMaker, Subject, sample_source};
use crate::error::Damage;

mod opening;
mod packed;
mod packing;
mod removing;
mod steps;

/// Packs of up to four segments, and of two on; the last segment has a file of its own.
const SMALL: PackLimits = PackLimits { segments: 4, bytes: 1 << 20, fewest: 2, newest: 1 };

/// A log directory whose steps fail as a test decides.
struct Bench {
    directory: TempDir,
    /// Called before each step.
    verdict: Arc<Mutex<Verdict>>,
    hold: Arc<Mutex<Option<Hold>>>,
}

type Verdict = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

/// A step that tells when it is reached, and waits.
struct Hold {
    step: Step,
    reached: Sender<()>,
    go_on: Receiver<()>,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        Self {
            directory,
            verdict: Arc::new(Mutex::new(Box::new(|_| Ok(())))),
            hold: Arc::default(),
        }
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

    /// Makes a step wait once. The first channel tells that it is reached, the second lets it go
    /// on.
    fn hold_before(&self, step: Step) -> (Receiver<()>, Sender<()>) {
        let ((reached, is_reached), (goes_on, go_on)) = (channel(), channel());
        *self.hold.lock().unwrap() = Some(Hold { step, reached, go_on });
        (is_reached, goes_on)
    }

    async fn open_with(&self, options: DirectoryOptions) -> Result<DirectoryLog, LogError> {
        let (verdict, hold) = (Arc::clone(&self.verdict), Arc::clone(&self.hold));
        let before_step: BeforeStep = Box::new(move |step| {
            let held = hold.lock().unwrap().take_if(|hold| hold.step == step);
            if let Some(held) = held {
                held.reached.send(()).unwrap();
                held.go_on.recv().unwrap();
            }
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

    /// Returns the names of the packs.
    fn packs(&self) -> Vec<String> {
        self.file_names().into_iter().filter(|it| it.ends_with(".pack")).collect()
    }

    /// Returns the file that holds a segment.
    fn file_of(&self, sequence: Sequence) -> LogFile {
        let files = Listing::read(self.path()).unwrap().files;
        *files.iter().find(|it| (it.begins()..=it.ends()).contains(&sequence)).unwrap()
    }

    fn path_of(&self, sequence: Sequence) -> PathBuf {
        self.path().join(self.file_of(sequence).to_string())
    }
}

/// Packs until there is nothing to pack.
async fn pack_all(log: &DirectoryLog, limits: PackLimits) -> Vec<Packed> {
    let mut all = Vec::new();
    while let Some(packed) = log.pack(limits, CancellationToken::new()).await.unwrap() {
        all.push(packed);
    }
    all
}

/// Returns the file of a pack of these segments, as the documentation draws it.
fn pack_of(segments: &[SealedSegment]) -> Vec<u8> {
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    for segment in segments {
        let (info, whole) = (segment.info(), segment.to_bytes());
        let (offset, length) = (bytes.len() as u64, whole.len() as u64);
        let line = Line { sequence: info.sequence(), offset, length, digest: info.digest };
        lines.extend(line.encode());
        bytes.extend_from_slice(&whole);
    }
    let (table, begins) = (bytes.len() as u64, segments[0].info().sequence());
    bytes.extend(lines);
    bytes.extend(Footer { table, begins, segments: segments.len() as u32 }.encode());
    bytes
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
        let (begin, length) = {
            let file = OpenFile::open(self.path(), self.file_of(sequence)).unwrap();
            let stored = file.segment(sequence).unwrap();
            (stored.offset, stored.length)
        };
        let path = self.path_of(sequence);
        let mut bytes = fs::read(&path).unwrap();
        bytes[(begin + length * permille / 1000) as usize] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    async fn replace(&self, sequence: Sequence, other: SealedSegment) {
        let name = self.file_of(sequence);
        let file = OpenFile::open(self.path(), name).unwrap();
        let held = |at: u64| file.segment(Sequence(at)).unwrap().view().unwrap();
        let mut segments: Vec<_> = (name.begins().0..=name.ends().0)
            .map(|at| SealedSegment::of(&held(at)).unwrap())
            .collect();
        segments[(sequence.0 - name.begins().0) as usize] = other;
        let bytes = match name {
            LogFile::Segment(_) => segments[0].to_bytes().to_vec(),
            LogFile::Pack(_) => pack_of(&segments),
        };
        fs::write(self.path_of(sequence), bytes).unwrap();
    }
}

#[tokio::test]
async fn conforms() {
    conformance::run(Bench::new).await;
}
