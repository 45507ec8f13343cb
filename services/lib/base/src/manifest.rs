//! What a base says about itself.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Serialize};

mod check;
mod file;
mod text;

pub(crate) use file::{read, write};
pub use text::uuid_text;

/// The newest format that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// A collection's UUID, as in the oplog's `ui`.
pub type Uuid = [u8; 16];

/// How a base was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// Scanned by this program from a live member.
    Copy,
    /// Made from a mongodump directory or archive.
    Import,
    /// Read from a mongod started on a filesystem snapshot.
    Attach,
    /// Written from a history, that is from an earlier base and the log.
    History,
}

/// Where the data came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `settings.replicaSetId`; None where the source did not report it.
    #[serde(with = "text::object_id")]
    pub replica_set_id: Option<[u8; 12]>,
    /// The name of the replica set.
    pub set_name: String,
    /// `host:port` of the member, as the replica set calls it.
    pub member: String,
    /// The version of the member's server.
    pub server_version: String,
    /// The source's feature compatibility version. None when it is not known.
    pub feature_compatibility_version: Option<String>,
}

/// Where a base stands among the source's positions.
///
/// To rebuild a state, load the documents. Then apply, in order, every apply unit whose last entry
/// comes after `start`: relaxed up to `exact_from`, strictly from there on. That includes units
/// whose *visible time* is not after `start` (prepared before it, committed after it). So in a
/// history, the documents belong before `capture_from`, not at `start`. No state before
/// `exact_from` is promised: up to there, the documents are from many different times, a name may
/// belong to two collections at once, and only UUIDs tell them apart.
///
/// A unit that ends at or before `scanned_after` and whose first entries are older than
/// `capture_from` is in the documents already, and must be skipped. A unit that ends later cannot
/// lack its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// How the base was made.
    pub kind: BaseKind,
    /// Where the data came from.
    pub source: Source,
    /// The top of the majority-committed oplog, noted before anything was read.
    #[serde(with = "text::optime")]
    pub start: OpTime,
    /// The first entry of the oldest transaction that was open at `start`.
    #[serde(with = "text::optional_optime")]
    pub oldest_open: Option<OpTime>,
    /// Every scan saw at least everything up to this time.
    #[serde(with = "text::timestamp")]
    pub scanned_after: Timestamp,
    /// The majority point when all scans had ended. States are exact from here on.
    #[serde(with = "text::optime")]
    pub exact_from: OpTime,
    /// When the copy ended, by the source's clock, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl Origin {
    /// Returns the optime from which the log must hold every entry, including the entry at that
    /// optime.
    pub fn capture_from(&self) -> OpTime {
        self.oldest_open.map_or(self.start, |open| open.min(self.start))
    }
}

/// A collection as the source's catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionInfo {
    /// The name of the database.
    pub db: String,
    /// The name of the collection, without the database.
    pub name: String,
    /// The collection's UUID.
    #[serde(with = "text::uuid")]
    pub uuid: Uuid,
    /// `type` of `listCollections`: `collection`. Views are documents of `system.views`, and
    /// time-series collections are their buckets.
    #[serde(rename = "type")]
    pub kind: String,
    /// `options` of `listCollections`, as raw BSON.
    #[serde(with = "text::hex")]
    pub options: Vec<u8>,
    /// `idIndex` of `listCollections`, as raw BSON. A clustered collection has none.
    #[serde(with = "text::optional_hex")]
    pub id_index: Option<Vec<u8>>,
    /// The specifications of `listIndexes`, as raw BSON. Only finished builds are included.
    #[serde(with = "text::hex_list")]
    pub indexes: Vec<Vec<u8>>,
}

/// A collection in a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionEntry {
    /// The collection as the source's catalog described it.
    #[serde(flatten)]
    pub info: CollectionInfo,
    /// True when the collection vanished while it was copied. It has no documents here. Its drop is
    /// in the log, not after `exact_from`.
    pub dropped_during_copy: bool,
    /// The number of documents.
    pub documents: u64,
    /// The length of all documents in bytes, uncompressed.
    pub raw_bytes: u64,
    /// The length of all files in bytes.
    pub stored_bytes: u64,
    /// The data files. In this order they hold the documents in the source's natural order.
    pub files: Vec<DataFile>,
}

/// One file of documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The file's name in the base's directory.
    pub name: String,
    /// The number of documents in the file.
    pub documents: u64,
    /// The number of frames in the file.
    pub frames: u64,
    /// The length of the file's documents in bytes, uncompressed.
    pub raw_bytes: u64,
    /// The file's length in bytes.
    pub stored_bytes: u64,
    /// BLAKE3 of the whole file.
    #[serde(with = "text::digest")]
    pub blake3: [u8; 32],
}

/// Everything that `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format version of the base.
    pub format: u32,
    /// The version of the program that wrote the base.
    pub hindsight_version: String,
    /// Where the base stands among the source's positions.
    #[serde(flatten)]
    pub origin: Origin,
    /// [`Origin::capture_from`], written out for people.
    #[serde(with = "text::optime")]
    pub(crate) capture_from: OpTime,
    /// The collections, ordered by database and name.
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

    /// Returns the number of documents in the base.
    pub fn documents(&self) -> u64 {
        self.collections.iter().map(|entry| entry.documents).sum()
    }

    /// Returns the length of all documents in bytes, uncompressed.
    pub fn raw_bytes(&self) -> u64 {
        self.collections.iter().map(|entry| entry.raw_bytes).sum()
    }

    /// Returns the length of all data files in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.collections.iter().map(|entry| entry.stored_bytes).sum()
    }
}
