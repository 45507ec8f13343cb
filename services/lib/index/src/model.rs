//! Random oplogs with lost parts, compared with a restore that is judged entry by entry.

use std::collections::BTreeSet;

use hindsight_oplog::{OpTime, Timestamp};
use proptest::prelude::*;

use crate::plan::{self, NotRestorable};
use crate::run::{self, Run};
use crate::sample::{digest, segment};
use crate::{BaseSummary, GapNotice, Index, PlanError, SegmentSummary};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Plain,
    Prepare,
    /// Commits or aborts what was prepared at this tick.
    Answer(u32),
}

#[derive(Debug, Clone, Copy)]
struct SourceEntry {
    tick: u32,
    does: Does,
    /// The number of the segment that holds the entry, and the number of its run; `None` if the
    /// entry was lost.
    place: Option<(u64, usize)>,
}

#[derive(Debug, Clone)]
struct World {
    source: Vec<SourceEntry>,
    segments: Vec<SegmentSummary>,
    bases: Vec<BaseSummary>,
}

/// Ticks are increments within one second, so that every timestamp between two entries is tried.
fn at(tick: u32) -> Timestamp {
    Timestamp::new(1, tick)
}

fn optime(tick: u32) -> OpTime {
    OpTime { ts: at(tick), term: 1 }
}

/// What is drawn for one entry: its distance from the entry before, what it does, whether it is
/// lost, and whether the segment is cut after it.
type Draw = (u32, u8, bool, bool);

fn any_world() -> impl Strategy<Value = World> {
    let lost = prop::bool::weighted(0.08);
    let cut = prop::bool::weighted(0.3);
    let entries = prop::collection::vec((1u32..4, 0u8..10, lost, cut), 1..40);
    let bases = prop::collection::vec((any::<prop::sample::Index>(), 0u32..12), 0..4);
    (entries, bases).prop_map(|(draws, bases)| {
        let source = source(&draws);
        let segments = segments(&source);
        let base = |(n, (start, lag)): (usize, (prop::sample::Index, u32))| {
            let start = source[start.index(source.len())].tick;
            BaseSummary {
                start: at(start),
                capture_from: optime(start),
                exact_from: optime(start + lag),
                ..crate::sample::base(&format!("base{n}"), 0, 0)
            }
        };
        let bases = bases.into_iter().enumerate().map(base).collect();
        World { source, segments, bases }
    })
}

fn source(draws: &[Draw]) -> Vec<SourceEntry> {
    let (mut tick, mut sequence, mut run) = (0, 1, 0);
    let mut open: Vec<u32> = Vec::new();
    let mut source: Vec<SourceEntry> = Vec::new();
    let mut cut_before = false;
    for &(step, kind, lost, cut) in draws {
        tick += step;
        let does = match kind {
            0 => Does::Prepare,
            1 if !open.is_empty() => Does::Answer(open.remove(0)),
            2 | 3 => open.pop().map_or(Does::Plain, Does::Answer),
            _ => Does::Plain,
        };
        if does == Does::Prepare {
            open.push(tick);
        }
        let held_before = source.iter().any(|entry| entry.place.is_some());
        let gap = source.last().is_some_and(|entry| entry.place.is_none());
        if !lost && held_before && (gap || cut_before) {
            sequence += 1;
            run += usize::from(gap);
        }
        let place = (!lost).then_some((sequence, run));
        cut_before = cut;
        source.push(SourceEntry { tick, does, place });
    }
    source
}

fn segments(source: &[SourceEntry]) -> Vec<SegmentSummary> {
    let held = source.iter().filter_map(|entry| Some((entry, entry.place?)));
    let mut segments: Vec<SegmentSummary> = Vec::new();
    let (mut open, mut run_before) = (BTreeSet::new(), 0);
    for (entry, (sequence, run)) in held {
        if run != run_before {
            open.clear();
        }
        match entry.does {
            Does::Plain => false,
            Does::Prepare => open.insert(entry.tick),
            Does::Answer(prepared) => open.remove(&prepared),
        };
        if segments.last().is_none_or(|last| last.sequence != sequence) {
            let gap_before = (run != run_before).then(|| GapNotice {
                after: segments.last().expect("a run before").last,
                before: optime(entry.tick),
                reason: "lost".to_owned(),
                noticed_wall_ms: 0,
            });
            let (first, predecessor) = (optime(entry.tick), digest(sequence - 1));
            let fresh = segment(sequence, 0, 0);
            segments.push(SegmentSummary { first, predecessor, gap_before, entries: 0, ..fresh });
        }
        let last = segments.last_mut().expect("pushed");
        last.last = optime(entry.tick);
        last.entries += 1;
        last.oldest_prepared = open.first().map(|tick| at(*tick));
        run_before = run;
    }
    segments
}

