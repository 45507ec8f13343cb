//! For every shape of transaction, two at a time in every interleaving: whichever entry was applied
//! last, what comes after a stop is what would have come without it.

#![allow(clippy::unwrap_used)]

use bson::{Bson, doc};
use proptest::prelude::*;

use super::super::shapes::{SHAPES, interleavings, weave};
use super::*;

/// When the operations of these entries become visible.
type Told = Option<(Timestamp, Vec<usize>)>;

/// A log, and what is known about it when it is read in one go.
struct Story {
    entries: Vec<Vec<u8>>,
    base: Base,
    units: Vec<Told>,
    /// Progress after every entry.
    progress: Vec<Progress>,
    /// Progress after a failure at every entry, with nothing stored before.
    before: Vec<Progress>,
}

/// What an entry completed: whose operations, or from where on the log must be read.
enum Pushed {
    Told(Told),
    NeedsEarlier(OpTime),
    Torn,
}

fn parse(bytes: &[u8]) -> Entry<'_> {
    Entry::parse(bytes).unwrap()
}

fn push(units: &mut Units<usize>, entry: &Entry<'_>, place: usize) -> Pushed {
    match units.push(entry, || place) {
        Err(_) | Ok(Unit::Torn) => Pushed::Torn,
        Ok(Unit::BeganEarlier { missing }) => Pushed::NeedsEarlier(missing),
        Ok(Unit::Nothing) => Pushed::Told(None),
        Ok(Unit::Entry) => Pushed::Told(Some((entry.ts(), vec![place]))),
        Ok(Unit::Transaction(transaction)) => {
            let mut entries = transaction.earlier;
            entries.extend(transaction.last_carries_operations.then_some(place));
            Pushed::Told(Some((transaction.visible, entries)))
        }
    }
}

fn new_units(base: Base, resume: Resume) -> Units<usize> {
    Units::new(base, resume, |_| 1)
}

fn bytes_of(woven: Vec<(u32, bson::Document)>) -> Vec<Vec<u8>> {
    let complete = |(tick, mut entry): (u32, bson::Document)| {
        let ts = bson::Timestamp { time: 1000, increment: tick };
        entry.extend(doc! {"ts": Bson::Timestamp(ts), "v": 2_i64});
        entry.to_vec().unwrap()
    };
    woven.into_iter().map(complete).collect()
}

impl Story {
    /// None when no server writes such a log, as when a primary continues what another one began.
    fn read(entries: Vec<Vec<u8>>, base: Base) -> Option<Self> {
        let mut units = new_units(base, Resume::after(None, base.capture_from));
        let (mut told, mut progress, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for (place, bytes) in entries.iter().enumerate() {
            let entry = parse(bytes);
            let Pushed::Told(unit) = push(&mut units, &entry, place) else { return None };
            told.push(unit);
            before.push(units.progress_before(&entry, None)?);
            progress.push(units.progress(entry.optime, progress.last().copied())?);
        }
        Some(Self { entries, base, units: told, progress, before })
    }

    /// Checks that no unit comes twice, that every unit which `applied` lacks comes, and that
    /// progress is the same as without the stop.
    fn check_goes_on(&self, stored: Progress, what: &str) {
        let mut units = new_units(self.base, Resume::after(Some(stored), self.base.capture_from));
        let mut before = stored;
        for (place, bytes) in self.entries.iter().enumerate() {
            let entry = parse(bytes);
            let Pushed::Told(told) = push(&mut units, &entry, place) else {
                panic!("{what}: {stored:?} does not go on at {place} of {self}");
            };
            if entry.ts() <= stored.applied.ts {
                assert_eq!(told, None, "{what}: {stored:?} at {place} of {self}");
                continue;
            }
            assert_eq!(told, self.units[place], "{what}: {stored:?} at {place} of {self}");
            before = units.progress(entry.optime, Some(before)).unwrap();
            assert_eq!(before, self.progress[place], "{what}: {stored:?} at {place} of {self}");
        }
    }

    /// Checks the progress of an earlier version, which does not say what is open: this is found
    /// out, and read.
    fn check_finds_what_was_open(&self, stored: Progress) {
        let lost = Progress { oldest_open: None, ..stored };
        let mut resume = Resume::after(Some(lost), self.base.capture_from);
        let mut told = vec![None; self.entries.len()];
        while let Err(missing) = self.tell(resume, &mut told) {
            let earlier = resume.reading_from(self.first_of_chain(missing));
            assert!(earlier.from < resume.from, "{resume:?} {missing:?} of {self}");
            resume = earlier;
        }
        for (place, bytes) in self.entries.iter().enumerate() {
            let is_new = parse(bytes).ts() > stored.applied.ts;
            let expected = if is_new { &self.units[place] } else { &None };
            assert_eq!(&told[place], expected, "{stored:?} at {place} of {self}");
        }
    }

    /// Reads from `resume` on. Returns the earlier entry as an error when one is needed.
    fn tell(&self, resume: Resume, told: &mut [Told]) -> Result<(), OpTime> {
        let mut units = new_units(self.base, resume);
        for (place, bytes) in self.entries.iter().enumerate() {
            match push(&mut units, &parse(bytes), place) {
                Pushed::Told(unit) => {
                    assert!(told[place].is_none() || told[place] == unit, "{resume:?} of {self}");
                    told[place] = unit;
                }
                Pushed::NeedsEarlier(missing) => return Err(missing),
                Pushed::Torn => panic!("{resume:?} at {place} of {self}"),
            }
        }
        Ok(())
    }

    fn first_of_chain(&self, missing: OpTime) -> OpTime {
        let at = |wanted: OpTime| {
            let mut entries = self.entries.iter().map(|bytes| parse(bytes));
            entries.find(|entry| entry.ts() == wanted.ts).unwrap()
        };
        let mut first = missing;
        while let Some(previous) = at(first).previous() {
            first = previous;
        }
        first
    }

    fn check(&self) {
        for stored in &self.progress {
            self.check_goes_on(*stored, "after an entry");
            self.check_finds_what_was_open(*stored);
        }
        for stored in &self.before {
            self.check_goes_on(*stored, "before an entry");
        }
    }
}

impl std::fmt::Display for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for bytes in &self.entries {
            let document = bson::Document::from_reader(&bytes[..]).unwrap();
            writeln!(f, "\n{document}")?;
        }
        Ok(())
    }
}

