//! Trims capped collections where the log does not report the trimming.
//!
//! From feature compatibility version 5.0 on a primary logs what it removes from a capped
//! collection. Below 5.0, every member trims by itself and logs nothing, so the history does what
//! the members do: after an insert it removes the oldest documents, until the collection is within
//! its `size` and its `max` (docs/decisions/0003).

use std::collections::{BTreeMap, HashMap};

use hindsight_oplog::raw::{Doc, DocWriter, Element};
use hindsight_oplog::{FEATURE_VERSION_ID, FeatureVersion, Series, id_key};

use crate::unit::{Target, Unit};
use crate::value::{self, Order, Stored};
use crate::{ApplyError, CollectionState, HistoryError, Writer, key};

/// The collection that holds the feature compatibility version.
pub(crate) const SYSTEM_VERSION: &str = "admin.system.version";
/// From this version on, the server logs what it trims.
const LOGGED_SINCE: Series = Series::new(5, 0);
/// Sizes in bytes are rounded up to a multiple of this.
const SIZE_UNIT: u64 = 256;
/// The size in bytes of a capped collection that has none.
const DEFAULT_SIZE: u64 = 4096;

/// What the writer knows for trimming.
#[derive(Default)]
pub(crate) struct Trimming {
    /// Whether the history has to trim; `None` when the feature version may have been written since
    /// it was last looked up.
    needed: Option<bool>,
    /// The feature compatibility version, if it was looked up since it was last written.
    feature_version: Option<Option<FeatureVersion>>,
    /// By number. A queue is filled at the first insert into its collection. There are no queues
    /// where nothing is trimmed.
    queues: HashMap<u32, Queue>,
}

/// The documents of one collection in natural order. Takes about 100 bytes of memory per document.
struct Queue {
    limits: Limits,
    /// Size by place and prefix.
    documents: BTreeMap<(Order, Box<[u8]>), u64>,
    bytes: u64,
}

/// What a collection may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    bytes: u64,
    documents: usize,
}

impl Limits {
    fn of(state: &CollectionState) -> Self {
        let options = state.options();
        let number = |name: &[u8]| {
            let number = options.get(name).ok().flatten().and_then(Element::as_integer);
            number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
        };
        let bytes = number(b"size")
            .map_or(DEFAULT_SIZE, |size| size.checked_next_multiple_of(SIZE_UNIT).unwrap_or(size));
        let documents = number(b"max").and_then(|max| usize::try_from(max).ok());
        Limits { bytes, documents: documents.unwrap_or(usize::MAX) }
    }
}

impl Queue {
    fn new(limits: Limits) -> Self {
        Queue { limits, documents: BTreeMap::new(), bytes: 0 }
    }

    fn add(&mut self, order: Order, prefix: &[u8], bytes: usize) {
        let bytes = bytes as u64;
        self.bytes += bytes;
        let before = self.documents.insert((order, prefix.into()), bytes);
        self.bytes -= before.unwrap_or(0);
    }

    fn remove(&mut self, order: Order, prefix: &[u8]) {
        let removed = self.documents.remove(&(order, prefix.into()));
        self.bytes -= removed.unwrap_or(0);
    }

    /// If there is too much, takes out the oldest document and returns its prefix. The newest
    /// document always stays.
    fn pop_excess(&mut self) -> Option<Box<[u8]>> {
        let held = self.documents.len();
        if held < 2 || (self.bytes <= self.limits.bytes && held <= self.limits.documents) {
            return None;
        }
        let ((_, prefix), bytes) = self.documents.pop_first()?;
        self.bytes -= bytes;
        Some(prefix)
    }
}

impl Trimming {
    /// Notes that the feature version may have changed.
    pub(crate) fn look_again(&mut self) {
        self.needed = None;
        self.feature_version = None;
    }

    /// Notes that the collection was changed, or is gone.
    pub(crate) fn forget(&mut self, number: u32) {
        self.queues.remove(&number);
    }

    /// Notes that a document has another size, or (`None`) is gone.
    pub(crate) fn changed(
        &mut self,
        number: u32,
        prefix: &[u8],
        order: Option<Order>,
        bytes: Option<usize>,
    ) {
        let Some((queue, order)) = self.queues.get_mut(&number).zip(order) else { return };
        match bytes {
            Some(bytes) => queue.add(order, prefix, bytes),
            None => queue.remove(order, prefix),
        }
    }
}

