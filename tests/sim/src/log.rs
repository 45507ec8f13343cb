//! The log of a simulation: a log in memory that several tailers have open, whose answers are late,
//! lost or missing. What a writer sent arrives even if the writer dies meanwhile.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hindsight_log::{
    BaseNotice, Beginning, Ignored, Instance, Leader, LogError, MemoryLog, Risks, SegmentLog,
    SharedLog,
};
use hindsight_segment::{Frame, SealedSegment, SegmentInfo, SegmentView, Sequence, WriterEpoch};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

const PLACE: &str = "simulated log";
/// How long a client of the log tries before it reports that the log is out of reach.
const CLIENT_PATIENCE_MS: u64 = 1500;

/// What the store holds, for all handles.
#[derive(Debug)]
pub(crate) struct Store {
    memory: MemoryLog,
    state: Mutex<State>,
    /// Whether processes other than the writer may have it open.
    is_shared: bool,
}

#[derive(Debug)]
struct State {
    random: SmallRng,
    leader: Leader,
    /// The store is out of reach until then.
    out_until: Option<Instant>,
    appended: Vec<Appended>,
    is_calm: bool,
    faults: u64,
}

/// A segment, and when it became part of the log.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) info: Arc<SegmentInfo>,
    pub(crate) at: Instant,
}

impl Store {
    pub(crate) fn new(seed: u64, is_shared: bool) -> Arc<Self> {
        let leader = Leader {
            epoch: WriterEpoch(0),
            instance: Instance::UNKNOWN,
            name: "nobody".to_owned(),
            has_resigned: false,
            signs: 0,
        };
        let state = State {
            random: SmallRng::seed_from_u64(seed),
            leader,
            out_until: None,
            appended: Vec::new(),
            is_calm: false,
            faults: 0,
        };
        Arc::new(Self { memory: MemoryLog::new(), state: Mutex::new(state), is_shared })
    }

    /// Returns a handle for the process of an installation.
    pub(crate) fn open(self: &Arc<Self>, instance: Instance) -> SimLog {
        let seen = Mutex::new(Seen { segments: self.length(), epoch: WriterEpoch(0), own: None });
        SimLog { store: Arc::clone(self), instance, seen: Arc::new(seen) }
    }

    pub(crate) fn memory(&self) -> &MemoryLog {
        &self.memory
    }

    /// Shows every segment that was ever appended.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&[Appended]) -> T) -> T {
        see(&self.state().appended)
    }

    /// How many segments were appended.
    pub(crate) fn length(&self) -> usize {
        self.state().appended.len()
    }

    pub(crate) fn end(&self) -> Option<Arc<SegmentInfo>> {
        self.state().appended.last().map(|it| Arc::clone(&it.info))
    }

    pub(crate) fn faults(&self) -> u64 {
        self.state().faults
    }

    pub(crate) fn epoch(&self) -> WriterEpoch {
        self.state().leader.epoch
    }

    pub(crate) fn go_out_for(&self, time: Duration) {
        self.state().out_until = Some(Instant::now() + time);
    }

    /// Lets everything succeed from now on.
    pub(crate) fn calm_down(&self) {
        let mut state = self.state();
        state.is_calm = true;
        state.out_until = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_out(&self) -> bool {
        self.state().out_until.is_some_and(|until| until > Instant::now())
    }

    fn delay(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.state().random.random_range(1..=most_ms))
    }

    fn chance(&self, probability: f64) -> bool {
        let mut state = self.state();
        let happens = !state.is_calm && state.random.random_bool(probability);
        state.faults += u64::from(happens);
        happens
    }

    /// Waits as long as a request takes.
    async fn answer(&self, doing: &'static str) -> Result<(), LogError> {
        if self.is_out() || self.chance(0.003) {
            tokio::time::sleep(self.delay(CLIENT_PATIENCE_MS)).await;
            return Err(unavailable(doing));
        }
        tokio::time::sleep(self.delay(8)).await;
        Ok(())
    }

    /// Makes a segment part of the log, unless the writer was superseded meanwhile.
    async fn take(&self, segment: SealedSegment) -> Result<(), LogError> {
        let (epoch, newest) = (segment.info().header.epoch, self.state().leader.epoch);
        if epoch < newest {
            return Err(LogError::Fenced { place: PLACE.to_owned(), epoch, newest });
        }
        let info = Arc::clone(segment.info());
        self.memory.append(segment).await?;
        let mut state = self.state();
        state.leader.signs += 1;
        if state.appended.last().is_none_or(|last| last.info.sequence() < info.sequence()) {
            state.appended.push(Appended { info, at: Instant::now() });
        }
        Ok(())
    }
}

fn unavailable(doing: &'static str) -> LogError {
    LogError::Unavailable {
        place: PLACE.to_owned(),
        action: doing,
        cause: io::Error::other("out of reach"),
    }
}

