//! The frames that may hold a match. They are read and searched on worker threads, some of them
//! ahead.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_oplog::Entry;
use hindsight_runtime::{Budget, CancellationToken, Share};
use hindsight_segment::{DecodedFrame, SegmentInfo, Sequence};

use super::EntryFilter;
use super::candidates::{Candidates, Direction, Run};
use crate::error::QueryError;

/// The limits on frames read ahead, in number and in bytes of entries. One frame is always read.
const FRAMES_AHEAD: usize = 4;
const BYTES_AHEAD: u64 = 32 << 20;
/// The most segments whose headers and seals are read at a time. A search begins with one segment,
/// because it may end soon, and then reads more at a time.
const MOST_OF_RUN: usize = 16;
/// How many such runs are read ahead.
const RUNS_AHEAD: usize = 4;
/// While this many frames wait, no more headers and seals are read.
const FRAMES_WAITING: usize = 32;
/// How many entries are compared between two looks at whether to stop.
const ASK_EVERY: u32 = 256;

/// How much a search had to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Searched {
    /// The number of segments whose header and seal were read.
    pub segments: u64,
    /// The number of frames that were read and expanded.
    pub frames: u64,
    /// The number of entries that were compared with the filter.
    pub entries: u64,
}

/// The place of a frame in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) sequence: Sequence,
    pub(super) ordinal: u32,
}

/// An uncompressed frame, with the places of its entries.
#[derive(Debug)]
pub(super) struct OpenFrame {
    pub(super) info: Arc<SegmentInfo>,
    pub(super) ordinal: u32,
    frame: DecodedFrame,
    entries: Vec<Range<usize>>,
    /// The frame's part of the memory that all searches share. None for the one frame that a search
    /// may always have.
    share: Option<Share>,
}

/// A frame that was searched, and the positions of the matches in it.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) open: OpenFrame,
    pub(super) hits: Vec<u32>,
}

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, QueryError>> + Send>>;

impl OpenFrame {
    pub(super) fn place(&self) -> Place {
        Place { sequence: self.info.sequence(), ordinal: self.ordinal }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn raw_bytes(&self) -> usize {
        self.frame.raw().len()
    }

    /// Whether the frame may be kept.
    pub(super) fn has_share(&self) -> bool {
        self.share.is_some()
    }

    pub(super) fn entry(&self, position: usize) -> &[u8] {
        &self.frame.raw()[self.entries[position].clone()]
    }

    pub(super) async fn read(
        log: Arc<dyn SegmentLog>,
        info: Arc<SegmentInfo>,
        ordinal: u32,
        share: Option<Share>,
    ) -> Result<Self, QueryError> {
        let frame = log.read_frame(&info, ordinal).await?;
        on_worker(move || {
            let frame = frame.decode().map_err(QueryError::corrupt)?;
            let mut end = 0;
            let entry = |bytes: &[u8]| {
                end += bytes.len();
                end - bytes.len()..end
            };
            let entries = frame.entries().map(entry).collect();
            Ok(Self { info, ordinal, frame, entries, share })
        })
        .await
    }

    /// Compares every entry with the filter, or fewer entries when asked to stop.
    async fn search(
        self,
        filter: Arc<EntryFilter>,
        stop: CancellationToken,
    ) -> Result<Examined, QueryError> {
        on_worker(move || {
            let mut hits = Vec::new();
            for (bytes, position) in self.frame.entries().zip(0_u32..) {
                if position.is_multiple_of(ASK_EVERY) && stop.is_cancelled() {
                    break;
                }
                let entry = Entry::parse(bytes).map_err(QueryError::corrupt)?;
                if filter.matches(&entry) {
                    hits.push(position);
                }
            }
            Ok(Examined { open: self, hits })
        })
        .await
    }
}

async fn on_worker<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(QueryError::unavailable("the process is stopping")),
    }
}

/// Reads the headers and seals of a run of segments that the index knows.
pub(super) async fn read_infos(
    log: Arc<dyn SegmentLog>,
    (first, count): Run,
) -> Result<Vec<Arc<SegmentInfo>>, QueryError> {
    let infos = log.infos(first, count).await?;
    if infos.first().is_some_and(|info| info.sequence() != first) {
        let text = "the log's oldest segments were removed while they were searched: ask again";
        return Err(QueryError::unavailable(text));
    }
    if infos.len() != count {
        let gone = Sequence(first.0 + infos.len() as u64);
        return Err(QueryError::corrupt(format!("segment {gone} is gone")));
    }
    Ok(infos)
}

