//! The documents that the log says were written, by collection.

use std::collections::{BTreeSet, HashMap, HashSet};

use hindsight_history::{CollectionState, NamePair};
use hindsight_oplog::{OpKind, Operation, id_key};
use hindsight_runtime::{Budget, Share};

/// The memory that a key takes beside its own bytes: its box, its share of the tree, and the
/// rounding of the allocator.
const OVERHEAD_BYTES: usize = 48;
/// How many bytes each comparison may always hold, and how many it takes at a time from the shared
/// memory.
const STEP_BYTES: usize = 1 << 20;

pub(super) type Keys = BTreeSet<Box<[u8]>>;

/// The keys of written documents, for the collections where these keys cover all that can differ. A
/// collection may have keys of documents that do not differ, but lacks the key of no document that
/// does.
///
/// Once the keys take more than the limit, or more than is left of the shared memory, the
/// collection with the most keys is given up, and then the next one. A collection that was given up
/// must be read from end to end.
#[derive(Debug)]
pub(super) struct Touched {
    /// By the place of the pair. None when the keys of this collection are not known.
    keys: Vec<Option<Gathered>>,
    by_uuid: HashMap<[u8; 16], usize>,
    /// For operations without a UUID. Between the two times, several collections may have had the
    /// same name.
    by_name: HashMap<String, Vec<usize>>,
    bytes: usize,
    limit_bytes: usize,
    memory: Budget,
    shares: Vec<Share>,
    key: Vec<u8>,
}

#[derive(Debug, Default)]
struct Gathered {
    keys: Keys,
    bytes: usize,
}

impl Touched {
    pub(super) fn of(pairs: &[NamePair], limit_bytes: usize, memory: Budget) -> Self {
        let mut touched = Touched {
            keys: Vec::with_capacity(pairs.len()),
            by_uuid: HashMap::new(),
            by_name: HashMap::new(),
            bytes: 0,
            limit_bytes,
            memory,
            shares: Vec::new(),
            key: Vec::new(),
        };
        for (at, pair) in pairs.iter().enumerate() {
            let is_capped = [&pair.before, &pair.after].into_iter().flatten();
            let is_capped = is_capped.map(AsRef::as_ref).any(CollectionState::is_capped);
            // Converting a time-series collection writes a view's definition without an entry for
            // it.
            let holds_views = pair.ns.ends_with(".system.views");
            let same = pair.same.as_ref().filter(|_| !is_capped && !holds_views);
            touched.keys.push(same.map(|_| Gathered::default()));
            if let Some(same) = same {
                touched.by_uuid.insert(same.uuid, at);
                for name in &same.names {
                    touched.by_name.entry(name.clone()).or_default().push(at);
                }
            }
        }
        touched
    }

