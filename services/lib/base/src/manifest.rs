//! What a base says about itself.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Serialize};

mod check;
mod file;
mod text;

pub(crate) use file::{read, write};
pub use text::uuid_text;

/// The newest format this version writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// A collection's UUID, as in the oplog's `ui`.
pub type Uuid = [u8; 16];

/// How a base came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// Scanned by us from a live member.
    Copy,
    /// Made from a mongodump directory or archive.
    Import,
    /// Read from a mongod started on a filesystem snapshot.
    Attach,
}

/// Where the data came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `settings.replicaSetId`; nothing where the source did not tell.
    #[serde(with = "text::object_id")]
    pub replica_set_id: Option<[u8; 12]>,
    pub set_name: String,
    /// `host:port` of the member, as the set calls it.
    pub member: String,
    pub server_version: String,
    pub feature_compatibility_version: Option<String>,
}

/// Where a base stands among the source's positions.
///
/// To rebuild a state, load the documents and then apply every apply unit whose last entry comes
/// after `start`, in order: relaxed up to `exact_from`, strictly from there on. That includes units
/// whose *visible time* is not after `start` (prepared before it, committed after). So in a history
/// the documents belong before `capture_from`, not at `start`. No state before `exact_from` is
/// promised: up to there the documents are of many times, names may belong to two collections at
/// once, and only UUIDs tell them apart.
///
/// A unit that ends no later than `scanned_after` and whose first entries are older than
/// `capture_from` is in the documents already and is to be passed over; one that ends later cannot
/// lack its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub kind: BaseKind,
    pub source: Source,
    /// The top of the majority-committed oplog, noted before anything was read.
    #[serde(with = "text::optime")]
    pub start: OpTime,
    /// First entry of the oldest transaction that was open at `start`.
    #[serde(with = "text::optional_optime")]
    pub oldest_open: Option<OpTime>,
    /// Every scan saw at least everything up to here.
    #[serde(with = "text::timestamp")]
    pub scanned_after: Timestamp,
    /// The majority point when all scans had ended: a state is exact from here on.
    #[serde(with = "text::optime")]
    pub exact_from: OpTime,
    /// Milliseconds since the epoch by the source's clock, when the copy ended.
    pub created_ms: i64,
}

impl Origin {
    /// The log must hold every entry from here on, this one included.
    pub fn capture_from(&self) -> OpTime {
        self.oldest_open.map_or(self.start, |open| open.min(self.start))
    }
}

/// A collection as the source's catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionInfo {
    pub db: String,
    pub name: String,
    #[serde(with = "text::uuid")]
    pub uuid: Uuid,
    /// `type` of `listCollections`: `collection`. Views are documents of `system.views`,
    /// time-series are buckets.
    #[serde(rename = "type")]
    pub kind: String,
    /// `options` of `listCollections`, raw.
    #[serde(with = "text::hex")]
    pub options: Vec<u8>,
    /// `idIndex` of `listCollections`, raw; a clustered collection has none.
    #[serde(with = "text::optional_hex")]
    pub id_index: Option<Vec<u8>>,
    /// Specifications of `listIndexes`, raw, finished builds only.
    #[serde(with = "text::hex_list")]
    pub indexes: Vec<Vec<u8>>,
}

/// A collection in a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionEntry {
    #[serde(flatten)]
    pub info: CollectionInfo,
    /// It vanished while it was copied. It has no documents here; its drop is in the log, not after
    /// `exact_from`.
    pub dropped_during_copy: bool,
    pub documents: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    /// In this order they hold the documents in the source's natural order.
    pub files: Vec<DataFile>,
}

/// One file of documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    pub name: String,
    pub documents: u64,
    pub frames: u64,
    pub raw_bytes: u64,
    /// The file's length.
    pub stored_bytes: u64,
    /// BLAKE3 of the whole file.
    #[serde(with = "text::digest")]
    pub blake3: [u8; 32],
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub hindsight_version: String,
    #[serde(flatten)]
    pub origin: Origin,
    /// [`Origin::capture_from`], written out for people.
    #[serde(with = "text::optime")]
    pub(crate) capture_from: OpTime,
    /// Ordered by database and name.
    pub collections: Vec<CollectionEntry>,
}

impl Manifest {
    pub(crate) fn new(origin: Origin, mut collections: Vec<CollectionEntry>) -> Self {
        collections.sort_by(|a, b| {
            let key = |entry: &CollectionEntry| {
                (entry.info.db.clone(), entry.info.name.clone(), entry.info.uuid)
            };
            key(a).cmp(&key(b))
        });
        Manifest {
            format: FORMAT,
            hindsight_version: env!("CARGO_PKG_VERSION").to_owned(),
            capture_from: origin.capture_from(),
            origin,
            collections,
        }
    }

    pub fn documents(&self) -> u64 {
        self.collections.iter().map(|entry| entry.documents).sum()
    }

    pub fn raw_bytes(&self) -> u64 {
        self.collections.iter().map(|entry| entry.raw_bytes).sum()
    }

    pub fn stored_bytes(&self) -> u64 {
        self.collections.iter().map(|entry| entry.stored_bytes).sum()
    }
}