/// A base before every entry.
fn base_before(entries: &[Vec<u8>]) -> Base {
    let first = parse(&entries[0]).optime;
    let start = OpTime { ts: first.ts.predecessor(), term: 0 };
    Base { start, scanned_after: start.ts, capture_from: start }
}

/// Bases that begin at each entry, with what was open there.
fn bases_inside(entries: &[Vec<u8>]) -> Vec<Base> {
    let mut transactions = Assembler::default();
    let mut bases = Vec::new();
    for bytes in entries {
        let entry = parse(bytes);
        transactions.push(&entry, || ()).unwrap();
        let start = entry.optime;
        let capture_from = transactions.oldest_unresolved().unwrap_or(start);
        bases.push(Base { start, scanned_after: start.ts, capture_from });
    }
    bases
}

#[test]
fn whichever_entry_was_the_last_one_applied_the_rest_comes_as_without_a_stop() {
    let mut checked = 0;
    for (first, (_, one)) in SHAPES.iter().enumerate() {
        for (_, other) in &SHAPES[first..] {
            let lanes = [one(1), other(2)];
            for order in interleavings(&lanes.each_ref().map(Vec::len)) {
                let entries = bytes_of(weave(&lanes, &order));
                let base = base_before(&entries);
                let Some(story) = Story::read(entries, base) else { continue };
                story.check();
                checked += 1;
            }
        }
    }
    assert!(checked > 2000, "only {checked} logs are sound");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The same for many transactions at a time, in random orders.
    #[test]
    fn however_many_are_open_the_rest_comes_as_without_a_stop(
        shapes in prop::collection::vec(0..SHAPES.len(), 3..8),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 32),
    ) {
        let lanes: Vec<_> = (1..).zip(&shapes).map(|(lane, shape)| SHAPES[*shape].1(lane)).collect();
        let mut left: Vec<usize> = lanes.iter().map(Vec::len).collect();
        let mut order = Vec::new();
        for turn in turns {
            let waiting: Vec<usize> = (0..left.len()).filter(|lane| left[*lane] > 0).collect();
            let Some(last) = waiting.len().checked_sub(1) else { break };
            let lane = waiting[turn.index(last + 1)];
            left[lane] -= 1;
            order.push(lane);
        }
        let entries = bytes_of(weave(&lanes, &order));
        let base = base_before(&entries);
        let story = Story::read(entries, base);
        prop_assume!(story.is_some());
        story.unwrap().check();
    }
}

#[test]
fn what_was_open_when_a_base_was_copied_goes_on_after_every_stop() {
    for (first, (_, one)) in SHAPES.iter().enumerate() {
        for (_, other) in &SHAPES[first..] {
            let lanes = [one(1), other(2)];
            let orders = interleavings(&lanes.each_ref().map(Vec::len));
            // In this order, the two lanes take turns most often.
            let alternations =
                |order: &&Vec<usize>| order.windows(2).filter(|turns| turns[0] != turns[1]).count();
            let order = orders.iter().max_by_key(alternations).unwrap();
            let entries = bytes_of(weave(&lanes, order));
            if Story::read(entries.clone(), base_before(&entries)).is_none() {
                continue;
            }
            for base in bases_inside(&entries) {
                Story::read(entries.clone(), base).unwrap().check();
            }
        }
    }
}

/// Each shape opens, ends and abandons what its name says.
#[test]
fn shapes_are_what_they_are_called() {
    for (name, shape) in SHAPES {
        let lanes = [shape(1)];
        let entries = bytes_of(weave(&lanes, &vec![0; lanes[0].len()]));
        let base = base_before(&entries);
        let story = Story::read(entries, base).unwrap();
        let told: usize = story.units.iter().flatten().map(|(_, entries)| entries.len()).sum();
        let opens = story.progress.iter().any(|progress| progress.oldest_open.is_some());
        let prepares = story.before.iter().any(|before| before.through < before.applied.ts);
        let last = story.progress.last().unwrap();
        assert_eq!(last.oldest_open, None, "{name}");
        assert_eq!(last.through, last.applied.ts, "{name}");
        assert_eq!(
            prepares,
            name.starts_with("prepared")
                || name.starts_with("aborted") && !name.ends_with("primary"),
            "{name}"
        );
        let lasting =
            ["writes", "retryable writes", "vectored inserts", "batched write", "small", "empty"];
        assert_eq!(opens, !lasting.contains(&name), "{name}");
        let lost = name.starts_with("aborted") || name.starts_with("left behind");
        assert!(!lost || told <= 1, "{name}: {told}");
    }
}
