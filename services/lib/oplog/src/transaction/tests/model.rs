//! Random interleavings of random transactions. The generator knows the fate of each transaction,
//! because it decides that fate.

#![allow(clippy::unwrap_used)]

use bson::{RawDocumentBuf, rawdoc};
use proptest::prelude::*;

use super::super::*;
use super::entries::*;

/// What must be known after an entry.
#[derive(Clone, Debug)]
struct Expected {
    /// Visible time, operations and first entry of the transaction that the entry ends.
    writes: Option<(u64, Vec<i32>, OpTime)>,
    oldest_unresolved: Option<OpTime>,
    oldest_prepared: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Script {
    entries: Vec<(Vec<u8>, Expected)>,
}

/// A transaction under way.
#[derive(Clone, Debug)]
struct Open {
    first: OpTime,
    last: OpTime,
    ids: Vec<i32>,
    prepared: bool,
}

/// A session, or a place where batched writes without a session are made, and what is open there.
#[derive(Clone, Debug)]
struct Lane {
    lsid: Option<RawDocumentBuf>,
    number: i64,
    open: Option<Open>,
}

/// One client after another makes a step, as the choices decide.
struct Generator {
    lanes: Vec<Lane>,
    /// Chains left behind by lanes without a session. Only a new term ends them.
    left: Vec<OpTime>,
    ts: u64,
    term: i64,
    next_id: i32,
    script: Script,
}

impl Generator {
    fn run(choices: &[u16]) -> Script {
        let child = |more: RawDocumentBuf| {
            let mut lsid = session(1);
            append_all(&mut lsid, &more);
            Some(lsid)
        };
        let lsids = [
            Some(session(1)),
            Some(session(2)),
            child(rawdoc! { "txnUUID": uuid(3) }),
            child(rawdoc! { "txnNumber": 1_i64, "txnUUID": uuid(3) }),
            None,
            None,
        ];
        let lanes = lsids.into_iter().map(|lsid| Lane { lsid, number: 0, open: None }).collect();
        let script = Script::default();
        let mut generator = Self { lanes, left: vec![], ts: 100, term: 1, next_id: 0, script };
        for &choice in choices {
            generator.step(usize::from(choice & 7), choice >> 3);
        }
        generator.script
    }

    fn step(&mut self, lane: usize, choice: u16) {
        self.ts += 1 + u64::from(choice % 3);
        let choice = choice / 3;
        if lane >= self.lanes.len() {
            return self.no_lane(choice);
        }
        match self.lanes[lane].open.clone() {
            None => self.begin(lane, choice),
            Some(open) if open.prepared => self.decide(lane, open, choice),
            Some(open) => self.go_on(lane, open, choice),
        }
    }

    /// An ordinary write, or sometimes an election.
    fn no_lane(&mut self, choice: u16) {
        if choice.is_multiple_of(8) {
            self.term += 1;
            self.left.clear();
            for lane in &mut self.lanes {
                lane.open.take_if(|open| !open.prepared);
            }
        }
        let id = self.ids(1)[0];
        self.emit(crud(self.ts, self.term, id, None), Some((self.ts, vec![id], self.now())));
    }

    /// A lane without anything open begins a transaction or a write.
    fn begin(&mut self, lane: usize, choice: u16) {
        self.lanes[lane].number += i64::from(choice % 2) + 1;
        let choice = choice / 2;
        let Some(lsid) = self.lanes[lane].lsid.clone() else {
            return self.begin_chain(lane, choice);
        };
        let number = self.lanes[lane].number;
        match choice % 5 {
            0 => {
                let id = self.ids(1)[0];
                let bytes = crud(self.ts, self.term, id, Some((lsid, number)));
                self.emit(bytes, Some((self.ts, vec![id], self.now())));
            }
            1 => {
                let ids = self.ids(choice % 3);
                let build = Build::apply_ops(self.ts, ids.clone(), RawDocumentBuf::new());
                self.emit_on(lane, build, None, Some((self.ts, ids, self.now())));
            }
            2 => {
                let ids = self.ids(choice % 3);
                let build = Build::apply_ops(self.ts, ids.clone(), rawdoc! { "prepare": true });
                let open = Open { first: self.now(), last: self.now(), ids, prepared: true };
                self.lanes[lane].open = Some(open);
                self.emit_on(lane, build, None, None);
            }
            _ => self.begin_chain(lane, choice),
        }
    }

    fn begin_chain(&mut self, lane: usize, choice: u16) {
        let ids = self.ids(choice % 3);
        let build = Build::apply_ops(self.ts, ids.clone(), rawdoc! { "partialTxn": true });
        let open = Open { first: self.now(), last: self.now(), ids, prepared: false };
        self.lanes[lane].open = Some(open);
        self.emit_on(lane, build, None, None);
    }

