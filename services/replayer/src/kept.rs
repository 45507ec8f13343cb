//! What is kept of an entry while its transaction is open: its bytes, or its place in the log once
//! many bytes are kept.

use hindsight_log::{LogError, SegmentLog};
use hindsight_oplog::{Entry, OpTime, Timestamp};
use hindsight_segment::Sequence;
use tokio::runtime::Handle;

use crate::follow::{FollowError, NamedEntry};

/// The limit on the bytes of open transactions held in memory. Entries beyond it are read from the
/// log again when their transaction completes.
const LIMIT_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) sequence: Sequence,
    optime: OpTime,
    /// The entry's bytes. None once the limit is reached.
    bytes: Option<Vec<u8>>,
}

impl Kept {
    /// Keeps an entry. `held` is the number of bytes kept already.
    pub(crate) fn new(entry: &Entry<'_>, sequence: Sequence, held: u64) -> Self {
        let bytes = entry.doc.as_bytes();
        let has_room = held + bytes.len() as u64 <= LIMIT_BYTES;
        Self { sequence, optime: entry.optime, bytes: has_room.then(|| bytes.to_vec()) }
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn into_bytes(
        self,
        log: &dyn SegmentLog,
        runtime: &Handle,
    ) -> Result<Vec<u8>, FollowError> {
        match self.bytes {
            Some(bytes) => Ok(bytes),
            None => read_entry(log, runtime, self.sequence, self.optime.ts),
        }
    }
}

/// Reads the bytes of the entry with this timestamp from its segment.
pub(crate) fn read_entry(
    log: &dyn SegmentLog,
    runtime: &Handle,
    sequence: Sequence,
    ts: Timestamp,
) -> Result<Vec<u8>, FollowError> {
    let segment = runtime.block_on(log.read(sequence)).map_err(|error: LogError| error)?;
    let frames = segment.frames().iter().zip(&segment.info().seal.frames);
    for (frame, _) in frames.filter(|(_, info)| info.spans(ts)) {
        let frame = frame
            .decode()
            .map_err(|error| FollowError::Damaged { sequence, source: error.into() })?;
        let mut previous = None;
        for bytes in frame.entries() {
            let entry = parse(bytes, sequence, previous)?;
            if entry.ts() == ts {
                return Ok(bytes.to_vec());
            }
            previous = Some(entry.optime);
        }
    }
    let text = format!("the entry {ts} of an open transaction is gone");
    Err(FollowError::Damaged { sequence, source: text.into() })
}

/// Parses an entry of that segment. `previous` is the entry before it, for the error.
pub(crate) fn parse(
    bytes: &[u8],
    sequence: Sequence,
    previous: Option<OpTime>,
) -> Result<Entry<'_>, FollowError> {
    Entry::parse(bytes).map_err(|source| {
        let entry = previous.map_or(NamedEntry::Unknown, NamedEntry::After);
        FollowError::Malformed { sequence, entry, source }
    })
}
