//! A search returns what matches in the order of the log, and at most the matches of one frame at a
//! time.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_runtime::Budget;
use hindsight_segment::Sequence;
use tokio::sync::watch;

use super::EntryFilter;
use super::candidates::Direction;
use super::context::Context;
use super::frames::{Examined, Frames, OpenFrame, Searched, read_infos};
use crate::error::QueryError;

/// The most entries before a match that a search may ask for.
pub const MOST_CONTEXT: usize = 1_000;
/// The highest limit on matches. The place of each match is kept in memory.
pub const MOST_LIMIT: usize = 100_000;
/// How many bytes of frames with the newest matches are held from finding the matches to returning
/// them. Other frames are read again.
const HELD_BYTES: usize = 32 << 20;
/// How long to wait for news before looking at the index without news.
const IDLE: Duration = Duration::from_millis(500);

/// What a search returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchOptions {
    /// Return only this many matches, the newest ones; 0 returns all. Context does not count.
    pub limit: usize,
    /// How many entries before each match are returned too.
    pub before_context: usize,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entry's bytes.
    pub entry: Bytes,
    /// True when the entry is not a match, but comes before the match that follows it.
    pub is_context: bool,
}

/// A running search. It works while [`Search::next`] is awaited, and holds only a few frames. It
/// ends when it is dropped: work that it began on other threads ends after the entry being
/// compared.
pub struct Search {
    log: Arc<dyn SegmentLog>,
    index: Arc<Index>,
    filter: Arc<EntryFilter>,
    memory: Budget,
    stage: Stage,
    context: Context,
    /// The frame that was searched and not returned yet.
    pending: Option<Examined>,
    /// The first segment that this search has not taken in.
    next_sequence: u64,
    /// What was read apart from the frames of the present stage.
    searched: Searched,
}

enum Stage {
    /// Looks for the newest matches, from the end backwards.
    Newest {
        frames: Frames,
        /// How many matches are still wanted.
        left: usize,
        spots: Spots,
    },
    /// Returns the newest matches.
    Spots(VecDeque<Spot>),
    /// Looks for matches in the order of the log.
    Forward(Frames),
}

/// Frames with the newest matches, oldest first.
#[derive(Default)]
struct Spots {
    frames: VecDeque<Spot>,
    held_bytes: usize,
}

/// A frame with matches that are still to be returned.
enum Spot {
    Held(Examined),
    Place { sequence: Sequence, ordinal: u32, hits: Vec<u32> },
}

impl Search {
    /// Begins a search in what the index holds now. All searches share `memory`, from which they
    /// take what they read ahead and hold. Each search may always have one frame beside that.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] for more than [`MOST_LIMIT`] matches or more than
    /// [`MOST_CONTEXT`] entries of context.
    pub fn new(
        log: Arc<dyn SegmentLog>,
        index: Arc<Index>,
        filter: EntryFilter,
        options: SearchOptions,
        memory: Budget,
    ) -> Result<Self, QueryError> {
        let SearchOptions { limit, before_context } = options;
        if limit > MOST_LIMIT {
            let text = format!("limit is at most {MOST_LIMIT}; 0 streams everything");
            return Err(QueryError::Invalid(text));
        }
        if before_context > MOST_CONTEXT {
            let text = format!("at most {MOST_CONTEXT} entries before a match can be asked for");
            return Err(QueryError::Invalid(text));
        }
        let sequences = sequences(&index, &filter)?;
        let filter = Arc::new(filter);
        let next_sequence = sequences.end().saturating_add(1);
        let context =
            Context::new(Arc::clone(&log), Arc::clone(&index), filter.from, before_context);
        let frames = |direction| {
            let (log, index) = (Arc::clone(&log), Arc::clone(&index));
            let (filter, sequences) = (Arc::clone(&filter), sequences.clone());
            Frames::new(log, index, filter, sequences, direction, memory.clone())
        };
        let stage = match limit {
            0 => Stage::Forward(frames(Direction::Forward)),
            left => {
                let frames = frames(Direction::Backward);
                Stage::Newest { frames, left, spots: Spots::default() }
            }
        };
        let searched = Searched::default();
        let pending = None;
        Ok(Self { stage, context, pending, next_sequence, searched, log, index, filter, memory })
    }

