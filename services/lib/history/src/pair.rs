//! The collections of two times side by side, by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{CollectionState, View};

/// A name that a collection has at one of two times, or at both.
#[derive(Clone, Debug)]
pub struct NamePair {
    /// The namespace.
    pub ns: String,
    /// The collection that has the name in the first view.
    pub before: Option<Arc<CollectionState>>,
    /// The collection that has the name in the other view.
    pub after: Option<Arc<CollectionState>>,
    /// Present if both are one collection that was neither dropped nor emptied in between and that
    /// was read from one base. Then its documents differ only where a document was written or
    /// deleted between the two times.
    pub same: Option<SameCollection>,
}

/// A collection that exists at two times and all the time between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameCollection {
    /// The UUID of the collection.
    pub uuid: [u8; 16],
    /// Every name that the collection ever had: a rename there and back may lie between the two
    /// times, or elsewhere.
    pub names: Vec<String>,
}

impl View<'_> {
    /// Returns every name that a collection has in this view or in the `other` view, in order.
    /// `other` has to be a view of the same history.
    pub fn pair_with(&self, other: &View<'_>) -> Vec<NamePair> {
        debug_assert!(std::ptr::eq(self.history, other.history), "two views of one history");
        let names = |view: &View<'_>| view.collections().into_iter().map(|state| state.ns.clone());
        let names: BTreeSet<String> = names(self).chain(names(other)).collect();
        let catalog = self.history.read_catalog();
        let named = |view: &View<'_>, ns: &str| {
            let named = catalog.named_at(view.generation, ns, view.at);
            named.map(|(number, state)| (number, Arc::clone(state)))
        };
        let pair = |ns: String| {
            let (before, after) = (named(self, &ns), named(other, &ns));
            let number = match (&before, &after) {
                (Some((one, _)), Some((other, _))) if one == other => Some(*one),
                _ => None,
            };
            let same = number.and_then(|number| catalog.get(number)).and_then(|collection| {
                let states = || collection.states.iter().filter_map(|(_, state)| state.as_ref());
                let names: BTreeSet<&String> = states().map(|state| &state.ns).collect();
                let names = names.into_iter().cloned().collect();
                Some(SameCollection { uuid: states().next()?.uuid, names })
            });
            let (before, after) = (before.map(|it| it.1), after.map(|it| it.1));
            NamePair { ns, before, after, same }
        };
        names.into_iter().map(pair).collect()
    }
}