    /// Returns every name under which a wanted collection can have been written to.
    pub(super) fn names(&self) -> HashSet<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }

    /// Whether no collection is wanted, or no longer.
    pub(super) fn is_over(&self) -> bool {
        self.keys.iter().all(Option::is_none)
    }

    /// Returns the documents written in the collection at that place, in the order of their ids.
    /// None when they are not known.
    pub(super) fn keys(&self, at: usize) -> Option<&Keys> {
        self.keys.get(at)?.as_ref().map(|gathered| &gathered.keys)
    }

    /// Notes the document that an operation writes.
    pub(super) fn note(&mut self, operation: &Operation<'_>) {
        match operation.kind {
            OpKind::Insert | OpKind::Update | OpKind::Delete | OpKind::Unknown => {}
            // When a command changes documents, the catalog shows it: the collection is another one
            // then.
            OpKind::Command | OpKind::Noop | OpKind::Bookkeeping => return,
        }
        match operation.ui {
            Some(uuid) => {
                if let Some(at) = self.by_uuid.get(&uuid) {
                    self.note_at(*at, operation);
                }
            }
            None => {
                let places = self.by_name.get(operation.ns).cloned().unwrap_or_default();
                places.into_iter().for_each(|at| self.note_at(at, operation));
            }
        }
    }

    /// Gives up all collections, because the log cannot show what was written.
    pub(super) fn give_up(&mut self) {
        (0..self.keys.len()).for_each(|at| self.give_up_at(at));
    }

    fn note_at(&mut self, at: usize, operation: &Operation<'_>) {
        let Some(gathered) = self.keys[at].as_mut() else { return };
        let Some(id) = operation.document_id() else {
            self.give_up_at(at);
            return;
        };
        self.key.clear();
        id_key::encode(id, &mut self.key);
        if gathered.keys.contains(self.key.as_slice()) {
            return;
        }
        gathered.keys.insert(self.key.as_slice().into());
        let bytes = self.key.len() + OVERHEAD_BYTES;
        gathered.bytes += bytes;
        self.bytes += bytes;
        while !self.has_room() {
            let Some(largest) = self.largest() else { return };
            self.give_up_at(largest);
        }
    }

    /// Whether there is room for what is held. Takes more of the shared memory when it is needed.
    fn has_room(&mut self) -> bool {
        if self.bytes > self.limit_bytes {
            return false;
        }
        while self.bytes > STEP_BYTES * (1 + self.shares.len()) {
            let Some(share) = self.memory.try_take(STEP_BYTES) else { return false };
            self.shares.push(share);
        }
        true
    }

    fn largest(&self) -> Option<usize> {
        let known = self.keys.iter().enumerate();
        let known = known.filter_map(|(at, gathered)| Some((at, gathered.as_ref()?.bytes)));
        known.max_by_key(|(_, bytes)| *bytes).map(|(at, _)| at)
    }

    fn give_up_at(&mut self, at: usize) {
        if let Some(gathered) = self.keys[at].take() {
            self.bytes -= gathered.bytes;
            self.shares.truncate(self.bytes.div_ceil(STEP_BYTES).saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bson::{Document, doc};
    use hindsight_history::SameCollection;
    use hindsight_oplog::Origin;
    use hindsight_oplog::raw::Doc;

    use super::*;

    fn pair(ns: &str, uuid: u8, options: &Document) -> NamePair {
        let mut state = CollectionState::new([uuid; 16], ns);
        state.options = options.to_vec().expect("BSON");
        let state = Some(Arc::new(state));
        let names = vec![ns.to_owned(), "shop.once".to_owned()];
        let same = Some(SameCollection { uuid: [uuid; 16], names });
        NamePair { ns: ns.to_owned(), before: state.clone(), after: state, same }
    }

    fn insert(touched: &mut Touched, ns: &str, ui: Option<[u8; 16]>, id: i64) {
        let o = doc! {"_id": id}.to_vec().expect("BSON");
        let o = Doc::new(&o).expect("a document");
        let origin = Origin::Server;
        touched.note(&Operation {
            kind: OpKind::Insert,
            code: b"i",
            ns,
            ui,
            o,
            o2: None,
            upsert: false,
            origin,
            document_hash: None,
        });
    }

    fn counts(touched: &Touched, places: usize) -> Vec<Option<usize>> {
        (0..places).map(|at| touched.keys(at).map(BTreeSet::len)).collect()
    }

    #[test]
    fn an_operation_belongs_to_its_uuid_and_without_one_to_every_bearer_of_the_name() {
        let plain = doc! {};
        let capped = doc! {"capped": true};
        let pairs =
            [pair("shop.a", 1, &plain), pair("shop.b", 2, &plain), pair("shop.c", 3, &capped)];
        let mut touched = Touched::of(&pairs, 1 << 20, Budget::new(0));
        insert(&mut touched, "shop.b", Some([1; 16]), 1);
        insert(&mut touched, "shop.b", Some([1; 16]), 1);
        insert(&mut touched, "shop.a", Some([9; 16]), 2);
        assert_eq!(counts(&touched, 3), [Some(1), Some(0), None]);
        insert(&mut touched, "shop.once", None, 3);
        insert(&mut touched, "shop.never", None, 4);
        assert_eq!(counts(&touched, 3), [Some(2), Some(1), None]);
        touched.give_up();
        assert!(touched.is_over());
    }

    #[test]
    fn beyond_the_limit_the_largest_is_given_up_first() {
        let plain = doc! {};
        let pairs = [pair("shop.a", 1, &plain), pair("shop.b", 2, &plain)];
        let mut touched = Touched::of(&pairs, 100 * OVERHEAD_BYTES, Budget::new(0));
        for id in 0..10 {
            insert(&mut touched, "", Some([2; 16]), id);
        }
        for id in 0..200 {
            insert(&mut touched, "", Some([1; 16]), id);
        }
        assert_eq!(counts(&touched, 2), [None, Some(10)]);
        assert!(touched.bytes <= touched.limit_bytes && !touched.is_over());
        for id in 0..200 {
            insert(&mut touched, "", Some([2; 16]), id);
        }
        assert!(touched.is_over());
        assert_eq!(touched.bytes, 0);
    }

    #[test]
    fn beyond_the_first_step_it_takes_of_what_all_share() {
        let pairs = [pair("shop.a", 1, &doc! {}), pair("shop.b", 2, &doc! {})];
        let memory = Budget::new(2 * STEP_BYTES);
        let mut touched = Touched::of(&pairs, 64 << 20, memory.clone());
        let mut ids = 0_i64..;
        let mut insert_next = |touched: &mut Touched| {
            insert(touched, "", Some([1; 16]), ids.next().expect("there are enough"));
        };
        while touched.bytes < STEP_BYTES + STEP_BYTES / 2 {
            insert_next(&mut touched);
        }
        assert!(memory.try_take(2 * STEP_BYTES).is_none());
        let others = memory.try_take(STEP_BYTES).expect("the other half is left");
        for _ in 0..2 * STEP_BYTES / OVERHEAD_BYTES {
            insert_next(&mut touched);
        }
        assert!(touched.keys(0).is_none() && touched.keys(1).is_some());
        drop(others);
        assert!(memory.try_take(2 * STEP_BYTES).is_some(), "what was given up is still held");
    }
}
