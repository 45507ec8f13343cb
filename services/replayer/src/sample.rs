//! An engine on an index alone, for tests: what can be restored is decided without documents.

use std::sync::Arc;

use hindsight_index::{BaseSummary, CommandNote, GapNotice, Index, SegmentSummary};
use hindsight_log::MemoryLog;
use hindsight_oplog::{OpTime, Timestamp};
use hindsight_runtime::{Board, Budget};
use tempfile::TempDir;

use crate::{Applied, Engine, QUERY_MEMORY_BYTES};

pub(crate) struct Sample {
    pub(crate) engine: Engine,
    /// The board on which the history publishes its state.
    pub(crate) board: Board<Applied>,
    pub(crate) last: Option<SegmentSummary>,
    _directory: TempDir,
}

pub(crate) fn optime(seconds: u32, increment: u32) -> OpTime {
    OpTime { ts: Timestamp::new(seconds, increment), term: 1 }
}

impl Sample {
    /// Makes an engine that holds nothing.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let board = Board::default();
        let engine = Engine {
            log: Arc::new(MemoryLog::new()),
            index: Arc::new(Index::open(directory.path().join("index")).expect("an index")),
            history: None,
            bases: directory.path().join("bases"),
            applied: board.watch(),
            memory: Budget::new(QUERY_MEMORY_BYTES),
        };
        Sample { engine, board, last: None, _directory: directory }
    }

    /// Adds a segment whose summary was changed by `amend`.
    pub(crate) fn append(
        &mut self,
        first: OpTime,
        last: OpTime,
        amend: impl FnOnce(&mut SegmentSummary),
    ) {
        let before = self.last.take();
        let sequence = before.as_ref().map_or(1, |before| before.sequence + 1);
        let number = u8::try_from(sequence).expect("few segments");
        let mut segment = SegmentSummary {
            sequence,
            epoch: 1,
            digest: [number; 32],
            predecessor: before.map_or([0; 32], |before| before.digest),
            first,
            last,
            majority: last,
            first_wall_ms: None,
            last_wall_ms: None,
            entries: if first == last { 1 } else { 2 },
            raw_bytes: 200,
            stored_bytes: 100,
            oldest_unresolved: None,
            oldest_prepared: None,
            gap_before: None,
            counts: Vec::new(),
            commands: Vec::new(),
            cut_reason: "age".to_owned(),
        };
        amend(&mut segment);
        self.engine.index.absorb(&segment).expect("absorbed");
        self.last = Some(segment);
    }

    /// Adds a base at that time.
    pub(crate) fn base(&self, at: OpTime) {
        let base = BaseSummary {
            name: format!("copy{}", at.ts),
            start: at.ts,
            capture_from: at,
            exact_from: at,
            created_wall_ms: 0,
            documents: 1,
            bytes: 1,
        };
        self.engine.index.absorb_base(&base).expect("absorbed");
    }
}

pub(crate) fn gap(after: OpTime, before: OpTime) -> GapNotice {
    GapNotice { after, before, reason: "rolled over".to_owned(), noticed_wall_ms: 1 }
}

pub(crate) fn command(at: OpTime, command: &str, ns: &str) -> CommandNote {
    CommandNote {
        optime: at,
        command: command.to_owned(),
        ns: ns.to_owned(),
        renamed_to: None,
        drops_target: false,
    }
}
