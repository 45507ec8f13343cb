//! The catalog by visible time, in memory. It is small beside the data: one state per create, drop,
//! rename or change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hindsight_oplog::Timestamp;

use crate::observed::Observed;
use crate::state::CollectionState;

/// The states of one number, oldest first; `None` means dropped.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) generation: u32,
    pub(crate) states: Vec<(Timestamp, Option<Arc<CollectionState>>)>,
}

impl Collection {
    /// Returns the state in force at a time.
    pub(crate) fn at(&self, time: Timestamp) -> Option<&Arc<CollectionState>> {
        let after = self.states.partition_point(|(since, _)| *since <= time);
        self.states[..after].last()?.1.as_ref()
    }

    pub(crate) fn newest(&self) -> Option<&Arc<CollectionState>> {
        self.states.last()?.1.as_ref()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    collections: BTreeMap<u32, Collection>,
    by_uuid: HashMap<[u8; 16], Vec<u32>>,
    /// Every number that ever had the name.
    by_ns: HashMap<String, Vec<u32>>,
    /// By number and time.
    observed: BTreeMap<(u32, Timestamp), Observed>,
    next_number: u32,
}

/// The state that a call of [`Catalog::set`] replaced, so that it can be put back.
pub(crate) type Previous = Option<Option<Arc<CollectionState>>>;

impl Catalog {
    pub(crate) fn new(next_number: u32) -> Self {
        Catalog { next_number: next_number.max(1), ..Catalog::default() }
    }

    /// Returns a number that was never used before; `None` when all 2^32 numbers are used.
    pub(crate) fn take_number(&mut self) -> Option<u32> {
        let number = self.next_number;
        self.next_number = number.checked_add(1)?;
        Some(number)
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.next_number
    }

    /// Sets the state from `since` on (until the next state), and returns what `since` held before.
    pub(crate) fn set(
        &mut self,
        generation: u32,
        number: u32,
        since: Timestamp,
        state: Option<Arc<CollectionState>>,
    ) -> Previous {
        if let Some(state) = &state {
            remember(&mut self.by_uuid, state.uuid, number);
            if !self.by_ns.get(&state.ns).is_some_and(|numbers| numbers.contains(&number)) {
                remember(&mut self.by_ns, state.ns.clone(), number);
            }
        }
        let collection = self
            .collections
            .entry(number)
            .or_insert_with(|| Collection { generation, states: Vec::new() });
        match collection.states.binary_search_by_key(&since, |(at, _)| *at) {
            Ok(at) => Some(std::mem::replace(&mut collection.states[at].1, state)),
            Err(at) => {
                collection.states.insert(at, (since, state));
                None
            }
        }
    }

    /// Undoes one call of [`Catalog::set`]. The last call has to be undone first.
    pub(crate) fn restore(&mut self, number: u32, since: Timestamp, previous: Previous) {
        let Some(collection) = self.collections.get_mut(&number) else { return };
        let Ok(at) = collection.states.binary_search_by_key(&since, |(at, _)| *at) else { return };
        match previous {
            Some(state) => collection.states[at].1 = state,
            None => drop(collection.states.remove(at)),
        }
    }

    /// Keeps an observation of a collection.
    pub(crate) fn note(&mut self, observed: Observed) {
        self.observed.insert((observed.number, observed.at), observed);
    }

    /// Returns everything that was observed, in the order of the collections and then of time.
    pub(crate) fn observed(&self) -> impl Iterator<Item = &Observed> {
        self.observed.values()
    }

    /// Whether the last observation of the collection says the same.
    pub(crate) fn is_noted(&self, observed: &Observed) -> bool {
        let number = observed.number;
        let noted = self.observed.range((number, Timestamp::ZERO)..=(number, Timestamp::MAX));
        noted.last().is_some_and(|(_, last)| {
            last.taken_up == observed.taken_up && last.differences == observed.differences
        })
    }

    /// Forgets a number, whose data is gone.
    pub(crate) fn forget(&mut self, number: u32) {
        let Some(gone) = self.collections.remove(&number) else { return };
        for state in gone.states.iter().filter_map(|(_, state)| state.as_ref()) {
            forget_in(&mut self.by_uuid, &state.uuid, number);
            forget_in(&mut self.by_ns, &state.ns, number);
        }
        self.observed.retain(|(of, _), _| *of != number);
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Collection> {
        self.collections.get(&number)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Collection)> {
        self.collections.iter().map(|(&number, collection)| (number, collection))
    }

    pub(crate) fn of_generation(&self, id: u32) -> impl Iterator<Item = (u32, &Collection)> {
        self.collections
            .iter()
            .filter(move |(_, collection)| collection.generation == id)
            .map(|(&number, collection)| (number, collection))
    }

    /// Returns the collection that has this UUID now.
    pub(crate) fn live(
        &self,
        generation: u32,
        uuid: &[u8; 16],
    ) -> Option<(u32, &Arc<CollectionState>)> {
        let numbers = self.by_uuid.get(uuid)?;
        numbers.iter().rev().find_map(|&number| {
            let collection = self.collections.get(&number)?;
            let state = collection.newest()?;
            (collection.generation == generation && state.uuid == *uuid).then_some((number, state))
        })
    }

    /// Returns the collection that has this name now. In the relaxed window several collections may
    /// have it.
    pub(crate) fn live_named(
        &self,
        generation: u32,
        ns: &str,
    ) -> Option<(u32, &Arc<CollectionState>)> {
        self.named(ns).rev().find_map(|(number, collection)| {
            let state = collection.newest()?;
            (collection.generation == generation && state.ns == ns).then_some((number, state))
        })
    }

    /// Returns the collection that has this name at that time.
    pub(crate) fn named_at(
        &self,
        generation: u32,
        ns: &str,
        time: Timestamp,
    ) -> Option<(u32, &Arc<CollectionState>)> {
        self.named(ns).rev().find_map(|(number, collection)| {
            let state = collection.at(time)?;
            let is_it = collection.generation == generation && state.ns == ns && !state.implicit;
            is_it.then_some((number, state))
        })
    }

    /// Returns every number that ever had the name, in the order in which they got it.
    pub(crate) fn named(
        &self,
        ns: &str,
    ) -> impl DoubleEndedIterator<Item = (u32, &Collection)> + use<'_> {
        let numbers = self.by_ns.get(ns).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(|&number| Some((number, self.collections.get(&number)?)))
    }
}

fn forget_in<K: std::hash::Hash + Eq>(numbers: &mut HashMap<K, Vec<u32>>, name: &K, number: u32) {
    if let Some(of_name) = numbers.get_mut(name) {
        of_name.retain(|it| *it != number);
        if of_name.is_empty() {
            numbers.remove(name);
        }
    }
}

fn remember<K: std::hash::Hash + Eq>(numbers: &mut HashMap<K, Vec<u32>>, name: K, number: u32) {
    let numbers = numbers.entry(name).or_default();
    if !numbers.contains(&number) {
        numbers.push(number);
    }
}