impl Writer<'_> {
    /// Whether capped collections have to be trimmed now. The writer may lose the current document.
    pub(crate) fn trims(&mut self) -> Result<bool, ApplyError> {
        if let Some(needed) = self.trimming.needed {
            return Ok(needed);
        }
        let needed = self.feature_version()?.is_some_and(|it| it.version < LOGGED_SINCE);
        if !needed {
            // From here on the queues would not be kept up to date.
            self.trimming.queues.clear();
        }
        self.trimming.needed = Some(needed);
        Ok(needed)
    }

    /// Returns the feature compatibility version; `None` if the base has none. The writer may lose
    /// the current document.
    pub(crate) fn feature_version(&mut self) -> Result<Option<FeatureVersion>, ApplyError> {
        match self.trimming.feature_version {
            Some(known) => Ok(known),
            None => {
                let read = |document: Doc<'_>| FeatureVersion::read(document).ok().flatten();
                let found = self.feature_document(read)?;
                Ok(*self.trimming.feature_version.insert(found))
            }
        }
    }

    /// Returns what `read` finds in the document of the feature compatibility version, as it is
    /// now; `None` if the base has none. The writer may lose the current document.
    pub(crate) fn feature_document<T>(
        &mut self,
        read: impl FnOnce(Doc<'_>) -> Option<T>,
    ) -> Result<Option<T>, ApplyError> {
        let live =
            self.history.read_catalog().live_named(self.generation.id, SYSTEM_VERSION).map(|l| l.0);
        let Some(number) = live else { return Ok(None) };
        let mut id = DocWriter::new();
        id.string(b"_id", FEATURE_VERSION_ID);
        let id = id.finish();
        let id = Doc::new(&id).and_then(|id| id.first()).ok().flatten();
        let Some(id) = id else { return Ok(None) };
        self.prefix.clear();
        key::push_number(&mut self.prefix, number);
        id_key::encode(id, &mut self.prefix);
        let mut found = None;
        self.find(self.latest.hash(&self.prefix), |document| {
            found = read(document);
            Ok(())
        })?;
        Ok(found)
    }

    /// Removes the oldest documents after the insert of the current document, which had the place
    /// `before` until now.
    pub(crate) fn trim(
        &mut self,
        unit: &Unit,
        target: &Target,
        before: Option<Order>,
        order: Order,
        bytes: usize,
    ) -> Result<(), ApplyError> {
        let number = target.number;
        if let Some(queue) = self.trimming.queues.get_mut(&number) {
            if let Some(before) = before {
                queue.remove(before, &self.prefix);
            }
            queue.add(order, &self.prefix, bytes);
        } else {
            let queue = self.read_queue(number)?;
            self.trimming.queues.insert(number, queue);
        }
        while let Some(oldest) = self.trimming.queues.get_mut(&number).and_then(Queue::pop_excess) {
            let hash = self.latest.hash(&oldest);
            self.deleted.push(key::deleted(unit.visible, &oldest));
            self.latest.push(hash, &oldest, unit.visible, |out| {
                out.extend_from_slice(value::TOMBSTONE_VALUE);
            });
        }
        Ok(())
    }

    /// Reads what a collection holds now: what is stored, and what is to be stored on top of it.
    fn read_queue(&mut self, number: u32) -> Result<Queue, ApplyError> {
        self.storing.wait()?;
        let limits = {
            let catalog = self.history.read_catalog();
            let state = catalog.get(number).and_then(|collection| collection.newest());
            Limits::of(state.ok_or_else(|| HistoryError::corrupt("a number without a state"))?)
        };
        let mut queue = Queue::new(limits);
        let mut pending: HashMap<&[u8], &[u8]> = HashMap::new();
        for (key, value) in self.latest.pending() {
            if key.starts_with(&number.to_be_bytes()) {
                pending.insert(key::prefix_of_version(key), value);
            }
        }
        for (prefix, value) in &pending {
            add_stored(&mut queue, prefix, value)?;
        }
        let mut seen = Vec::new();
        let mut versions = self.history.versions_of(number);
        while let Some((key, value)) = versions.item() {
            let prefix = key::prefix_of_version(key);
            // The first version is the newest.
            if prefix != seen {
                seen.clear();
                seen.extend_from_slice(prefix);
                if !pending.contains_key(prefix) {
                    add_stored(&mut queue, prefix, value)?;
                }
            }
            versions.next();
        }
        versions.status()?;
        Ok(queue)
    }
}

fn add_stored(queue: &mut Queue, prefix: &[u8], value: &[u8]) -> Result<(), HistoryError> {
    match value::parse(value)? {
        Stored::Tombstone => {}
        Stored::Document { document, order } => {
            let order =
                order.ok_or_else(|| HistoryError::corrupt("no order in a capped collection"))?;
            queue.add(order, prefix, document.as_bytes().len());
        }
        Stored::Delta { .. } => {
            return Err(HistoryError::corrupt("a delta in a capped collection"));
        }
    }
    Ok(())
}
