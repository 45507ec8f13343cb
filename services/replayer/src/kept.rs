//! What is kept of an entry while its transaction is open: its bytes, or, once those are many, its place in
//! the log.

use hindsight_log::{LogError, SegmentLog};
use hindsight_oplog::{Entry, OpTime};
use hindsight_segment::Sequence;
use tokio::runtime::Handle;

use crate::follow::FollowError;

/// Bytes of open transactions held in memory. Beyond it they are read from the log again when their
/// transaction completes.
const LIMIT_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) enum Kept {
    Bytes(Vec<u8>),
    Place { sequence: Sequence, optime: OpTime },
}

impl Kept {
    /// `held` is what is kept already.
    pub(crate) fn new(entry: &Entry<'_>, sequence: Sequence, held: u64) -> Self {
        let bytes = entry.doc.as_bytes();
        if held + bytes.len() as u64 > LIMIT_BYTES {
            return Self::Place { sequence, optime: entry.optime };
        }
        Self::Bytes(bytes.to_vec())
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Place { .. } => 32,
        }
    }

    pub(crate) fn into_bytes(
        self,
        log: &dyn SegmentLog,
        runtime: &Handle,
    ) -> Result<Vec<u8>, FollowError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Place { sequence, optime } => read_again(log, runtime, sequence, optime),
        }
    }
}

fn read_again(
    log: &dyn SegmentLog,
    runtime: &Handle,
    sequence: Sequence,
    optime: OpTime,
) -> Result<Vec<u8>, FollowError> {
    let segment = runtime.block_on(log.read(sequence)).map_err(|error: LogError| error)?;
    let damaged = |detail: String| FollowError::Damaged { sequence, detail };
    let frames = segment.frames().iter().zip(&segment.info().seal.frames);
    for (frame, _) in frames.filter(|(_, info)| info.spans(optime.ts)) {
        let frame = frame.decode().map_err(|error| damaged(error.to_string()))?;
        for bytes in frame.entries() {
            if Entry::parse(bytes)?.optime == optime {
                return Ok(bytes.to_vec());
            }
        }
    }
    Err(damaged(format!("the entry {optime} of an open transaction is gone")))
}
