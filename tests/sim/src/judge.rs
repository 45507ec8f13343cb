//! The invariants, checked while a simulation runs and at its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_oplog::{Entry, OpTime, Timestamp};
use hindsight_segment::{SegmentInfo, Sequence};
use hindsight_tailer::{PositionBoard, Positions, absorb_new};

use crate::log::{Appended, Store};
use crate::set::{Set, State};

/// How long it can take from the decision that entries are lost until the segment that says so is
/// durable: the log may be out of reach meanwhile.
const DECIDED_WITHIN: Duration = Duration::from_secs(25);

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

/// The violations found so far, for all who look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Violations(Arc<Mutex<Vec<String>>>);

impl Violations {
    pub(crate) fn add(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(crate) fn first(&self) -> Option<Violation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first().cloned().map(Violation)
    }
}

/// A segment without what differs between two runs of one seed: the wall clock in a gap's notice,
/// and the digests over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    sequence: u64,
    epoch: u64,
    reason: String,
    gap: Option<(OpTime, OpTime)>,
    majority: OpTime,
    entries: [u8; 32],
}

impl Recorded {
    pub(crate) fn is_after_gap(&self) -> bool {
        self.gap.is_some()
    }
}

/// Checks each position that a process publishes (I4, I7).
pub(crate) fn watch_positions(
    board: PositionBoard,
    set: &Arc<Set>,
    store: &Arc<Store>,
    violations: &Violations,
) -> impl Future<Output = ()> + Send + 'static {
    let (set, store, violations) = (Arc::clone(set), Arc::clone(store), violations.clone());
    async move {
        let mut news = board.watch();
        while news.changed().await.is_ok() {
            let now = *news.borrow_and_update();
            if let Err(text) = check_positions(&now, &set.state(), &store) {
                violations.add(format!("{text}: {now:?}"));
            }
        }
    }
}

fn check_positions(now: &Positions, set: &State, store: &Store) -> Result<(), String> {
    let committed = set.committed.last().map_or(OpTime::NONE, |entry| entry.optime);
    ensure(now.received.is_none_or(|at| at <= committed), || "received what no majority holds")?;
    ensure(now.majority.is_none_or(|at| at <= committed), || "a majority point of no majority")?;
    let (Some(durable), Some(sequence)) = (now.durable, now.sequence) else { return Ok(()) };
    let run = store.look(|appended| {
        let segment = (sequence as usize).checked_sub(1).and_then(|at| appended.get(at));
        let segment = segment.ok_or("durable before the log holds it")?;
        ensure(segment.info.last() == durable, || "durable is not the end of the segment")?;
        Ok::<_, String>(run_of(appended, sequence as usize - 1))
    })?;
    let restorable = now.restorable_through.ok_or("durable, and nothing is restorable")?;
    let oldest = oldest_prepared(set, durable, run);
    let most = oldest.map_or(durable.ts, Timestamp::predecessor);
    ensure(restorable <= most, || "restorable past a prepared transaction")
}

/// Returns the first entry of the run that a segment belongs to: a gap begins a run.
fn run_of(appended: &[Appended], last: usize) -> OpTime {
    let begins = |it: &&Appended| it.info.header.gap.is_some();
    let first = appended[..=last].iter().rev().find(begins).or(appended.first());
    first.map_or(OpTime::NONE, |it| it.info.first())
}

/// Returns the oldest prepare of the run that is open after an entry.
fn oldest_prepared(set: &State, last: OpTime, run: OpTime) -> Option<Timestamp> {
    let entry = &set.committed[set.position_of(last)?];
    entry.open.values().filter_map(|it| it.prepared).filter(|at| *at >= run.ts).min()
}

/// Checks the whole log: it is the history that a majority holds, except for gaps that are fair.
pub(crate) async fn check_log(set: &Set, store: &Store) -> Result<Vec<Recorded>, String> {
    let memory = store.memory();
    let infos = memory.infos(Sequence::FIRST, usize::MAX).await;
    let infos = infos.map_err(|error| format!("the chain is broken: {error}"))?;
    let appended = store.look(<[Appended]>::to_vec);
    let begins = infos.first().map_or(appended.len(), |info| info.sequence().index());
    ensure(begins + infos.len() == appended.len(), || "segments came or went")?;
    let mut recorded = Vec::new();
    let mut next = None;
    let mut epochs = BTreeMap::new();
    for (info, this) in infos.iter().zip(&appended[begins..]) {
        let segment = memory.read(info.sequence()).await.map_err(|error| error.to_string())?;
        let mut hasher = blake3::Hasher::new();
        let state = set.state();
        if let Some(gap) = &info.header.gap {
            check_gap(&state, next, gap.after, gap.before, this)?;
            next = state.position_of(gap.before);
        }
        for frame in segment.frames() {
            let frame = frame.decode().map_err(|error| error.to_string())?;
            for bytes in frame.entries() {
                next = Some(check_entry(&state, next, bytes, info)?);
                hasher.update(bytes);
            }
        }
        check_seal(&state, info, run_of(&appended, info.sequence().index()))?;
        let newest = epochs.insert(info.header.epoch, info.sequence());
        ensure(newest.is_none_or(|at| at.next() == info.sequence()), || "an epoch came back")?;
        recorded.push(Recorded {
            sequence: info.sequence().0,
            epoch: info.header.epoch.0,
            reason: info.seal.reason.to_string(),
            gap: info.header.gap.as_ref().map(|gap| (gap.after, gap.before)),
            majority: info.seal.majority,
            entries: *hasher.finalize().as_bytes(),
        });
    }
    Ok(recorded)
}

