//! Where a restore takes the state from.

use hindsight_oplog::Timestamp;

/// What the source of the state says when it cannot give it.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The documents of one collection, each as its raw bytes.
pub type DocumentIterator<'a> = Box<dyn Iterator<Item = Result<Vec<u8>, SourceError>> + Send + 'a>;

/// The state of all collections at one timestamp. It does not change while it is read. Its methods
/// may block.
pub trait Snapshot: Send + Sync {
    fn timestamp(&self) -> Timestamp;

    fn collections(&self) -> Result<Vec<CollectionState>, SourceError>;

    /// What is known of this state that people should know before it is restored.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// In natural order for capped collections, in the order of `_id` otherwise.
    fn documents<'a>(
        &'a self,
        collection: &'a CollectionState,
    ) -> Result<DocumentIterator<'a>, SourceError>;
}

/// A collection as it was at the snapshot's timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionState {
    pub db: String,
    pub name: String,
    pub uuid: [u8; 16],
    /// Raw BSON, exactly as `options` of `listCollections`.
    pub options: Vec<u8>,
    /// Raw specifications as `listIndexes` gives them, `_id_` included.
    pub indexes: Vec<Vec<u8>>,
    /// How many documents there are, where that is known without reading them; for progress only.
    pub documents_hint: Option<u64>,
    /// How many bytes they take, where that is known without reading them; for progress only.
    pub bytes_hint: Option<u64>,
}

impl CollectionState {
    /// `db.name`.
    pub fn namespace(&self) -> String {
        format!("{}.{}", self.db, self.name)
    }
}
