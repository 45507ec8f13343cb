//! Runs one seed: trouble, then peace, then the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hindsight_index::Index;
use hindsight_log::{Instance, SegmentLog};
use hindsight_oplog::OpTime;
use hindsight_segment::Sequence;
use hindsight_tailer::CaptureError;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::entries;
use crate::faults::{Fault, Wrong};
use crate::judge::{self, Recorded, Violation, Violations, ensure};
use crate::log::{Appended, Store};
use crate::plan::Plan;
use crate::process::{Installation, start};
use crate::set::Set;

/// The time between two steps of the set.
const STEP_MS: std::ops::Range<u64> = 40..160;
/// How long capture may take to reach the end of the history once nothing goes wrong any more.
const PEACE: Duration = Duration::from_secs(150);
/// How long a tailer may take to find that the source's history is another one.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// How many tailers run at most: each needs an index, and one more is made to compare with.
const INDEXES: usize = 4;
/// How many seeds use the same files of an index.
const SEEDS_PER_INDEX: u32 = 10;

/// How often each thing happened.
pub type Counts = BTreeMap<&'static str, u64>;

/// What one seed came to.
#[derive(Debug)]
pub struct Outcome {
    /// The log, segment by segment.
    pub recorded: Vec<Recorded>,
    /// What happened, and how often.
    pub counts: Counts,
}

/// Runs seeds one after another, on indexes that it empties in between.
pub struct Simulator {
    directory: TempDir,
    indexes: Vec<Arc<Index>>,
    used: u32,
}

impl Simulator {
    /// Makes a simulator with a directory of its own.
    ///
    /// # Errors
    /// Returns an error when no index can be made.
    pub fn new() -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory for indexes")?;
        let mut simulator = Self { directory, indexes: Vec::new(), used: 0 };
        simulator.renew()?;
        Ok(simulator)
    }

    /// Makes new indexes: what was deleted from an index slows it down for a while.
    fn renew(&mut self) -> Result<()> {
        self.indexes.clear();
        for number in 0..INDEXES {
            let path = self.directory.path().join(number.to_string());
            if path.exists() {
                std::fs::remove_dir_all(&path)?;
            }
            self.indexes.push(Arc::new(Index::open(path)?));
        }
        self.used = 0;
        Ok(())
    }

    /// Runs one seed.
    ///
    /// # Errors
    /// Returns an error when the machine fails. A promise that was not kept is a [`Violation`].
    pub fn run(&mut self, seed: u64) -> Result<Result<Outcome, Violation>> {
        self.used += 1;
        if self.used > SEEDS_PER_INDEX {
            self.renew()?;
        }
        for index in &self.indexes {
            index.reset()?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let world = async { World::new(seed, &self.indexes).live().await };
        Ok(runtime.block_on(world).map_err(|text| Violation(format!("seed {seed}: {text}"))))
    }
}

struct World {
    plan: Plan,
    random: SmallRng,
    set: Arc<Set>,
    store: Arc<Store>,
    installations: Vec<Installation>,
    /// An index that no tailer uses.
    spare: Arc<Index>,
    violations: Violations,
    /// When each tailer that does not run starts again.
    restarts: BTreeMap<usize, Instant>,
    counts: Counts,
}

impl World {
    fn new(seed: u64, indexes: &[Arc<Index>]) -> Self {
        let plan = Plan::of(seed);
        let installation = |number: usize| Installation {
            instance: Instance(number as u64 + 1),
            index: Arc::clone(&indexes[number]),
            running: None,
        };
        Self {
            random: SmallRng::seed_from_u64(seed ^ 0x5eed),
            set: Set::new(seed ^ 0x5e7, plan.members, plan.capacity),
            store: Store::new(seed ^ 0x106, plan.is_shared),
            installations: (0..plan.tailers).map(installation).collect(),
            spare: Arc::clone(&indexes[INDEXES - 1]),
            violations: Violations::default(),
            restarts: BTreeMap::new(),
            counts: Counts::new(),
            plan,
        }
    }

    async fn live(mut self) -> Result<Outcome, String> {
        self.found().await?;
        self.trouble().await?;
        self.peace().await?;
        if self.plan.ends_cloned {
            self.another_past().await?;
        } else {
            self.stop().await?;
        }
        let recorded = judge::check_log(&self.set, &self.store).await?;
        for installation in &self.installations {
            self.spare.reset().map_err(|error| error.to_string())?;
            judge::check_index(&self.store, &installation.index, &self.spare).await?;
        }
        self.healthy()?;
        self.tally(&recorded);
        Ok(Outcome { recorded, counts: self.counts })
    }

