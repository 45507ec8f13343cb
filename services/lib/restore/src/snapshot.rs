//! The interface from which a restore reads the state.

use hindsight_oplog::Timestamp;

/// The error of a source that cannot read the state.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The documents of one collection, each as its raw bytes.
pub type DocumentIterator<'a> = Box<dyn Iterator<Item = Result<Vec<u8>, SourceError>> + Send + 'a>;

/// The state of all collections at one timestamp. It does not change while it is read. Its methods
/// may block.
pub trait Snapshot: Send + Sync {
    /// Returns the timestamp of the state.
    fn timestamp(&self) -> Timestamp;

    /// Returns every collection of the state.
    ///
    /// # Errors
    /// Returns the source's error when the catalog cannot be read.
    fn collections(&self) -> Result<Vec<CollectionState>, SourceError>;

    /// Returns what users should know about this state before it is restored.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the documents of a collection: in natural order for capped collections, in the order
    /// of `_id` otherwise.
    ///
    /// # Errors
    /// Returns the source's error when reading cannot begin. Each document may be an error, too.
    fn documents<'a>(
        &'a self,
        collection: &'a CollectionState,
    ) -> Result<DocumentIterator<'a>, SourceError>;
}

/// A collection as it was at the snapshot's timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionState {
    /// The name of the database.
    pub db: String,
    /// The name of the collection, without the database.
    pub name: String,
    /// The UUID of the collection on the source.
    pub uuid: [u8; 16],
    /// The options as raw BSON, exactly as in `options` of `listCollections`.
    pub options: Vec<u8>,
    /// Raw specifications as `listIndexes` returns them, including `_id_`.
    pub indexes: Vec<Vec<u8>>,
    /// The number of documents, if it is known without reading them; for progress only.
    pub documents_hint: Option<u64>,
    /// The bytes of all documents, if the number is known without reading them; for progress only.
    pub bytes_hint: Option<u64>,
}

impl CollectionState {
    /// Returns `db.name`.
    pub fn namespace(&self) -> String {
        format!("{}.{}", self.db, self.name)
    }
}
