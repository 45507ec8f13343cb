//! Counts the unknown operations and commands that are skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// How often each name that is skipped was met since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Skips(Mutex<BTreeMap<String, u64>>);

impl Skips {
    pub(crate) fn new(names: &BTreeSet<String>) -> Self {
        Self(Mutex::new(names.iter().map(|name| (name.clone(), 0)).collect()))
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().expect("no one panics while counting").clone()
    }

    /// Counts a skip, and returns the number of skips; `None` if the name is not to be skipped.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        let mut counts = self.0.lock().expect("no one panics while counting");
        let count = counts.get_mut(name)?;
        *count += 1;
        Some(*count)
    }
}