/// A handle of the log, as one process has it open.
#[derive(Debug, Clone)]
pub(crate) struct SimLog {
    store: Arc<Store>,
    instance: Instance,
    seen: Arc<Mutex<Seen>>,
}

/// What this handle has taken in.
#[derive(Debug)]
struct Seen {
    segments: usize,
    epoch: WriterEpoch,
    /// The epoch with which this handle leads.
    own: Option<WriterEpoch>,
}

impl SimLog {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self) {
        let (segments, epoch) = {
            let state = self.store.state();
            (state.appended.len(), state.leader.epoch)
        };
        let mut seen = self.seen();
        seen.segments = segments;
        seen.epoch = epoch;
    }

    fn own_epoch(&self) -> Result<WriterEpoch, LogError> {
        let own = self.seen().own;
        let epoch = own.ok_or_else(|| LogError::ReadOnly { place: PLACE.to_owned() })?;
        let newest = self.store.state().leader.epoch;
        match newest > epoch {
            true => Err(LogError::Fenced { place: PLACE.to_owned(), epoch, newest }),
            false => Ok(epoch),
        }
    }
}

#[async_trait]
impl SegmentLog for SimLog {
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError> {
        let store = &self.store;
        let is_out = store.is_out();
        let fails = store.chance(0.04) || (is_out && !store.chance(0.1));
        let loses_answer = is_out || store.chance(0.04);
        if fails {
            tokio::time::sleep(store.delay(CLIENT_PATIENCE_MS)).await;
            return Err(unavailable("append"));
        }
        let most_ms = if store.chance(0.05) { 3000 } else { 20 };
        let delay = store.delay(most_ms);
        if store.is_shared {
            // What was sent is on its way, whether the sender lives or not.
            let there = Arc::clone(store);
            let sent = tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                there.take(segment).await
            });
            if loses_answer {
                tokio::time::sleep(store.delay(CLIENT_PATIENCE_MS)).await;
                return Err(unavailable("append"));
            }
            sent.await.expect("taking a segment does not panic")?;
        } else {
            tokio::time::sleep(delay).await;
            store.take(segment).await?;
            if loses_answer {
                return Err(unavailable("append"));
            }
        }
        self.take_in();
        tokio::time::sleep(store.delay(5)).await;
        Ok(())
    }

    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.store.answer("read").await?;
        self.store.memory.read(sequence).await
    }

    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError> {
        self.store.answer("read").await?;
        self.store.memory.read_frame(info, ordinal).await
    }

    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        self.store.answer("read").await?;
        let mut infos = self.store.memory.infos(from, limit).await?;
        let seen = self.seen().segments as u64;
        infos.retain(|info| info.sequence().0 <= seen);
        Ok(infos)
    }

    async fn begin(&self) -> Result<Option<Beginning>, LogError> {
        self.store.answer("read").await?;
        self.store.memory.begin().await
    }

    async fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.store.answer("remove segments").await?;
        self.store.memory.remove_before(sequence).await
    }

    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.store.answer("read").await?;
        let seen = self.seen().segments;
        let state = self.store.state();
        Ok(seen.checked_sub(1).map(|last| Arc::clone(&state.appended[last].info)))
    }
}

#[async_trait]
impl SharedLog for SimLog {
    async fn observe(&self) -> Result<Leader, LogError> {
        self.store.answer("follow").await?;
        self.take_in();
        Ok(self.store.state().leader.clone())
    }

    async fn lead(&self) -> Result<WriterEpoch, LogError> {
        self.store.answer("take over").await?;
        let (seen, newest) = (self.seen().epoch, self.store.state().leader.epoch);
        if newest > seen {
            return Err(LogError::Fenced { place: PLACE.to_owned(), epoch: seen, newest });
        }
        let epoch = WriterEpoch(newest.0 + 1);
        {
            let mut state = self.store.state();
            let signs = state.leader.signs + 1;
            let name = self.instance.to_string();
            state.leader =
                Leader { epoch, instance: self.instance, name, has_resigned: false, signs };
        }
        self.take_in();
        self.seen().own = Some(epoch);
        tokio::time::sleep(self.store.delay(5)).await;
        Ok(epoch)
    }

    async fn beat(&self) -> Result<bool, LogError> {
        self.store.answer("write a sign of life").await?;
        self.own_epoch()?;
        self.store.state().leader.signs += 1;
        Ok(true)
    }

    async fn resign(&self) -> Result<(), LogError> {
        self.store.answer("resign").await?;
        self.own_epoch()?;
        self.store.state().leader.has_resigned = true;
        Ok(())
    }

    async fn announce(&self, _: BaseNotice) -> Result<(), LogError> {
        self.own_epoch().map(drop)
    }

    async fn announced(&self) -> Result<Vec<BaseNotice>, LogError> {
        Ok(Vec::new())
    }

    fn ignored(&self) -> Ignored {
        Ignored::default()
    }

    async fn risks(&self) -> Risks {
        Risks::default()
    }
}
