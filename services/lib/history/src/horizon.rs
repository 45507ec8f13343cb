//! The horizon: the oldest time that the history still answers for.
//!
//! Compactions leave out the versions that no time from the horizon on can show. A version is left
//! out when a newer whole version of the same document is at or before the horizon: the state at
//! the horizon is that whole version and the deltas on top of it, so nothing below it is needed.
//! What was deleted before the horizon needs one more step, [`crate::History::forget_before`],
//! because a compaction that does not see all files cannot know whether older versions are left.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use hindsight_oplog::Timestamp;
use rocksdb::CompactionDecision;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

use crate::{key, value};

/// The horizon, as readers, compactions and the one who moves it share it. It only grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Horizon(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// From here on versions are kept: what compactions go by.
    kept_from: AtomicU64,
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    /// No reader may start before this time. At or after `kept_from`.
    oldest: Timestamp,
    /// How many readers read as of each time.
    pinned: BTreeMap<Timestamp, usize>,
}

/// Keeps the horizon from passing a time while somebody reads as of that time.
#[derive(Debug)]
pub(crate) struct Pin {
    horizon: Horizon,
    at: Timestamp,
}

impl Horizon {
    /// Starts with the horizon that is on disk.
    pub(crate) fn begin_at(&self, oldest: Timestamp) {
        self.readers().oldest = oldest;
        self.0.kept_from.store(oldest.as_u64(), Ordering::Release);
    }

    /// Returns the oldest time as of which a reader may start.
    pub(crate) fn oldest(&self) -> Timestamp {
        self.readers().oldest
    }

    /// Lets somebody read as of a time; `None` when the horizon has passed the time.
    pub(crate) fn pin(&self, at: Timestamp) -> Option<Arc<Pin>> {
        let mut readers = self.readers();
        if at < readers.oldest {
            return None;
        }
        *readers.pinned.entry(at).or_default() += 1;
        Some(Arc::new(Pin { horizon: self.clone(), at }))
    }

    /// Lets somebody read as of any time from the horizon on.
    pub(crate) fn pin_oldest(&self) -> Arc<Pin> {
        let mut readers = self.readers();
        let at = readers.oldest;
        *readers.pinned.entry(at).or_default() += 1;
        Arc::new(Pin { horizon: self.clone(), at })
    }

    /// Moves the horizon for new readers, as far as the present readers let it. Returns the
    /// horizon. Compactions follow with [`Horizon::keep_from`], once it is on disk.
    pub(crate) fn move_to(&self, wanted: Timestamp) -> Timestamp {
        let mut readers = self.readers();
        let first = readers.pinned.keys().next().copied().unwrap_or(Timestamp::MAX);
        readers.oldest = readers.oldest.max(wanted.min(first));
        readers.oldest
    }

    pub(crate) fn keep_from(&self, oldest: Timestamp) {
        self.0.kept_from.fetch_max(oldest.as_u64(), Ordering::AcqRel);
    }

    /// Returns the horizon that is on disk.
    pub(crate) fn kept_from(&self) -> Timestamp {
        Timestamp::from_u64(self.0.kept_from.load(Ordering::Acquire))
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.0.readers.lock().expect("no one panics while counting readers")
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut readers = self.horizon.readers();
        if let Entry::Occupied(mut count) = readers.pinned.entry(self.at) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Decides for one version after the other, in the order of keys, whether it is superseded.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    /// Number and id key of the current document.
    prefix: Vec<u8>,
    /// Whether a whole version of the current document is at or before the horizon.
    is_covered: bool,
}

impl Superseded {
    pub(crate) fn is(&mut self, horizon: Timestamp, key: &[u8], bytes: &[u8]) -> bool {
        if !key::is_version(key) {
            return false;
        }
        let prefix = key::prefix_of_version(key);
        if self.prefix != prefix {
            self.prefix.clear();
            self.prefix.extend_from_slice(prefix);
            self.is_covered = false;
        }
        if self.is_covered {
            return true;
        }
        let time = key::time_of_version(key);
        self.is_covered = time.is_some_and(|time| time <= horizon) && !value::is_delta(bytes);
        false
    }
}

const NAME: &CStr = c"hindsight.history.horizon.1";

/// Makes a filter for each compaction.
pub(crate) struct ForgetSuperseded(pub(crate) Horizon);

/// The filter of one compaction. It uses the horizon of the compaction's beginning.
pub(crate) struct Filter {
    horizon: Timestamp,
    superseded: Superseded,
}

impl CompactionFilterFactory for ForgetSuperseded {
    type Filter = Filter;