    /// Lets the set elect a primary and write, until there is a place to begin.
    async fn found(&mut self) -> Result<(), String> {
        for _ in 0..1000 {
            if self.set.state().committed.len() >= 3 {
                break;
            }
            self.pass(1).await;
        }
        ensure(!self.set.state().committed.is_empty(), || "the set never came to be")?;
        for number in 0..self.installations.len() {
            self.start(number);
        }
        Ok(())
    }

    async fn pass(&mut self, writes: u32) {
        let pause = Duration::from_millis(self.random.random_range(STEP_MS));
        tokio::time::sleep(pause).await;
        self.set.step(writes);
    }

    fn start(&mut self, number: usize) {
        let (set, store) = (&self.set, &self.store);
        let installation = &self.installations[number];
        let process = start(&self.plan, set, store, installation, &self.violations);
        self.installations[number].running = Some(process);
        self.restarts.remove(&number);
    }

    async fn trouble(&mut self) -> Result<(), String> {
        let until = Instant::now() + self.plan.duration;
        let mut wrong = Wrong::default();
        while Instant::now() < until {
            self.pass(self.plan.writes).await;
            wrong.mend(&self.set, Some(Instant::now()));
            if self.random.random_bool(self.plan.trouble) {
                let fault = Fault::any(&mut self.random);
                self.count(fault.name(), 1);
                wrong.happen(fault, &self.set, &self.store, &mut self.random);
                match fault {
                    Fault::LogTrimmed => self.trim().await?,
                    Fault::TailerKilled | Fault::TailerStopped => self.end_tailer(fault).await?,
                    _ => {}
                }
            }
            self.supervise().await?;
        }
        wrong.mend(&self.set, None);
        self.store.calm_down();
        Ok(())
    }

    /// Removes some of the oldest segments, as retention may: those that no index lacks, and that
    /// hold no open transaction.
    async fn trim(&mut self) -> Result<(), String> {
        let Some(end) = self.store.end() else { return Ok(()) };
        let mut most = end.sequence().0;
        for installation in &self.installations {
            let known = installation.index.resume_point().map_err(|error| error.to_string())?;
            most = most.min(known.map_or(0, |known| known.sequence));
        }
        if let Some(open) = end.seal.oldest_unresolved {
            let holds = |it: &&Appended| it.info.last() >= open;
            let first = self
                .store
                .look(|appended| appended.iter().find(holds).map_or(0, |it| it.info.sequence().0));
            most = most.min(first);
        }
        let sequence = Sequence(self.random.random_range(0..=most));
        let removed = self.store.memory().remove_before(sequence).await;
        removed.map_err(|error| error.to_string())
    }

    async fn end_tailer(&mut self, fault: Fault) -> Result<(), String> {
        let number = self.random.random_range(0..self.installations.len());
        let pause = Duration::from_millis(self.random.random_range(0..8000));
        let Some(process) = self.installations[number].running.take() else { return Ok(()) };
        self.restarts.insert(number, Instant::now() + pause);
        if fault == Fault::TailerKilled {
            process.kill().await;
            return Ok(());
        }
        // The set lives on while the tailer stops.
        let stopping = process.stop();
        tokio::pin!(stopping);
        loop {
            let pause = Duration::from_millis(self.random.random_range(STEP_MS));
            match tokio::time::timeout(pause, &mut stopping).await {
                Ok(ended) => return forgive(ended),
                Err(_) => self.set.step(self.plan.writes),
            }
        }
    }

    /// Starts tailers that are due, and looks after those that ended by themselves.
    async fn supervise(&mut self) -> Result<(), String> {
        let now = Instant::now();
        for number in 0..self.installations.len() {
            let has_ended = |it: &crate::process::Process| it.task.is_finished();
            if self.installations[number].running.as_ref().is_some_and(has_ended)
                && let Some(ended) = self.installations[number].running.take()
            {
                forgive(ended.stop().await)?;
                self.count("tailers that ended by themselves", 1);
                self.restarts.insert(number, now + Duration::from_secs(1));
            }
            if self.restarts.get(&number).is_some_and(|at| *at <= now) {
                self.start(number);
            }
        }
        self.healthy()
    }

