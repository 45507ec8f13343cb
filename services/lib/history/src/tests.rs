//! Real stores in temporary directories.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, doc};
use hindsight_oplog::raw::Doc;
use hindsight_oplog::{OpKind, OpTime, Operation, Origin, Timestamp};
use tempfile::TempDir;

use crate::{Applied, ApplyError, BaseInfo, CollectionState, History, Progress, Settings, Writer};

mod ahead;
mod capped;
mod crash;
mod ddl;
mod deltas;
mod documents;
mod exclude;
mod horizon;
mod newer;
mod proof;
mod reads;
mod rest;
mod time_series;
mod users;

pub(crate) const NS: &str = "shop.orders";
pub(crate) const UUID: [u8; 16] = [7; 16];

pub(crate) fn ts(seconds: u32) -> Timestamp {
    Timestamp::new(seconds, 1)
}

pub(crate) fn at(seconds: u32) -> OpTime {
    OpTime::new(seconds, 1, 1)
}

pub(crate) fn bytes(document: Document) -> Vec<u8> {
    document.to_vec().unwrap()
}

pub(crate) fn parsed(bytes: &[u8]) -> Document {
    Document::from_reader(bytes).unwrap()
}

/// An operation that owns its bytes.
#[derive(Clone)]
pub(crate) struct Op {
    kind: OpKind,
    code: &'static [u8],
    ns: String,
    ui: Option<[u8; 16]>,
    o: Vec<u8>,
    o2: Option<Vec<u8>>,
    upsert: bool,
    origin: Origin,
    document_hash: Option<i64>,
}

impl Op {
    pub(crate) fn insert(document: Document) -> Self {
        Op::new(OpKind::Insert, NS, document)
    }

    pub(crate) fn replace(id: impl Into<Bson>, document: Document) -> Self {
        let o2 = Some(bytes(doc! {"_id": id.into()}));
        Op { o2, ..Op::new(OpKind::Update, NS, document) }
    }

    pub(crate) fn delete(id: impl Into<Bson>) -> Self {
        Op::new(OpKind::Delete, NS, doc! {"_id": id.into()})
    }

    pub(crate) fn command(database: &str, ui: Option<[u8; 16]>, o: Document) -> Self {
        Op { ui, ..Op::new(OpKind::Command, &format!("{database}.$cmd"), o) }
    }

    pub(crate) fn new(kind: OpKind, ns: &str, o: Document) -> Self {
        Op {
            kind,
            code: b"x",
            ns: ns.to_owned(),
            ui: Some(UUID),
            o: bytes(o),
            o2: None,
            upsert: false,
            origin: Origin::Server,
            document_hash: None,
        }
    }

    pub(crate) fn on(mut self, ns: &str, ui: impl Into<Option<[u8; 16]>>) -> Self {
        ns.clone_into(&mut self.ns);
        self.ui = ui.into();
        self
    }

    pub(crate) fn with_o2(mut self, o2: Document) -> Self {
        self.o2 = Some(bytes(o2));
        self
    }

    pub(crate) fn upsert(mut self) -> Self {
        self.upsert = true;
        self
    }

    pub(crate) fn view(&self) -> Operation<'_> {
        Operation {
            kind: self.kind,
            code: self.code,
            ns: &self.ns,
            ui: self.ui,
            o: Doc::new(&self.o).unwrap(),
            o2: self.o2.as_ref().map(|bytes| Doc::new(bytes).unwrap()),
            upsert: self.upsert,
            origin: self.origin,
            document_hash: self.document_hash,
        }
    }
}

pub(crate) fn apply(
    writer: &mut Writer<'_>,
    seconds: u32,
    ops: &[Op],
) -> Result<Applied, ApplyError> {
    writer.apply(ts(seconds), at(seconds), ops.iter().map(Op::view))
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) history: History,
}

pub(crate) fn settings() -> Settings {
    // Small, so that the tests also read versions that were forgotten.
    Settings { latest_bytes: 2_000, write_buffer_bytes: 1 << 20, ..Settings::default() }
}

impl Fixture {
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path(), settings()).unwrap();
        Fixture { dir, history }
    }

    /// A base of one collection with these documents, from S = 10 to E = 20.
    pub(crate) fn with_base(documents: &[Document]) -> Self {
        Self::with_state(CollectionState::new(UUID, NS), documents)
    }

    pub(crate) fn with_state(state: CollectionState, documents: &[Document]) -> Self {
        let fixture = Self::empty();
        fixture.load(10, 20, &[(state, documents.to_vec())]);
        fixture
    }

    pub(crate) fn load(&self, start: u32, end: u32, content: &[(CollectionState, Vec<Document>)]) {
        let base = BaseInfo {
            name: format!("b{start}"),
            start: ts(start),
            exact_from: ts(end),
            server_version: Some("6.0.5".to_owned()),
        };
        let mut load = self.history.begin_generation(base).unwrap();
        for (state, documents) in content {
            let number = load.collection(state.clone()).unwrap();
            for document in documents {
                load.put(number, &bytes(document.clone())).unwrap();
            }
        }
        load.finish().unwrap();
    }

    /// Applies each unit at its second and commits it. Then moves on to second `through`.
    pub(crate) fn run(&self, units: &[(u32, Vec<Op>)], through: u32) {
        let mut writer = self.history.writer().unwrap();
        for (seconds, ops) in units {
            apply(&mut writer, *seconds, ops).unwrap();
            writer.commit(Progress::at(at(*seconds))).unwrap();
        }
        writer.commit(Progress::at(at(through))).unwrap();
    }

    /// Ends the relaxed window, and returns the answer to the operation in strict mode.
    pub(crate) fn strict(&self, op: Op) -> Result<Applied, ApplyError> {
        let mut writer = self.history.writer().unwrap();
        writer.commit(Progress::at(at(20)))?;
        apply(&mut writer, 21, &[op])
    }

    pub(crate) fn get(&self, seconds: u32, ns: &str, id: impl Into<Bson>) -> Option<Document> {
        let key = bytes(doc! {"_id": id.into()});
        let id = Doc::new(&key).unwrap().first().unwrap().unwrap();
        let view = self.history.reader_at(ts(seconds)).unwrap();
        view.get(ns, id).unwrap().map(|bytes| parsed(&bytes))
    }

    pub(crate) fn scan(&self, seconds: u32, ns: &str) -> Vec<Document> {
        let view = self.history.reader_at(ts(seconds)).unwrap();
        view.scan(ns).unwrap().map(|bytes| parsed(&bytes.unwrap())).collect()
    }

    pub(crate) fn scan_natural(&self, seconds: u32, ns: &str) -> Vec<Document> {
        let view = self.history.reader_at(ts(seconds)).unwrap();
        view.scan_natural(ns).unwrap().map(|bytes| parsed(&bytes.unwrap())).collect()
    }

    /// Returns the names of the collections that exist.
    pub(crate) fn names(&self, seconds: u32) -> Vec<String> {
        let view = self.history.reader_at(ts(seconds)).unwrap();
        view.collections().iter().map(|state| state.ns.clone()).collect()
    }

    /// Returns the store as after a kill: what was not flushed is gone. Closing the store would
    /// flush it, so the files are copied while it is open.
    pub(crate) fn killed(self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let file = file.unwrap();
            if file.file_name() != "LOCK" {
                std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
            }
        }
        let history = History::open(dir.path(), settings()).unwrap();
        Fixture { dir, history }
    }
}
