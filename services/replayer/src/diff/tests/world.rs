//! A log in memory with its index, bases and history: real parts that are fed with entries made
//! here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};
use hindsight_base::{
    BaseKind, BaseWriter, CollectionInfo, Origin, Source as BaseSource, WriterSettings,
};
use hindsight_history::{History, Settings};
use hindsight_index::{BaseSummary, Index, SegmentSummary};
use hindsight_log::{MemoryLog, SegmentLog};
use hindsight_oplog::{Assembler, Entry, OpTime, Timestamp};
use hindsight_runtime::{Board, Budget};
use hindsight_segment::{
    Codec, CutReason, Effort, FrameLimits, GapNotice, GapReason, OpenSegment, RawFrame, SealInput,
    SegmentDigest, SegmentInfo, Sequence, SourceIdentity, WriterEpoch, seal,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{Engine, Follower, QUERY_MEMORY_BYTES};

/// Entries come at ticks within one second, so that there is no time between two neighbours.
pub(super) fn ts(tick: u32) -> Timestamp {
    Timestamp::new(1000, tick)
}

pub(super) fn optime(tick: u32) -> OpTime {
    OpTime { ts: ts(tick), term: 1 }
}

pub(super) fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().expect("BSON")
}

pub(super) fn uuid(number: u8) -> Bson {
    Bson::Binary(bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![number; 16] })
}

pub(super) fn time(tick: u32) -> Bson {
    Bson::Timestamp(bson::Timestamp { time: 1000, increment: tick })
}

/// An operation in the form that it has in an entry or in an `applyOps`.
pub(super) fn op(kind: &str, ns: &str, ui: Option<u8>, o: Document) -> Document {
    let mut op = doc! {"op": kind, "ns": ns, "o": o};
    if let Some(ui) = ui {
        op.insert("ui", uuid(ui));
    }
    op
}

pub(super) fn insert(ns: &str, ui: u8, id: i32, n: u32) -> Document {
    op("i", ns, Some(ui), document(id, n))
}

pub(super) fn replace(ns: &str, ui: u8, id: i32, n: u32) -> Document {
    let mut op = op("u", ns, Some(ui), document(id, n));
    op.insert("o2", doc! {"_id": id});
    op
}

pub(super) fn delete(ns: &str, ui: u8, id: i32) -> Document {
    op("d", ns, Some(ui), doc! {"_id": id})
}

/// A document long enough that a few documents fill a frame.
pub(super) fn document(id: i32, n: u32) -> Document {
    doc! {"_id": id, "n": i64::from(n), "pad": format!("{n:>256}")}
}

pub(super) fn command(ui: Option<u8>, o: Document) -> Document {
    op("c", "shop.$cmd", ui, o)
}

/// One `applyOps` of a transaction on a session. `previous` is the tick of the transaction's entry
/// before it; 0 for the first entry.
pub(super) fn part(
    session: Option<u8>,
    ops: &[Document],
    previous: u32,
    more: Document,
) -> Document {
    let ops: Vec<Bson> = ops.iter().cloned().map(Bson::Document).collect();
    let mut o = doc! {"applyOps": ops};
    o.extend(more);
    linked(session, o, previous)
}

pub(super) fn commit(session: u8, visible: u32, prepared: u32) -> Document {
    linked(Some(session), doc! {"commitTransaction": 1, "commitTimestamp": time(visible)}, prepared)
}

pub(super) fn abort(session: u8, previous: u32) -> Document {
    linked(Some(session), doc! {"abortTransaction": 1}, previous)
}