    fn create(&mut self, _: CompactionFilterContext) -> Filter {
        Filter { horizon: self.0.kept_from(), superseded: Superseded::default() }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _: u32, key: &[u8], value: &[u8]) -> CompactionDecision {
        match self.superseded.is(self.horizon, key, value) {
            true => CompactionDecision::Remove,
            false => CompactionDecision::Keep,
        }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::value::Chain;

    fn key_of(id: &[u8], seconds: u32) -> Vec<u8> {
        let mut key = Vec::new();
        key::push_number(&mut key, 1);
        key.extend_from_slice(id);
        key::push_time(&mut key, Timestamp::new(seconds, 1));
        key
    }

    /// Returns the times of what is left of a document's versions: `d` a delta, `w` a whole
    /// document, `x` a deletion. Newest first.
    fn left(horizon: u32, versions: &[(u32, char)]) -> Vec<u32> {
        let chain = Chain { previous: Timestamp::new(1, 1), deltas: 1, bytes: 5 };
        let empty = [5, 0, 0, 0, 0];
        let mut superseded = Superseded::default();
        let mut left = Vec::new();
        for &(seconds, kind) in versions {
            let mut bytes = Vec::new();
            match kind {
                'd' => value::push_delta(&mut bytes, &empty, chain),
                'w' => value::push_document(&mut bytes, &empty, None),
                _ => bytes.extend_from_slice(value::TOMBSTONE_VALUE),
            }
            let horizon = Timestamp::new(horizon, 1);
            if !superseded.is(horizon, &key_of(b"id", seconds), &bytes) {
                left.push(seconds);
            }
        }
        left
    }

    #[test]
    fn what_the_horizon_can_still_show_is_kept() {
        let versions = [(9, 'd'), (8, 'w'), (7, 'd'), (6, 'd'), (5, 'w'), (4, 'd'), (3, 'w')];
        assert_eq!(left(0, &versions).len(), 7);
        assert_eq!(left(7, &versions), [9, 8, 7, 6, 5]);
        assert_eq!(left(6, &versions), [9, 8, 7, 6, 5]);
        assert_eq!(left(5, &versions), [9, 8, 7, 6, 5]);
        assert_eq!(left(4, &versions), [9, 8, 7, 6, 5, 4, 3]);
        assert_eq!(left(8, &versions), [9, 8]);
        assert_eq!(left(20, &versions), [9, 8]);
        assert_eq!(left(20, &[(9, 'x'), (8, 'w'), (7, 'w')]), [9]);
    }

    #[test]
    fn the_horizon_waits_for_readers_and_new_readers_respect_it() {
        let at = |seconds| Timestamp::new(seconds, 1);
        let horizon = Horizon::default();
        let (early, late) = (horizon.pin(at(5)).unwrap(), horizon.pin(at(9)).unwrap());
        let other = horizon.pin(at(5)).unwrap();
        assert_eq!(horizon.move_to(at(7)), at(5));
        drop(early);
        assert_eq!(horizon.move_to(at(7)), at(5));
        drop(other);
        assert_eq!(horizon.move_to(at(7)), at(7));
        assert!(horizon.pin(at(6)).is_none() && horizon.pin(at(7)).is_some());
        assert_eq!(horizon.move_to(at(20)), at(9));
        drop(late);
        assert_eq!(horizon.move_to(at(1)), at(9), "never back");
        assert_eq!(horizon.kept_from(), Timestamp::ZERO, "compactions wait for the disk");
        horizon.keep_from(at(9));
        assert_eq!(horizon.kept_from(), at(9));
    }

    #[test]
    fn documents_do_not_supersede_each_other_and_records_are_no_versions() {
        let mut superseded = Superseded::default();
        let horizon = Timestamp::new(9, 1);
        for id in [b"a", b"b"] {
            let is = superseded.is(horizon, &key_of(id, 5), value::TOMBSTONE_VALUE);
            assert!(!is);
        }
        assert!(superseded.is(horizon, &key_of(b"b", 4), value::TOMBSTONE_VALUE));
        for record in [key::FORMAT, key::HORIZON, key::GENERATIONS] {
            assert!(!superseded.is(horizon, record, b"1"));
        }
    }
}