    fn healthy(&self) -> Result<(), String> {
        self.violations.first().map_or(Ok(()), |violation| Err(violation.0))
    }

    /// Waits until the log holds what a majority holds.
    async fn peace(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let mut rolled_over = false;
        loop {
            self.pass(1).await;
            self.supervise().await?;
            let last = self.set.state().committed.last().map(|entry| entry.optime);
            // The set writes on: what was committed a while ago must be there.
            let behind = self.set.state().committed.iter().rev().nth(12).map(|it| it.optime);
            let end = self.store.end().map(|info| info.last());
            if end.is_some() && end >= behind.or(last) {
                return Ok(());
            }
            let waited = begun.elapsed();
            if waited > PEACE / 2 && !rolled_over {
                // Only a member that may not be read holds what follows. It forgets at last.
                self.set.state().roll_over(2);
                rolled_over = true;
            }
            ensure(waited < PEACE, || {
                let shown =
                    |at: Option<OpTime>| at.map_or("nothing".to_owned(), |at| at.to_string());
                let state = self.set.state();
                let members: Vec<String> = state.members.iter().map(|it| it.summary()).collect();
                let (end, last, members) = (shown(end), shown(last), members.join("; "));
                format!("the log ends at {end}, the history at {last}: {members}")
            })?;
        }
    }

    /// Replaces the set by a clone whose newest entry has other bytes, as after a restore of an
    /// older backup: no tailer may go on.
    async fn another_past(&mut self) -> Result<(), String> {
        let Some(end) = self.store.end() else { return self.stop().await };
        self.kill_all().await;
        // What was sent arrives.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let end = self.store.end().unwrap_or(end);
        let before = self.store.length();
        {
            let mut state = self.set.state();
            let at = state.position_of(end.last()).ok_or("the log ends with a lost entry")?;
            let cloned = Arc::new(entries::cloned(&state.committed[at]));
            for member in &mut state.members {
                member.log.replace(at, Arc::clone(&cloned));
            }
            if state.members.iter().any(|member| member.log.get(at).is_none()) {
                // A member that does not hold the entry could not tell.
                return Ok(());
            }
        }
        self.count("sets that were replaced by a clone", 1);
        for number in 0..self.installations.len() {
            self.start(number);
        }
        let begun = Instant::now();
        while begun.elapsed() < FOUND_WITHIN {
            self.pass(1).await;
            let ended =
                |it: &Installation| it.running.as_ref().is_some_and(|it| it.task.is_finished());
            if self.installations.iter().all(ended) {
                break;
            }
        }
        for installation in &mut self.installations {
            let Some(process) = installation.running.take() else { continue };
            let ended = process.stop().await;
            ensure(matches!(ended, Err(CaptureError::Diverged { .. })), || {
                format!("a clone with another past was captured: {ended:?}")
            })?;
        }
        ensure(self.store.length() == before, || "entries of another past were appended")
    }

    async fn kill_all(&mut self) {
        for installation in &mut self.installations {
            if let Some(process) = installation.running.take() {
                process.kill().await;
            }
        }
    }

    async fn stop(&mut self) -> Result<(), String> {
        for installation in &mut self.installations {
            if let Some(process) = installation.running.take() {
                forgive(process.stop().await)?;
            }
        }
        // What was sent arrives.
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    fn tally(&mut self, recorded: &[Recorded]) {
        let (elections, rollbacks, resyncs, entries) = {
            let state = self.set.state();
            (state.elections, state.rollbacks, state.resyncs, state.committed.len() as u64)
        };
        self.count("elections", elections);
        self.count("rollbacks", rollbacks);
        self.count("resyncs", resyncs);
        self.count("entries that a majority held", entries);
        self.count("segments", recorded.len() as u64);
        self.count("gaps", recorded.iter().filter(|it| it.is_after_gap()).count() as u64);
        self.count("failures of single calls to the log", self.store.faults());
        self.count("takeovers of the log", self.store.epoch().0);
    }
}

/// A tailer may end because something is out of reach. Nothing else may end it.
fn forgive(ended: Result<(), CaptureError>) -> Result<(), String> {
    match ended {
        Err(error) if !error.is_retryable() => Err(format!("a tailer ended: {error}")),
        _ => Ok(()),
    }
}