fn linked(session: Option<u8>, o: Document, previous: u32) -> Document {
    let mut entry = op("c", "admin.$cmd", None, o);
    let before = match previous {
        0 => doc! {"ts": Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 }), "t": -1_i64},
        tick => doc! {"ts": time(tick), "t": 1_i64},
    };
    entry.insert("prevOpTime", before);
    if let Some(session) = session {
        entry.extend(doc! {"lsid": {"id": uuid(session)}, "txnNumber": 1_i64});
    }
    entry
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) log: MemoryLog,
    follower: Follower,
    directory: TempDir,
    runtime: Runtime,
    transactions: Assembler<()>,
    sequence: Sequence,
    predecessor: SegmentDigest,
    /// The tick of the last entry.
    last: u32,
}

impl World {
    /// Makes a world with one no-op, at tick 1, and an empty base there.
    pub(super) fn new() -> Self {
        let mut world = Self::empty();
        world.append(&[(1, op("n", "", None, doc! {}))]);
        world.base(1, BTreeMap::new());
        world
    }

    fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = Settings {
            write_buffer_bytes: 1 << 20,
            latest_bytes: 1 << 20,
            cache_bytes: 1 << 20,
            ..Settings::default()
        };
        let path = |name: &str| directory.path().join(name);
        let history = Arc::new(History::open(&path("history"), settings).expect("a history"));
        let index = Arc::new(Index::open(path("index")).expect("an index"));
        let log = MemoryLog::new();
        let board = Board::default();
        let shared: Arc<dyn SegmentLog> = Arc::new(log.clone());
        let engine = Engine {
            log: Arc::clone(&shared),
            index: Arc::clone(&index),
            history: Some(Arc::clone(&history)),
            bases: path("bases"),
            applied: board.watch(),
            memory: Budget::new(QUERY_MEMORY_BYTES),
        };
        let runtime_handle = runtime.handle().clone();
        let bases = path("bases");
        let follower =
            Follower { log: shared, index, history, bases, board, runtime: runtime_handle };
        World {
            engine,
            log,
            follower,
            directory,
            runtime,
            transactions: Assembler::default(),
            sequence: Sequence::FIRST,
            predecessor: SegmentDigest::NONE,
            last: 0,
        }
    }

    /// Adds a segment with these entries.
    pub(super) fn append(&mut self, entries: &[(u32, Document)]) {
        self.append_after(entries, None);
    }

    /// Adds a segment before which entries are missing.
    pub(super) fn append_after_gap(&mut self, entries: &[(u32, Document)]) {
        let gap = GapNotice {
            after: optime(self.last),
            before: optime(entries[0].0),
            reason: GapReason::RolledOver,
            detected_at_ms: 0,
            detail: "lost".to_owned(),
        };
        self.transactions = Assembler::default();
        self.append_after(entries, Some(gap));
    }

    fn append_after(&mut self, entries: &[(u32, Document)], gap: Option<GapNotice>) {
        let mut open = OpenSegment::new(FrameLimits::new(0));
        let mut frames: Vec<RawFrame> = Vec::new();
        for (tick, entry) in entries {
            let mut entry = entry.clone();
            entry.extend(doc! {"ts": time(*tick), "t": 1_i64, "v": 2_i64});
            let bytes = bytes(&entry);
            let entry = Entry::parse(&bytes).expect("an entry");
            self.transactions.push(&entry, || ()).expect("a sound log");
            frames.extend(open.push(&entry).expect("entries in order"));
            self.last = *tick;
        }
        let (last, summary) = open.finish().expect("at least one entry");
        frames.push(last);
        let segment = seal(SealInput {
            source: SourceIdentity { replica_set_id: *b"replicaset01", set_name: "rs0".to_owned() },
            epoch: WriterEpoch(1),
            sequence: self.sequence,
            predecessor: self.predecessor,
            codec: Codec::Lz4,
            gap,
            majority: summary.last,
            oldest_unresolved: self.transactions.oldest_unresolved(),
            oldest_prepared: self.transactions.oldest_prepared(),
            reason: CutReason::Size,
            summary,
            frames: frames.into_iter().map(|it| it.encode(Codec::Lz4, Effort::Normal)).collect(),
        })
        .expect("a segment");
        let info = Arc::clone(segment.info());
        self.predecessor = segment.digest();
        self.sequence = self.sequence.next();
        self.runtime.block_on(self.log.append(segment)).expect("appended");
        self.engine.index.absorb(&summary_of(&info)).expect("absorbed");
    }

    /// Adds a base of that tick, with the documents of each collection by its name and UUID.
    pub(super) fn base(&mut self, tick: u32, content: BTreeMap<(&str, u8), Vec<Document>>) {
        let bases = self.directory.path().join("bases");
        let settings = WriterSettings::default();
        let writer = BaseWriter::create(&bases, &format!("copy{tick}"), settings).expect("a base");
        for ((name, ui), documents) in content {
            let mut collection = writer.collection(CollectionInfo {
                db: "shop".to_owned(),
                name: name.to_owned(),
                uuid: [ui; 16],
                kind: "collection".to_owned(),
                options: bytes(&doc! {}),
                id_index: None,
                indexes: Vec::new(),
            });
            let documents: Vec<Vec<u8>> = documents.iter().map(bytes).collect();
            let documents = documents.iter().map(Vec::as_slice);
            collection.write_batch(documents).expect("written");
            collection.finish().expect("written");
        }
        let base = writer.finish(origin(tick)).expect("a base");
        let manifest = base.manifest();
        let summary = BaseSummary {
            name: base.name(),
            start: ts(tick),
            capture_from: optime(tick),
            exact_from: optime(tick),
            created_wall_ms: 0,
            documents: manifest.documents(),
            bytes: manifest.raw_bytes(),
        };
        self.engine.index.absorb_base(&summary).expect("absorbed");
    }

    /// Brings the history to the end of the log.
    pub(super) fn follow(&self) {
        self.follower.catch_up().expect("a log that can be applied");
    }

    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Returns the restorable ticks.
    pub(super) fn ticks(&self) -> Vec<u32> {
        (1..=self.last).filter(|tick| self.engine.check(ts(*tick)).is_ok()).collect()
    }
}

