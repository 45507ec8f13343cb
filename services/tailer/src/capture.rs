//! Capture as a whole: its three tasks, started where the log ends.

use std::sync::Arc;
use std::time::Duration;

use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_oplog::Assembler;
use hindsight_oplog::Entry;
use hindsight_runtime::{CancellationToken, Tasks, queue};
use hindsight_segment::{ChainEnd, Sequence, WriterEpoch};

use crate::absorb::publish;
use crate::appender::Appender;
use crate::cutter::Cutter;
use crate::error::{CaptureError, Cause};
use crate::positions::PositionBoard;
use crate::resume::ResumeAt;
use crate::settings::{Boards, CaptureSettings, StartAt};
use crate::sightings::SightingQueue;
use crate::source::SetIdentity;
use crate::standby::Warm;

/// The limit on raw entries between cutting and appending: three segments of the default size.
const SEGMENT_QUEUE_BYTES: usize = 24 << 20;

/// How long the tasks may take to cut, append and stop at shutdown.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// A capture that can be watched and run.
pub struct Capture {
    settings: CaptureSettings,
    log: Arc<dyn SegmentLog>,
    index: Arc<Index>,
    resume: ResumeAt,
    end: Option<ChainEnd>,
    epoch: WriterEpoch,
    transactions: Assembler<()>,
    boards: Boards,
    sightings: SightingQueue,
}

impl Capture {
    /// Prepares to continue at the end of the log, or to begin at `start` when the log is empty.
    /// Everything that capture continues from derives from the log alone (I5).
    ///
    /// # Errors
    /// Returns [`CaptureError::Log`] when the log cannot be read, [`CaptureError::AnotherSource`]
    /// when the log belongs to another replica set, [`CaptureError::Damaged`] when a segment cannot
    /// be read, [`CaptureError::Refused`] when the log is empty and `start` is None, and other
    /// errors when the index cannot be read.
    pub async fn prepare(
        settings: CaptureSettings,
        log: Arc<dyn SegmentLog>,
        index: Arc<Index>,
        start: Option<StartAt>,
        boards: Boards,
    ) -> Result<Self, CaptureError> {
        let end = log.end().await?;
        let chain_end = end.as_ref().map(|info| info.chain_end());
        let mut transactions = Assembler::default();
        let resume = match &end {
            Some(info) => {
                check_identity(&settings.identity, &info.header.source)?;
                let digest =
                    replay_open_transactions(log.as_ref(), &index, info, &mut transactions).await?;
                publish(info, &boards.positions);
                ResumeAt { optime: info.last(), digest: Some(digest), deliver: false }
            }
            None => {
                let StartAt(optime) = start.ok_or_else(|| {
                    CaptureError::Refused("the log is empty: a place to begin is needed".into())
                })?;
                ResumeAt { optime, digest: None, deliver: true }
            }
        };
        Ok(Self {
            epoch: chain_end.as_ref().map_or(WriterEpoch(1), |end| WriterEpoch(end.epoch.0 + 1)),
            end: chain_end,
            settings,
            log,
            index,
            resume,
            transactions,
            boards,
            sightings: SightingQueue::default(),
        })
    }

    /// Sets the epoch with which segments are sealed: the epoch with which the log was taken over.
    pub fn with_epoch(self, epoch: WriterEpoch) -> Self {
        Self { epoch, ..self }
    }

    /// Returns the board on which capture publishes its positions.
    pub fn positions(&self) -> PositionBoard {
        self.boards.positions.clone()
    }

    /// Returns the queue for sightings, which go into the log beside the entries.
    pub fn sightings(&self) -> SightingQueue {
        self.sightings.clone()
    }

