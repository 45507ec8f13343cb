//! A log, a base, and a follower of both.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};
use hindsight_base::{BaseKind, BaseWriter, CollectionInfo, Origin, Source, WriterSettings};
use hindsight_history::Settings;
use hindsight_index::BaseSummary;
use hindsight_log::{MemoryLog, ReadFault, SegmentLog};
use hindsight_oplog::{Entry, OpTime};
use hindsight_segment::{
    CatalogSighting, Codec, CutReason, Effort, FrameLimits, OpenSegment, RawFrame, SealInput,
    SegmentDigest, Sequence, Sightings, SourceIdentity, WriterEpoch, seal,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::super::shapes::{COLLECTION, NAMESPACE, noop};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Entries come at ticks within one second.
pub(super) fn optime(tick: u32) -> OpTime {
    OpTime::new(1000, tick, 1)
}

fn uuid() -> Bson {
    Bson::Binary(bson::Binary { subtype: BinarySubtype::Uuid, bytes: COLLECTION.to_vec() })
}

/// Deletes a document of the base's collection.
pub(super) fn delete(id: &str) -> Document {
    doc! {"op": "d", "ns": NAMESPACE, "ui": uuid(), "o": {"_id": id}}
}

/// A command on the base's collection.
pub(super) fn command(o: Document) -> Document {
    doc! {"op": "c", "ns": "shop.$cmd", "ui": uuid(), "o": o}
}

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().expect("BSON")
}

pub(super) struct Stage {
    pub(super) follower: Arc<Follower>,
    /// The name of the base.
    pub(super) base: String,
    log: MemoryLog,
    next: (Sequence, SegmentDigest),
    runtime: Runtime,
    directory: TempDir,
}

impl Stage {
    /// Makes a log of one segment with no-ops at ticks 1 and 3, and a base with one document, exact
    /// from tick 1 on.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let base = write_base(&directory.path().join("bases"), 1);
        Self::with_new_log("index", base, runtime, directory)
    }

    /// Starts another process on the same directory, which knows only what was stored.
    pub(super) fn restarted(self) -> Self {
        let Self { follower, base, log, next, runtime, directory } = self;
        drop(follower);
        let follower = Arc::new(follower_of(&directory, "index", &log, &runtime));
        Self { follower, base, log, next, runtime, directory }
    }

    /// Starts another process after the history was deleted.
    pub(super) fn without_history(self) -> Self {
        let Self { follower, base, log, next, runtime, directory } = self;
        drop(follower);
        std::fs::remove_dir_all(directory.path().join("history")).expect("a history");
        let follower = Arc::new(follower_of(&directory, "index", &log, &runtime));
        Self { follower, base, log, next, runtime, directory }
    }

    /// Starts another process with the same history, which finds the same entries in other
    /// segments.
    pub(super) fn with_log_cut_anew(self, segments: &[&[(u32, Document)]]) -> Self {
        let Self { follower, base, runtime, directory, .. } = self;
        drop(follower);
        let mut stage = Self::with_new_log("another index", base, runtime, directory);
        for entries in segments.iter().filter(|entries| !entries.is_empty()) {
            stage.append(entries);
        }
        stage
    }

    /// Makes a log that begins with the no-ops around the base.
    fn with_new_log(index: &str, base: String, runtime: Runtime, directory: TempDir) -> Self {
        let log = MemoryLog::new();
        let follower = Arc::new(follower_of(&directory, index, &log, &runtime));
        let next = (Sequence::FIRST, SegmentDigest::NONE);
        let mut stage = Stage { follower, base, log, next, runtime, directory };
        stage.append(&[(1, noop()), (3, noop())]);
        stage.follower.index.absorb_base(&summary_of(&stage.base, 1)).expect("absorbed");
        stage
    }

    /// Adds another base, exact from this tick on.
    pub(super) fn add_base(&self, tick: u32) {
        let name = write_base(&self.path("bases"), tick);
        self.follower.index.absorb_base(&summary_of(&name, tick)).expect("absorbed");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds a segment with these entries, by their ticks.
    pub(super) fn append(&mut self, entries: &[(u32, Document)]) {
        self.append_with(entries, &[]);
    }

    /// Like [`Stage::append`], with sightings of the catalog.
    pub(super) fn append_with(&mut self, entries: &[(u32, Document)], sighted: &[CatalogSighting]) {
        let mut open = OpenSegment::new(FrameLimits::new(0));
        let mut frames: Vec<RawFrame> = Vec::new();
        for (tick, entry) in entries {
            let mut entry = entry.clone();
            let ts = bson::Timestamp { time: 1000, increment: *tick };
            entry.extend(doc! {"ts": Bson::Timestamp(ts), "v": 2_i64});
            entry.entry("t".to_owned()).or_insert(Bson::Int64(1));
            let bytes = bytes(&entry);
            let entry = Entry::parse(&bytes).expect("an entry");
            frames.extend(open.push(&entry).expect("entries in order"));
        }
        let (last, mut summary) = open.finish().expect("at least one entry");
        summary.sightings = Sightings::of(sighted).map(|(sightings, _)| sightings);
        frames.push(last);
        let (sequence, predecessor) = self.next;
        let segment = seal(SealInput {
            source: SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".to_owned() },
            epoch: WriterEpoch(1),
            sequence,
            predecessor,
            codec: Codec::Lz4,
            gap: None,
            majority: summary.last,
            oldest_unresolved: None,
            oldest_prepared: None,
            reason: CutReason::Size,
            summary,
            frames: frames.into_iter().map(|it| it.encode(Codec::Lz4, Effort::Normal)).collect(),
        })
        .expect("a segment");
        let info = Arc::clone(segment.info());
        self.next = (sequence.next(), segment.digest());
        self.runtime.block_on(self.log.append(segment)).expect("appended");
        self.follower.index.absorb_segment(&info).expect("absorbed");
    }

    /// Returns the last position of the history.
    pub(super) fn applied(&self) -> Option<OpTime> {
        self.follower.history.generations().pop()?.applied()
    }

    /// Lets this many reads of the log succeed, and then one fail.
    pub(super) fn fail_after_reads(&self, reads: usize) {
        for _ in 0..reads {
            self.log.script_read(ReadFault::Slow(Duration::ZERO));
        }
        self.log.script_read(ReadFault::Fail);
    }

    /// Follows until shutdown.
    pub(super) fn run(&self, shutdown: &CancellationToken) -> JoinHandle<Result<(), FollowError>> {
        let (follower, shutdown) = (Arc::clone(&self.follower), shutdown.clone());
        self.runtime.spawn_blocking(move || {
            // No news is sent: the follower looks again by itself.
            let (_sender, mut news) = watch::channel(());
            follower.run(&mut news, &shutdown)
        })
    }

    pub(super) fn wait_until(&self, what: &str, is_so: impl Fn(&Applied) -> bool) {
        let mut board = self.follower.board.watch();
        let waited = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, board.wait_for(is_so)).await.is_ok()
        });
        assert!(waited, "not so that {what}: {:?}", self.follower.board.now());
    }

    pub(super) fn ended(
        &self,
        following: JoinHandle<Result<(), FollowError>>,
    ) -> Result<(), FollowError> {
        self.runtime.block_on(following).expect("following does not panic")
    }
}