fn origin(tick: u32) -> Origin {
    Origin {
        kind: BaseKind::Copy,
        source: BaseSource {
            replica_set_id: Some(*b"replicaset01"),
            set_name: "rs0".to_owned(),
            member: "localhost:27017".to_owned(),
            server_version: "8.0.0".to_owned(),
            feature_compatibility_version: Some("8.0".to_owned()),
        },
        start: optime(tick),
        oldest_open: None,
        scanned_after: ts(tick),
        exact_from: optime(tick),
        created_ms: 0,
    }
}

fn summary_of(info: &SegmentInfo) -> SegmentSummary {
    let seal = &info.seal;
    let counts = seal.namespaces.iter().map(|it| hindsight_index::NamespaceCounts {
        ns: it.namespace.clone(),
        inserts: it.counts.inserts.into(),
        updates: it.counts.updates.into(),
        deletes: it.counts.deletes.into(),
        commands: it.counts.commands.into(),
        noops: it.counts.noops.into(),
    });
    SegmentSummary {
        sequence: info.sequence().0,
        epoch: info.header.epoch.0,
        digest: info.digest.0,
        predecessor: info.header.predecessor.0,
        first: seal.first,
        last: seal.last,
        majority: seal.majority,
        first_wall_ms: None,
        last_wall_ms: None,
        entries: seal.entries,
        raw_bytes: seal.raw_bytes,
        stored_bytes: info.segment_bytes,
        oldest_unresolved: seal.oldest_unresolved,
        oldest_prepared: seal.oldest_prepared,
        gap_before: info.header.gap.as_ref().map(|gap| hindsight_index::GapNotice {
            after: gap.after,
            before: gap.before,
            reason: gap.detail.clone(),
            noticed_wall_ms: 0,
        }),
        counts: counts.collect(),
        commands: Vec::new(),
        cut_reason: "size".to_owned(),
    }
}