    /// Captures until shutdown, and then makes durable what was received by then. A running tail,
    /// when `warm` has one, is continued if it can be.
    ///
    /// # Errors
    /// Returns the first failure that no retry can mend.
    pub async fn run(
        self,
        warm: Option<Warm>,
        shutdown: CancellationToken,
    ) -> Result<(), CaptureError> {
        let warm = match warm {
            Some(warm) => warm.go_on_after(&self.resume).await,
            None => None,
        };
        let warm = warm.unwrap_or_else(|| Warm::start(&self.settings, &self.boards, self.resume));
        let (received, batches, tail) = warm.into_parts();
        let (segments, segment_receiver) = queue::bounded(SEGMENT_QUEUE_BYTES);
        let last = (!self.resume.deliver).then_some(self.resume.optime);
        let cutter = Cutter::new(
            self.settings.cut,
            self.boards.positions.clone(),
            self.transactions,
            last,
            segments,
        );
        let appender = Appender {
            log: self.log,
            index: self.index,
            source: self.settings.identity.segment_source(),
            codec: self.settings.cut.codec,
            epoch: self.epoch,
            end: self.end,
            positions: self.boards.positions,
            status: self.boards.status,
            sightings: self.sightings,
            shutdown: shutdown.clone(),
        };
        // The cutter and the appender each end when the queue before them ends, so nothing that was
        // read is lost.
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("tail", tail.run(shutdown));
        tasks.spawn("cutter", cutter.run(received, batches));
        tasks.spawn("appender", appender.run(segment_receiver));
        Ok(tasks.join(STOP_PATIENCE).await?)
    }
}

fn check_identity(
    source: &SetIdentity,
    log: &hindsight_segment::SourceIdentity,
) -> Result<(), CaptureError> {
    if source.replica_set_id == log.replica_set_id {
        return Ok(());
    }
    let found = Box::new(source.segment_source());
    Err(CaptureError::AnotherSource { log: Box::new(log.clone()), found })
}

/// Returns where to continue after the log's last segment.
pub(crate) async fn resume_at(
    log: &dyn SegmentLog,
    end: &hindsight_segment::SegmentInfo,
) -> Result<ResumeAt, CaptureError> {
    let mut digest = None;
    for_each_entry(log, end.sequence(), &mut |entry, bytes| {
        if entry.optime == end.last() {
            digest = Some(*blake3::hash(bytes).as_bytes());
        }
    })
    .await?;
    Ok(ResumeAt { optime: end.last(), digest, deliver: false })
}

async fn for_each_entry(
    log: &dyn SegmentLog,
    sequence: Sequence,
    visit: &mut (dyn FnMut(&Entry<'_>, &[u8]) + Send),
) -> Result<(), CaptureError> {
    let segment = log.read(sequence).await?;
    for frame in segment.frames() {
        let frame = frame.decode().map_err(|error| damaged(sequence, error))?;
        for bytes in frame.entries() {
            let entry = Entry::parse(bytes).map_err(|error| damaged(sequence, error))?;
            visit(&entry, bytes);
        }
    }
    Ok(())
}

/// Reads the log from the first entry of its oldest open transaction, so that transactions which
/// complete later are followed. Returns the digest of the last entry's bytes.
async fn replay_open_transactions(
    log: &dyn SegmentLog,
    index: &Index,
    end: &hindsight_segment::SegmentInfo,
    transactions: &mut Assembler<()>,
) -> Result<[u8; 32], CaptureError> {
    let from = end.seal.oldest_unresolved;
    let mut sequence = end.sequence();
    if let Some(from) = from {
        let holding = index.view().segment_holding(from)?;
        sequence = holding.map_or(sequence, |segment| Sequence(segment.sequence));
    }
    let mut digest = None;
    while sequence <= end.sequence() {
        for_each_entry(log, sequence, &mut |entry, bytes| {
            if from.is_some_and(|from| entry.optime >= from) {
                // A transaction that cannot be followed was reported when it was captured.
                let _ = transactions.push(entry, || ());
            }
            if entry.optime == end.last() {
                digest = Some(*blake3::hash(bytes).as_bytes());
            }
        })
        .await?;
        sequence = sequence.next();
    }
    digest.ok_or_else(|| damaged(end.sequence(), "it does not hold its last entry"))
}

fn damaged(sequence: Sequence, source: impl Into<Cause>) -> CaptureError {
    CaptureError::Damaged { sequence, source: source.into() }
}

#[cfg(test)]
mod tests;