    /// A lane with a chain lengthens it, ends it, or leaves it.
    fn go_on(&mut self, lane: usize, mut open: Open, choice: u16) {
        let in_session = self.lanes[lane].lsid.is_some();
        let previous = Some(open.last);
        let ids = self.ids(choice / 7 % 3);
        open.ids.extend(&ids);
        open.last = self.now();
        let count = open.ids.len() as i64;
        match choice % 7 {
            0..=2 => {
                let build = Build::apply_ops(self.ts, ids, rawdoc! { "partialTxn": true });
                self.lanes[lane].open = Some(open);
                self.emit_on(lane, build, previous, None);
            }
            3 if in_session => {
                let options = rawdoc! { "prepare": true, "count": count };
                self.lanes[lane].open = Some(Open { prepared: true, ..open });
                self.emit_on(lane, Build::apply_ops(self.ts, ids, options), previous, None);
            }
            4 if in_session => {
                self.lanes[lane].open = None;
                self.emit_on(lane, Build::abort(self.ts), None, None);
            }
            5 => {
                self.lanes[lane].open = None;
                if !in_session {
                    self.left.push(open.first);
                }
                self.begin(lane, choice / 7);
            }
            _ => {
                self.lanes[lane].open = None;
                let build = Build::apply_ops(self.ts, ids, rawdoc! { "count": count });
                self.emit_on(lane, build, previous, Some((self.ts, open.ids, open.first)));
            }
        }
    }

    /// A lane with a prepared transaction commits or aborts it.
    fn decide(&mut self, lane: usize, open: Open, choice: u16) {
        self.lanes[lane].open = None;
        let prepare = open.last.ts.as_u64();
        if choice.is_multiple_of(4) {
            return self.emit_on(lane, Build::abort(self.ts), Some(open.last), None);
        }
        let at = prepare + u64::from(choice) % (self.ts - prepare + 1);
        let writes = (at, open.ids, open.first);
        self.emit_on(lane, Build::commit(self.ts, at), Some(open.last), Some(writes));
    }

    fn now(&self) -> OpTime {
        OpTime { ts: Timestamp::from_u64(self.ts), term: self.term }
    }

    fn ids(&mut self, count: u16) -> Vec<i32> {
        let from = self.next_id;
        self.next_id += i32::from(count);
        (from..self.next_id).collect()
    }

    fn emit_on(
        &mut self,
        lane: usize,
        build: Build,
        previous: Option<OpTime>,
        writes: Option<(u64, Vec<i32>, OpTime)>,
    ) {
        let mut build = build.term(self.term);
        build.previous = Some(previous.unwrap_or(OpTime::NONE));
        let lane = &self.lanes[lane];
        build.session = lane.lsid.clone().map(|lsid| (lsid, lane.number));
        self.emit(build.bytes(), writes);
    }