fn follower_of(directory: &TempDir, index: &str, log: &MemoryLog, runtime: &Runtime) -> Follower {
    let path = |name: &str| directory.path().join(name);
    let settings = Settings {
        write_buffer_bytes: 1 << 20,
        latest_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        ..Settings::default()
    };
    Follower {
        log: Arc::new(log.clone()),
        index: Arc::new(Index::open(path(index)).expect("an index")),
        history: Arc::new(History::open(&path("history"), settings).expect("a history")),
        bases: path("bases"),
        board: Board::default(),
        runtime: runtime.handle().clone(),
    }
}

/// Writes a base with one document, exact from this tick on. Returns its name.
fn write_base(bases: &Path, tick: u32) -> String {
    let settings = WriterSettings::default();
    let writer = BaseWriter::create(bases, "copy", settings).expect("a base");
    let mut collection = writer.collection(CollectionInfo {
        db: "shop".to_owned(),
        name: "things".to_owned(),
        uuid: COLLECTION,
        kind: "collection".to_owned(),
        options: bytes(&doc! {}),
        id_index: None,
        indexes: Vec::new(),
    });
    collection.write(&bytes(&doc! {"_id": "there"})).expect("written");
    collection.finish().expect("written");
    writer.finish(origin(tick)).expect("a base").name()
}

fn summary_of(base: &str, tick: u32) -> BaseSummary {
    BaseSummary {
        name: base.to_owned(),
        start: optime(tick).ts,
        capture_from: optime(tick),
        exact_from: optime(tick),
        created_wall_ms: 0,
        documents: 1,
        bytes: 1,
    }
}

fn origin(tick: u32) -> Origin {
    Origin {
        kind: BaseKind::Copy,
        source: Source {
            replica_set_id: Some(*b"replicaset01"),
            set_name: "rs0".to_owned(),
            member: "localhost:27017".to_owned(),
            server_version: "8.0.0".to_owned(),
            feature_compatibility_version: Some("8.0".to_owned()),
        },
        start: optime(tick),
        oldest_open: None,
        scanned_after: optime(tick).ts,
        exact_from: optime(tick),
        created_ms: 0,
    }
}