    /// Returns the next matches, with the entries that come before them. None when there are no
    /// more matches. The future may be dropped while it waits, and the method called again: nothing
    /// is lost, and nothing comes twice. After an error the search is over.
    ///
    /// # Errors
    /// Returns an error when the log or the index cannot be read, and [`QueryError::TooLarge`] when
    /// the entries before a match are too many bytes.
    pub async fn next(&mut self) -> Result<Option<Vec<Found>>, QueryError> {
        loop {
            if self.pending.is_none() {
                self.pending = self.next_frame().await?;
            }
            let Some(examined) = &self.pending else { return Ok(None) };
            let found = self.context.of(examined, &mut self.searched).await?;
            let examined = self.pending.take().expect("seen above");
            self.context.gave(examined);
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
    }

    /// Like [`Search::next`], but waits for new segments when there are no more matches. `news`
    /// changes when there may be a new segment. Without news, the search looks twice a second.
    ///
    /// # Errors
    /// Returns the errors of [`Search::next`], and [`QueryError::Unavailable`] once nothing can
    /// send news any more.
    pub async fn follow<T>(
        &mut self,
        news: &mut watch::Receiver<T>,
    ) -> Result<Vec<Found>, QueryError> {
        loop {
            if let Some(found) = self.next().await? {
                return Ok(found);
            }
            if self.take_in_new()? {
                continue;
            }
            if let Ok(Err(_)) = tokio::time::timeout(IDLE, news.changed()).await {
                return Err(QueryError::unavailable("the process is stopping"));
            }
        }
    }

    /// Returns what the search had to read so far.
    pub fn searched(&self) -> Searched {
        match &self.stage {
            Stage::Newest { frames, .. } | Stage::Forward(frames) => {
                self.searched.and(frames.searched)
            }
            Stage::Spots(_) => self.searched,
        }
    }

    /// Returns the next frame with matches, in the order of the log. Without a limit, frames
    /// without matches come too.
    async fn next_frame(&mut self) -> Result<Option<Examined>, QueryError> {
        loop {
            match &mut self.stage {
                Stage::Forward(frames) => return frames.next().await,
                Stage::Newest { frames, left, spots } => {
                    if *left > 0
                        && let Some(examined) = frames.next().await?
                    {
                        *left -= spots.add(examined, *left);
                        continue;
                    }
                    self.searched = self.searched.and(frames.searched);
                    self.stage = Stage::Spots(std::mem::take(&mut spots.frames));
                }
                Stage::Spots(spots) => {
                    let Some(spot) = spots.front() else { return Ok(None) };
                    if let Spot::Place { sequence, ordinal, .. } = spot {
                        let run = (*sequence, 1);
                        let info = read_infos(Arc::clone(&self.log), run).await?.pop();
                        let info = info.expect("as many as asked for");
                        let open =
                            OpenFrame::read(Arc::clone(&self.log), info, *ordinal, None).await?;
                        self.searched.segments += 1;
                        self.searched.frames += 1;
                        let Some(Spot::Place { hits, .. }) = spots.pop_front() else { continue };
                        return Ok(Some(Examined { open, hits }));
                    }
                    let Some(Spot::Held(examined)) = spots.pop_front() else { continue };
                    return Ok(Some(examined));
                }
            }
        }
    }

    /// Continues with the segments that came since. Returns whether there are any.
    fn take_in_new(&mut self) -> Result<bool, QueryError> {
        let newest = self.index.view().newest().map_err(QueryError::corrupt)?;
        let Some(newest) = newest.filter(|newest| newest.sequence >= self.next_sequence) else {
            return Ok(false);
        };
        self.searched = self.searched();
        let (log, index) = (Arc::clone(&self.log), Arc::clone(&self.index));
        let sequences = self.next_sequence..=newest.sequence;
        let filter = Arc::clone(&self.filter);
        let memory = self.memory.clone();
        let frames = Frames::new(log, index, filter, sequences, Direction::Forward, memory);
        self.stage = Stage::Forward(frames);
        self.next_sequence = newest.sequence + 1;
        Ok(true)
    }
}

impl Searched {
    fn and(self, other: Self) -> Self {
        Self {
            segments: self.segments + other.segments,
            frames: self.frames + other.frames,
            entries: self.entries + other.entries,
        }
    }
}

/// Returns the segments within the wanted time. When there are none, returns an empty range that
/// ends with the last segment, because later segments may be within that time.
#[allow(clippy::reversed_empty_ranges)]
fn sequences(index: &Index, filter: &EntryFilter) -> Result<RangeInclusive<u64>, QueryError> {
    let view = index.view();
    let covering = view.sequences_covering(filter.from, filter.to).map_err(QueryError::corrupt)?;
    if let Some((first, last)) = covering {
        return Ok(first..=last);
    }
    let newest = view.newest().map_err(QueryError::corrupt)?;
    let end = newest.map_or(0, |newest| newest.sequence);
    Ok(end + 1..=end)
}

impl Spots {
    /// Keeps the newest matches of a frame, at most `left`, and returns how many it kept. The frame
    /// comes before all frames added so far.
    fn add(&mut self, mut examined: Examined, left: usize) -> usize {
        let surplus = examined.hits.len().saturating_sub(left);
        examined.hits.drain(..surplus);
        let added = examined.hits.len();
        if added == 0 {
            return 0;
        }
        // Beside its entries, a frame holds their places and its segment's seal.
        let bytes = 2 * examined.open.raw_bytes() + 1024;
        let is_held = examined.open.has_share() && self.held_bytes + bytes <= HELD_BYTES;
        let spot = if is_held {
            self.held_bytes += bytes;
            Spot::Held(examined)
        } else {
            let place = examined.open.place();
            Spot::Place { sequence: place.sequence, ordinal: place.ordinal, hits: examined.hits }
        };
        self.frames.push_front(spot);
        added
    }
}