/// The frames that may hold a match, in the direction of the search.
pub(super) struct Frames {
    log: Arc<dyn SegmentLog>,
    index: Arc<Index>,
    filter: Arc<EntryFilter>,
    direction: Direction,
    candidates: Candidates,
    runs: VecDeque<Run>,
    run_length: usize,
    segments_ahead: usize,
    infos: FuturesOrdered<Reading<Vec<Arc<SegmentInfo>>>>,
    wanted: VecDeque<(Arc<SegmentInfo>, u32)>,
    reading: FuturesOrdered<Reading<Examined>>,
    reading_bytes: u64,
    /// Stops work on other threads that nothing waits for any more.
    stop: CancellationToken,
    memory: Budget,
    pub(super) searched: Searched,
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Frames {
    pub(super) fn new(
        log: Arc<dyn SegmentLog>,
        index: Arc<Index>,
        filter: Arc<EntryFilter>,
        sequences: std::ops::RangeInclusive<u64>,
        direction: Direction,
        memory: Budget,
    ) -> Self {
        Self {
            log,
            index,
            filter,
            direction,
            candidates: Candidates::new(sequences, direction),
            runs: VecDeque::new(),
            run_length: 1,
            segments_ahead: 0,
            infos: FuturesOrdered::new(),
            wanted: VecDeque::new(),
            reading: FuturesOrdered::new(),
            reading_bytes: 0,
            stop: CancellationToken::new(),
            memory,
            searched: Searched::default(),
        }
    }

    /// Returns the next frame. The future may be dropped while it waits, and the method called
    /// again: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Option<Examined>, QueryError> {
        loop {
            self.read_ahead()?;
            let wants_infos = self.wanted.len() < FRAMES_WAITING;
            tokio::select! {
                biased;
                Some(examined) = self.reading.next(), if !self.reading.is_empty() => {
                    let examined = examined?;
                    self.reading_bytes -= examined.open.raw_bytes() as u64;
                    self.searched.entries += examined.open.len() as u64;
                    return Ok(Some(examined));
                }
                Some(infos) = self.infos.next(), if wants_infos && !self.infos.is_empty() => {
                    self.want(infos?);
                }
                else => {
                    if self.candidates.is_done() {
                        return Ok(None);
                    }
                    // A chance to stop between two pages without candidates.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn read_ahead(&mut self) -> Result<(), QueryError> {
        if self.runs.is_empty() && self.infos.len() < RUNS_AHEAD && !self.candidates.is_done() {
            self.runs.extend(self.candidates.next_page(&self.index, &self.filter)?);
        }
        while self.infos.len() < RUNS_AHEAD
            && self.segments_ahead < MOST_OF_RUN
            && let Some(run) = self.runs.pop_front()
        {
            let (run, later) = self.direction.split(run, self.run_length);
            if let Some(later) = later {
                self.runs.push_front(later);
            }
            self.run_length = (2 * self.run_length).min(MOST_OF_RUN);
            self.segments_ahead += run.1;
            self.searched.segments += run.1 as u64;
            self.infos.push_back(Box::pin(read_infos(Arc::clone(&self.log), run)));
        }
        while self.reading.len() < FRAMES_AHEAD
            && (self.reading.is_empty() || self.reading_bytes < BYTES_AHEAD)
            && let Some((info, ordinal)) = self.wanted.front()
        {
            let bytes = info.seal.frames[*ordinal as usize].raw_len;
            let share = self.memory.try_take(bytes as usize);
            if share.is_none() && !self.reading.is_empty() {
                break;
            }
            let (info, ordinal) = self.wanted.pop_front().expect("seen above");
            self.reading_bytes += u64::from(bytes);
            self.searched.frames += 1;
            let (log, filter) = (Arc::clone(&self.log), Arc::clone(&self.filter));
            let stop = self.stop.clone();
            self.reading.push_back(Box::pin(async move {
                OpenFrame::read(log, info, ordinal, share).await?.search(filter, stop).await
            }));
        }
        Ok(())
    }

    fn want(&mut self, infos: Vec<Arc<SegmentInfo>>) {
        self.segments_ahead -= infos.len();
        let mut frames: Vec<_> = infos
            .iter()
            .flat_map(|info| info.seal.frames.iter().zip(0_u32..).map(move |it| (info, it)))
            .filter(|(_, (frame, _))| self.filter.may_hold_in_frame(frame))
            .map(|(info, (_, ordinal))| (Arc::clone(info), ordinal))
            .collect();
        if self.direction == Direction::Backward {
            frames.reverse();
        }
        self.wanted.extend(frames);
    }
}