    fn emit(&mut self, bytes: Vec<u8>, writes: Option<(u64, Vec<i32>, OpTime)>) {
        let open = || self.lanes.iter().filter_map(|lane| lane.open.as_ref());
        let firsts = open().map(|open| open.first).chain(self.left.iter().copied());
        let prepared = open().filter(|open| open.prepared).map(|open| open.last.ts.as_u64());
        let expected =
            Expected { writes, oldest_unresolved: firsts.min(), oldest_prepared: prepared.min() };
        self.script.entries.push((bytes, expected));
    }
}

fn assert_known(keeper: &Keeper, expected: &Expected) {
    assert_eq!(keeper.oldest_unresolved(), expected.oldest_unresolved);
    assert_eq!(keeper.oldest_prepared().map(Timestamp::as_u64), expected.oldest_prepared);
}

fn script() -> impl Strategy<Value = Script> {
    prop::collection::vec(any::<u16>(), 1..150).prop_map(|choices| Generator::run(&choices))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_transaction_is_whole_and_in_order_and_visible_when_it_must(script in script()) {
        let mut keeper = keeper();
        for (bytes, expected) in &script.entries {
            let step = push(&mut keeper, bytes).unwrap();
            let whole = expected.writes.clone().map(|(visible, ids, _)| (visible, ids));
            prop_assert_eq!(writes(&step, bytes), whole);
            if let Step::Complete(transaction) = &step {
                let (_, _, first) = expected.writes.as_ref().unwrap();
                prop_assert_eq!(transaction.first, *first);
            }
            assert_known(&keeper, expected);
        }
        let kept: usize = keeper.open.values().flat_map(|chain| &chain.payloads).map(Vec::len).sum();
        prop_assert_eq!(keeper.kept(), kept as u64);
        prop_assert_eq!(keeper.by_last.len(), keeper.open.len());
        prop_assert!(keeper.by_session.len() <= 4);
    }

    /// Capture may begin anywhere. What began before is reported, and nothing is skipped or cut
    /// short.
    #[test]
    fn a_beginning_in_the_middle_is_told(script in script(), at in any::<prop::sample::Index>()) {
        let from = at.index(script.entries.len());
        let begin = Entry::parse(&script.entries[from].0).unwrap().ts();
        let mut keeper = keeper();
        for (bytes, expected) in &script.entries[from..] {
            let step = push(&mut keeper, bytes).unwrap();
            match (&step, &expected.writes) {
                (Step::Incomplete(incomplete), Some((visible, _, first))) => {
                    prop_assert!(first.ts < begin);
                    prop_assert_eq!(incomplete.visible.as_u64(), *visible);
                    prop_assert!(incomplete.first_known.ts >= begin);
                    prop_assert!(incomplete.missing.unwrap().ts < begin);
                }
                (_, Some((visible, ids, first))) => {
                    prop_assert!(first.ts >= begin);
                    prop_assert_eq!(writes(&step, bytes), Some((*visible, ids.clone())));
                }
                (_, None) => prop_assert_eq!(writes(&step, bytes), None),
            }
        }
    }

    /// Reading again from the oldest unresolved entry gives the same state and the same future.
    #[test]
    fn the_oldest_unresolved_entry_is_where_to_begin_again(
        script in script(),
        at in any::<prop::sample::Index>(),
    ) {
        let until = at.index(script.entries.len());
        let mut keeper = keeper();
        for (bytes, _) in &script.entries[..=until] {
            push(&mut keeper, bytes).unwrap();
        }
        let ts = |bytes: &[u8]| Entry::parse(bytes).unwrap().ts();
        let from = keeper.oldest_unresolved().map_or(until + 1, |oldest| {
            script.entries.iter().position(|(bytes, _)| ts(bytes) == oldest.ts).unwrap()
        });
        let mut again = super::entries::keeper();
        for (index, (bytes, expected)) in script.entries.iter().enumerate().skip(from) {
            let step = push(&mut again, bytes).unwrap();
            if index > until {
                prop_assert_eq!(step, push(&mut keeper, bytes).unwrap());
                assert_known(&again, expected);
            } else if index == until {
                assert_known(&again, expected);
                prop_assert_eq!(again.kept(), keeper.kept());
            }
        }
    }

    /// However damaged the entries are, they are refused or taken, and the totals stay consistent.
    #[test]
    fn damaged_entries_do_not_panic(
        script in script(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut entries: Vec<Vec<u8>> = script.entries.into_iter().map(|(bytes, _)| bytes).collect();
        for (entry, byte, value) in flips {
            let entry = entry.index(entries.len());
            let byte = byte.index(entries[entry].len());
            entries[entry][byte] = value;
        }
        let mut keeper = keeper();
        for bytes in &entries {
            if let Ok(entry) = Entry::parse(bytes) {
                let _ = keeper.push(&entry, || bytes.clone());
            }
        }
        let kept: u64 = keeper.open.values().map(|chain| chain.weight).sum();
        prop_assert_eq!(keeper.kept(), kept);
        prop_assert_eq!(keeper.by_last.len(), keeper.open.len());
        prop_assert!(keeper.by_session.len() <= keeper.open.len());
    }
}

/// The model is useful only if its scripts hold every shape.
#[test]
fn scripts_hold_every_shape() {
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    let mut state = 1_u32;
    let choices: Vec<u16> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16
    })
    .take(4000)
    .collect();
    let mut keeper = keeper();
    for (bytes, _) in Generator::run(&choices).entries {
        let abandoned = keeper.abandoned();
        let name = match push(&mut keeper, &bytes).unwrap() {
            Step::Single if ids(&bytes).len() > 1 => "small",
            Step::Single => "single",
            Step::Pending if keeper.oldest_prepared().is_some() => "prepared",
            Step::Pending => "chain",
            Step::Complete(whole) if !whole.last_carries_operations => "commit",
            Step::Complete(whole) if whole.earlier.len() > 3 => "long chain",
            Step::Complete(_) => "short chain",
            Step::Aborted => "abort",
            Step::Incomplete(_) => "incomplete",
        };
        *counts.entry(name).or_default() += 1;
        *counts.entry("abandoned").or_default() += (keeper.abandoned() - abandoned) as u32;
    }
    for name in [
        "small",
        "single",
        "prepared",
        "chain",
        "commit",
        "long chain",
        "short chain",
        "abort",
        "abandoned",
    ] {
        assert!(counts.get(name).is_some_and(|count| *count > 10), "{name}: {counts:?}");
    }
    assert_eq!(counts.get("incomplete"), None);
}