impl World {
    fn end(&self) -> u32 {
        self.source.last().map_or(0, |entry| entry.tick) + 3
    }

    /// Judges from the entries whether T can be restored: from some base on, everything up to T is
    /// held, more of the same run is held at or after T, and every prepare of the run up to T is
    /// committed or aborted in the run.
    fn restorable(&self, tick: u32) -> bool {
        self.bases.iter().any(|base| {
            let needed =
                |entry: &&SourceEntry| base.capture_from.ts <= at(entry.tick) && entry.tick <= tick;
            let mut needed = self.source.iter().filter(needed);
            let Some((_, run)) = needed.next().and_then(|entry| entry.place) else {
                return false;
            };
            base.exact_from.ts <= at(tick)
                && needed.all(|entry| entry.place.is_some())
                && self.in_run(run).any(|entry| entry.tick >= tick)
                && self.prepared_in(run, tick).iter().all(|tick| self.answer(run, *tick).is_some())
        })
    }

    fn in_run(&self, run: usize) -> impl Iterator<Item = &SourceEntry> {
        self.source.iter().filter(move |entry| entry.place.is_some_and(|(_, r)| r == run))
    }

    fn prepared_in(&self, run: usize, through: u32) -> Vec<u32> {
        let prepares = self.in_run(run).filter(|entry| entry.does == Does::Prepare);
        prepares.map(|entry| entry.tick).filter(|tick| *tick <= through).collect()
    }

    /// Returns the segment that holds the commit or abort of a prepare.
    fn answer(&self, run: usize, prepared: u32) -> Option<u64> {
        let found = self.in_run(run).find(|entry| entry.does == Does::Answer(prepared))?;
        found.place.map(|(sequence, _)| sequence)
    }

    /// Returns the last segment that a restore to T has to read, judged from the entries.
    fn last_needed(&self, tick: u32) -> u64 {
        let before = |entry: &&SourceEntry| entry.tick <= tick && entry.place.is_some();
        let last = self.source.iter().rfind(before).expect("restorable");
        let (sequence, run) = last.place.expect("held");
        let answers = self.prepared_in(run, tick).into_iter().map(|at| self.answer(run, at));
        answers.flatten().fold(sequence, u64::max)
    }

    fn in_gap(&self, tick: u32) -> bool {
        let held = |entry: &&SourceEntry| entry.place.is_some();
        let before = self.source.iter().filter(held).rfind(|entry| entry.tick <= tick);
        let after = self.source.iter().filter(held).find(|entry| entry.tick >= tick);
        match (before.and_then(|e| e.place), after.and_then(|e| e.place)) {
            (Some((_, before)), Some((_, after))) => before != after,
            _ => false,
        }
    }
}

/// Computes the runs and gaps of a log without a store.
fn folded(segments: &[SegmentSummary]) -> (Vec<Run>, Vec<GapNotice>) {
    let (mut runs, mut gaps): (Vec<Run>, Vec<GapNotice>) = Default::default();
    let mut held: Option<&SegmentSummary> = None;
    for segment in segments {
        assert_eq!(segment.check(), Ok(()));
        assert_eq!(held.map_or(Ok(()), |held| run::check_follows(held, segment)), Ok(()));
        gaps.extend(segment.gap_before.clone());
        match runs.last_mut().filter(|_| segment.gap_before.is_none()) {
            Some(run) => *run = run.extended(segment).expect("small totals"),
            None => runs.push(Run::start(segment)),
        }
        held = Some(segment);
    }
    (runs, gaps)
}