/// Returns the position after an entry, which must be the next one that a majority holds.
fn check_entry(
    set: &State,
    next: Option<usize>,
    bytes: &[u8],
    info: &SegmentInfo,
) -> Result<usize, String> {
    let entry = Entry::parse(bytes).map_err(|error| error.to_string())?;
    let at = set.position_of(entry.optime);
    let at = at.ok_or_else(|| {
        format!("segment {} holds {}, which no majority holds", info.sequence(), entry.optime)
    })?;
    ensure(next.is_none_or(|next| next == at), || {
        let wanted = next.and_then(|next| set.committed.get(next));
        let wanted = wanted.map_or("nothing".to_owned(), |entry| entry.optime.to_string());
        format!("segment {} goes on with {}, not with {wanted}", info.sequence(), entry.optime)
    })?;
    ensure(set.committed[at].bytes == bytes, || format!("other bytes at {}", entry.optime))?;
    Ok(at + 1)
}

/// A gap is fair when no member offered the entries all the while that it was decided.
fn check_gap(
    set: &State,
    next: Option<usize>,
    after: OpTime,
    before: OpTime,
    appended: &Appended,
) -> Result<(), String> {
    let (from, to) = (set.position_of(after), set.position_of(before));
    let (Some(from), Some(to)) = (from, to) else {
        return Err(format!("a gap between {after} and {before}, which no majority holds"));
    };
    ensure(next.is_none_or(|next| next == from + 1) && from < to, || {
        format!("a gap after {after} is not where the log ends")
    })?;
    let since = appended.at.checked_sub(DECIDED_WITHIN).unwrap_or(appended.at);
    let offers = |member: &&crate::member::Member| member.offered(from, since, appended.at);
    match set.members.iter().find(offers) {
        Some(member) => Err(format!("a gap after {after}, and {} holds what follows", member.host)),
        None => Ok(()),
    }
}

/// Compares what a seal says of open transactions with what the model knows.
fn check_seal(set: &State, info: &SegmentInfo, run: OpTime) -> Result<(), String> {
    let last = info.last();
    let at = set.position_of(last).ok_or("a segment ends with what no majority holds")?;
    let open = &set.committed[at].open;
    let prepared = oldest_prepared(set, last, run);
    let sequence = info.sequence();
    ensure(info.seal.majority >= last, || format!("segment {sequence} ends after its majority"))?;
    ensure(set.position_of(info.seal.majority).is_some(), || "a majority point of nobody")?;
    let begun_before = open.values().any(|it| it.first < run);
    ensure(begun_before || info.seal.oldest_prepared == prepared, || {
        let said = info.seal.oldest_prepared;
        format!("segment {sequence} says that {said:?} is prepared, and {prepared:?} is")
    })?;
    let unresolved = open.values().map(|it| it.first).min();
    ensure(begun_before || info.seal.oldest_unresolved == unresolved, || {
        let said = info.seal.oldest_unresolved;
        format!("segment {sequence} says that {said:?} is open, and {unresolved:?} is")
    })
}

/// Checks that an index is the one that the log makes from nothing (I5). An index keeps what it
/// knows of segments that were removed since.
pub(crate) async fn check_index(store: &Store, index: &Index, anew: &Index) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    for index in [index, anew] {
        absorb_new(store.memory(), index, &PositionBoard::default())
            .await
            .map_err(|error| text(&error))?;
    }
    let digests = [index, anew].map(Index::digest);
    let [held, anew] = digests;
    let (held, anew) = (held.map_err(|error| text(&error))?, anew.map_err(|error| text(&error))?);
    let begins = store.memory().begin().await.map_err(|error| text(&error))?;
    let is_trimmed = begins.is_some_and(|begins| begins.sequence > Sequence::FIRST);
    ensure(is_trimmed || held == anew, || "the index is not the one that the log makes")
}

pub(crate) fn ensure<T: Into<String>>(holds: bool, text: impl FnOnce() -> T) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text().into()) }
}
