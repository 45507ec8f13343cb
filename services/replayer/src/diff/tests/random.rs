//! Random logs, with transactions open across every boundary, drops, renames, and new collections
//! with old names.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Document, doc};
use hindsight_runtime::{Budget, CancellationToken};
use proptest::prelude::*;

use super::world::{World, abort, command, commit, delete, insert, op, part, replace, ts};
use super::{LIMIT_BYTES, Span, Touched, naive, pairs, request, told};

const NAMES: [&str; 4] = ["a", "b", "c", "capped"];

/// What is drawn for one entry: its kind, two choices, and whether a segment ends after it.
type Draw = (u8, u8, u8, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Collection {
    ui: u8,
    capped: bool,
}

/// An open transaction. It holds its documents, as the server's locks do.
#[derive(Debug)]
struct Open {
    session: Option<u8>,
    /// The tick of the transaction's last entry.
    last: u32,
    operations: i64,
    effects: Vec<(u8, i32, bool)>,
    prepared: bool,
}

/// Makes entries that fit the state before them.
#[derive(Default)]
struct Source {
    tick: u32,
    next_ui: u8,
    next_session: u8,
    collections: BTreeMap<String, Collection>,
    /// UUID and `_id` of each document that exists.
    documents: BTreeSet<(u8, i32)>,
    open: Vec<Open>,
}

impl Source {
    fn entry(&mut self, (kind, one, other, _): Draw) -> Document {
        match kind {
            0..=9 => self.write(one, other),
            10..=12 => self.begin(one, other),
            13..=15 => self.go_on(one, other),
            16..=18 => self.prepare(one),
            19..=23 => self.finish(one, other),
            24 => self.abort(one),
            25 => self.drop(one),
            26 => self.rename(one, other),
            27 => self.empty(),
            _ => None,
        }
        .unwrap_or_else(|| op("n", "", None, doc! {}))
    }

    /// Returns a collection of that name. When there is none, returns the `create` entry as an
    /// error.
    fn named(&mut self, one: u8) -> Result<(String, Collection), Document> {
        let name = NAMES[usize::from(one) % NAMES.len()].to_owned();
        if let Some(found) = self.collections.get(&name) {
            return Ok((format!("shop.{name}"), *found));
        }
        self.next_ui += 1;
        let (ui, capped) = (self.next_ui, name == "capped");
        let mut o = doc! {"create": &name};
        if capped {
            o.extend(doc! {"capped": true, "size": 1 << 20});
        }
        self.collections.insert(name, Collection { ui, capped });
        Err(command(Some(ui), o))
    }

    fn is_held(&self, ui: u8, id: i32) -> bool {
        self.open.iter().flat_map(|it| &it.effects).any(|held| (held.0, held.1) == (ui, id))
    }

    fn is_in_use(&self, ui: u8) -> bool {
        self.open.iter().flat_map(|it| &it.effects).any(|held| held.0 == ui)
    }

    /// Makes an operation on a document that no transaction holds. Also returns whether the
    /// document exists after it.
    fn operation(&self, ns: &str, ui: u8, other: u8) -> Option<(Document, (u8, i32, bool))> {
        let id = i32::from(other % 8);
        if self.is_held(ui, id) {
            return None;
        }
        let mut made = match (self.documents.contains(&(ui, id)), other / 8 % 3) {
            (false, _) => (insert(ns, ui, id, self.tick), (ui, id, true)),
            (true, 0) => (delete(ns, ui, id), (ui, id, false)),
            // Sometimes the operation changes nothing.
            (true, n) => (replace(ns, ui, id, u32::from(n)), (ui, id, true)),
        };
        if other >= 248 {
            made.0.remove("ui");
        }
        Some(made)
    }

    fn take(&mut self, (ui, id, exists): (u8, i32, bool)) {
        if exists {
            self.documents.insert((ui, id));
        } else {
            self.documents.remove(&(ui, id));
        }
    }

    fn write(&mut self, one: u8, other: u8) -> Option<Document> {
        let (ns, collection) = match self.named(one) {
            Ok(found) => found,
            Err(create) => return Some(create),
        };
        let (entry, effect) = self.operation(&ns, collection.ui, other)?;
        self.take(effect);
        Some(entry)
    }

    /// Makes operations of a transaction, in up to three collections.
    fn operations(&self, one: u8, other: u8) -> Vec<(Document, (u8, i32, bool))> {
        let mut made: Vec<(Document, (u8, i32, bool))> = Vec::new();
        for step in 0..1 + other % 3 {
            let name = NAMES[usize::from(one.wrapping_add(step)) % NAMES.len()];
            let Some(collection) = self.collections.get(name) else { continue };
            let choice = other.wrapping_mul(step + 3);
            let found = self.operation(&format!("shop.{name}"), collection.ui, choice);
            let found = found
                .filter(|(_, it)| made.iter().all(|(_, known)| (known.0, known.1) != (it.0, it.1)));
            made.extend(found);
        }
        made
    }

    fn part(&mut self, at: usize, one: u8, other: u8, more: Document) -> Document {
        let operations = self.operations(one, other);
        let tick = self.tick;
        let open = &mut self.open[at];
        let mut more = more;
        open.operations += operations.len() as i64;
        if more.contains_key("count") {
            more.insert("count", open.operations);
        }
        let (documents, effects): (Vec<_>, Vec<_>) = operations.into_iter().unzip();
        open.effects.extend(effects);
        let entry = part(open.session, &documents, open.last, more);
        open.last = tick;
        entry
    }

    fn begin(&mut self, one: u8, other: u8) -> Option<Document> {
        if self.open.len() == 4 {
            return None;
        }
        self.next_session += 1;
        let session = (!other.is_multiple_of(4)).then_some(self.next_session);
        let fresh = Open { session, last: 0, operations: 0, effects: Vec::new(), prepared: false };
        self.open.push(fresh);
        let at = self.open.len() - 1;
        Some(match other % 8 {
            5 => {
                self.open[at].prepared = true;
                self.part(at, one, other, doc! {"prepare": true})
            }
            _ => self.part(at, one, other, doc! {"partialTxn": true}),
        })
    }

    /// Chooses one of the open transactions that are, or are not, prepared.
    fn choose(&self, one: u8, prepared: bool) -> Option<usize> {
        let fitting = self.open.iter().enumerate().filter(|(_, it)| it.prepared == prepared);
        let fitting: Vec<usize> = fitting.map(|(at, _)| at).collect();
        (!fitting.is_empty()).then(|| fitting[usize::from(one) % fitting.len()])
    }

    fn go_on(&mut self, one: u8, other: u8) -> Option<Document> {
        let at = self.choose(one, false)?;
        Some(self.part(at, one, other, doc! {"partialTxn": true}))
    }

    fn prepare(&mut self, one: u8) -> Option<Document> {
        let at = self.choose(one, false).filter(|at| self.open[*at].session.is_some())?;
        let entry = self.part(at, one, one, doc! {"prepare": true, "count": 0_i64});
        self.open[at].prepared = true;
        Some(entry)
    }

    fn finish(&mut self, one: u8, other: u8) -> Option<Document> {
        let prepared = !other.is_multiple_of(3);
        let at = self.choose(one, prepared)?;
        let entry = if prepared {
            let open = &self.open[at];
            let visible = open.last + u32::from(other / 3) % (self.tick - open.last + 1);
            commit(open.session.expect("only those are prepared"), visible, open.last)
        } else {
            self.part(at, one, other, doc! {"count": 0_i64})
        };
        let effects = self.open.remove(at).effects;
        effects.into_iter().for_each(|effect| self.take(effect));
        Some(entry)
    }

    fn abort(&mut self, one: u8) -> Option<Document> {
        let at = self.choose(one, true)?;
        let open = self.open.remove(at);
        Some(abort(open.session.expect("only those are prepared"), open.last))
    }

    fn drop(&mut self, one: u8) -> Option<Document> {
        let (name, ui) = self.free(one)?;
        self.collections.remove(&name);
        Some(command(Some(ui), doc! {"drop": name}))
    }

    /// Renames a collection, sometimes over another one, which the rename drops.
    fn rename(&mut self, one: u8, other: u8) -> Option<Document> {
        let (name, ui) = self.free(one)?;
        let (to, target) = (NAMES[usize::from(other) % 3], self.free(other));
        let is_there = self.collections.contains_key(to);
        if name == to || name == "capped" || (is_there && target.as_ref()?.0 != to) {
            return None;
        }
        let mut o = doc! {"renameCollection": format!("shop.{name}"), "to": format!("shop.{to}")};
        if let Some((_, ui)) = target.filter(|_| is_there) {
            o.insert("dropTarget", super::world::uuid(ui));
        }
        let renamed = self.collections.remove(&name)?;
        self.collections.insert(to.to_owned(), renamed);
        Some(command(Some(ui), o))
    }

    fn empty(&mut self) -> Option<Document> {
        let found = *self.collections.get("capped").filter(|it| it.capped)?;
        if self.is_in_use(found.ui) {
            return None;
        }
        self.documents.retain(|(ui, _)| *ui != found.ui);
        Some(command(Some(found.ui), doc! {"emptycapped": "capped"}))
    }

    /// Returns a collection that no transaction uses.
    fn free(&self, one: u8) -> Option<(String, u8)> {
        let name = NAMES[usize::from(one) % NAMES.len()];
        let found = self.collections.get(name)?;
        (!self.is_in_use(found.ui)).then(|| (name.to_owned(), found.ui))
    }
}

fn world(draws: &[Draw]) -> World {
    let mut world = World::new();
    let mut source = Source { tick: 1, ..Source::default() };
    let mut segment = Vec::new();
    for draw in draws {
        source.tick += 1;
        segment.push((source.tick, source.entry(*draw)));
        if draw.3 {
            world.append(&std::mem::take(&mut segment));
        }
    }
    if !segment.is_empty() {
        world.append(&segment);
    }
    world.follow();
    world
}

/// Checks that the log shows enough about every collection that it can show anything about.
fn knows_all_it_can(world: &World, from: u32, to: u32) -> Result<(), TestCaseError> {
    let engine = &world.engine;
    let (before, after) = (engine.view(ts(from)).unwrap(), engine.view(ts(to)).unwrap());
    let pairs = pairs(&before, &after, None);
    let mut touched = Touched::of(&pairs, LIMIT_BYTES, Budget::new(LIMIT_BYTES));
    let stop = CancellationToken::new();
    let gathered = engine.gather(Span::between(ts(from), ts(to)), &mut touched, &stop);
    prop_assert!(world.run(gathered).unwrap().is_continue());
    for (at, pair) in pairs.iter().enumerate() {
        let is_capped = pair.ns == "shop.capped";
        prop_assert_eq!(
            touched.keys(at).is_some(),
            pair.same.is_some() && !is_capped,
            "{}",
            pair.ns
        );
    }
    Ok(())
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (0_u8..29, any::<u8>(), any::<u8>(), prop::bool::weighted(0.25));
    prop::collection::vec(draw, 10..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn differences_equal_those_of_two_whole_states(
        draws in draws(),
        times in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 60),
    ) {
        let world = world(&draws);
        let ticks = world.ticks();
        prop_assert!(ticks.contains(&1));
        let neighbours = ticks.windows(2).map(|pair| (pair[0], pair[1]));
        let drawn = times.iter().map(|(from, to)| (*from.get(&ticks), *to.get(&ticks)));
        for (from, to) in neighbours.chain(drawn) {
            let everywhere = request(from, to, None);
            let expected = naive(&world, &everywhere);
            for limit_bytes in [LIMIT_BYTES, 300] {
                let found = told(&world, &everywhere, limit_bytes).unwrap();
                prop_assert_eq!(&found, &expected, "from {} to {}", from, to);
            }
            for namespace in ["shop.a", "shop.*", "other"] {
                let there = request(from, to, Some(namespace));
                let found = told(&world, &there, LIMIT_BYTES).unwrap();
                prop_assert_eq!(found, naive(&world, &there), "{} from {} to {}", namespace, from, to);
            }
            knows_all_it_can(&world, from, to)?;
        }
    }
}