fn judge_refusal(world: &World, tick: u32, why: &NotRestorable) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.in_gap(tick), matches!(why, NotRestorable::InGap { .. }), "{}", why);
    match why {
        NotRestorable::InGap { gap, .. } => {
            prop_assert!(gap.after.ts < at(tick) && at(tick) < gap.before.ts);
        }
        NotRestorable::UnresolvedTransaction { prepared_at, .. } => {
            let prepare = |entry: &&SourceEntry| at(entry.tick) == *prepared_at;
            let prepare = world.source.iter().find(prepare).expect("an entry");
            let (_, run) = prepare.place.expect("held");
            prop_assert!(prepare.tick <= tick && world.answer(run, prepare.tick).is_none());
        }
        NotRestorable::NoBase { first, last, .. } => {
            prop_assert!(first.ts <= at(tick) && at(tick) <= last.ts);
            prop_assert!(
                (first.ts.increment()..=last.ts.increment()).all(|t| !world.restorable(t))
            );
        }
        NotRestorable::OutsideWindows { neighbours, .. } => {
            let before = neighbours.before.as_ref().map(|w| w.through.increment());
            let after = neighbours.after.as_ref().map(|w| w.from.ts.increment());
            let between = before.map_or(0, |t| t + 1)..after.unwrap_or(world.end());
            prop_assert!(between.contains(&tick));
            prop_assert!(between.clone().all(|t| !world.restorable(t)));
            prop_assert!([before, after].into_iter().flatten().all(|t| world.restorable(t)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// Windows and decisions are right for every tick: nothing restorable is refused, and nothing
    /// else is allowed.
    #[test]
    fn decisions_equal_the_judgement_by_entries(world in any_world()) {
        let (runs, gaps) = folded(&world.segments);
        let windows = plan::windows(&runs, &world.bases);
        for tick in 0..world.end() {
            let expected = world.restorable(tick);
            let inside = |w: &crate::Window| w.from.ts <= at(tick) && at(tick) <= w.through;
            prop_assert_eq!(windows.iter().any(inside), expected, "windows at {}", tick);
            match plan::decide(&runs, &gaps, &world.bases, at(tick)) {
                Ok(_) => prop_assert!(expected, "allowed at {}", tick),
                Err(why) => {
                    prop_assert!(!expected, "refused at {}: {}", tick, why);
                    judge_refusal(&world, tick, &why)?;
                }
            }
        }
    }

    /// I7: what was restorable stays restorable, whatever is captured after it.
    #[test]
    fn nothing_published_is_taken_back(world in any_world()) {
        let mut before = BTreeSet::new();
        for end in 0..=world.segments.len() {
            let (runs, gaps) = folded(&world.segments[..end]);
            let allowed = |tick: &u32| {
                plan::decide(&runs, &gaps, &world.bases, at(*tick)).is_ok()
            };
            let now: BTreeSet<u32> = (0..world.end()).filter(allowed).collect();
            prop_assert!(before.is_subset(&now), "{:?} then {:?}", before, now);
            before = now;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The store says the same as the fold, and a plan reads just the segments that are needed.
    #[test]
    fn stored_plans_read_what_is_needed_and_no_more(
        world in any_world(), cut in any::<prop::sample::Index>(),
    ) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let index = Index::open(directory.path()).expect("open");
        absorb_all(&index, &world.segments);
        for base in &world.bases {
            index.absorb_base(base).expect("absorb");
        }
        let view = index.view();
        let stored = (view.runs().expect("runs"), view.gaps().expect("gaps"));
        prop_assert_eq!(stored, folded(&world.segments));
        for tick in 0..world.end() {
            match index.plan(at(tick)) {
                Ok(plan) => {
                    prop_assert!(world.restorable(tick));
                    prop_assert_eq!(plan.last_sequence, world.last_needed(tick), "at {}", tick);
                    let first = &world.segments[plan.first_sequence as usize - 1];
                    prop_assert!(first.first <= plan.read_from && plan.read_from <= first.last);
                    prop_assert_eq!(plan.read_from, plan.base.capture_from);
                }
                Err(PlanError::NotRestorable(_)) => prop_assert!(!world.restorable(tick)),
                Err(PlanError::Index(error)) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
        check_truncation(&world, &index, cut.index(world.segments.len() + 1))?;
    }
}

/// After a truncation, the store says what the shorter log says. Once extended again, it is the
/// same down to the byte.
fn check_truncation(world: &World, index: &Index, kept: usize) -> Result<(), TestCaseError> {
    let whole = index.digest().expect("digest");
    index.truncate_to(kept as u64).expect("truncate");
    let view = index.view();
    let stored = (view.runs().expect("runs"), view.gaps().expect("gaps"));
    prop_assert_eq!(stored, folded(&world.segments[..kept]));
    absorb_all(index, &world.segments[kept..]);
    prop_assert_eq!(index.digest().expect("digest"), whole);
    Ok(())
}

fn absorb_all(index: &Index, segments: &[SegmentSummary]) {
    for segment in segments {
        index.absorb(segment).expect("absorb");
    }
}
