//! What a collection is at one time, besides its documents.

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};

use crate::HistoryError;

/// Identity, name, options and indexes of a collection at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionState {
    /// The UUID of the collection.
    pub uuid: [u8; 16],
    /// The namespace, `db.collection`.
    pub ns: String,
    /// The options as BSON, as `listCollections` returns them.
    pub options: Vec<u8>,
    /// The spec of the `_id` index. Clustered and time-series collections have none.
    pub id_index: Option<Vec<u8>>,
    /// The specs of the other indexes, in the order in which they were made.
    pub indexes: Vec<Vec<u8>>,
    /// Whether the collection is made up, for entries of the relaxed window whose collection is
    /// neither in the base nor created in the log. Such a collection must be dropped before the
    /// window ends, and a view never shows it.
    pub implicit: bool,
    /// Whether the history holds no documents of the collection, because the settings leave them
    /// out. A collection keeps this through renames.
    pub excluded: bool,
}

impl CollectionState {
    /// Returns a collection without options and indexes.
    pub fn new(uuid: [u8; 16], ns: impl Into<String>) -> Self {
        CollectionState {
            uuid,
            ns: ns.into(),
            options: Doc::EMPTY.as_bytes().to_vec(),
            id_index: None,
            indexes: Vec::new(),
            implicit: false,
            excluded: false,
        }
    }

    /// Returns the name of the database.
    pub fn database(&self) -> &str {
        database_of(&self.ns)
    }

    /// Returns whether the collection is capped.
    pub fn is_capped(&self) -> bool {
        self.option(b"capped").is_some_and(is_true)
    }

    /// Returns whether the collection is temporary: a primary that steps up drops it.
    pub fn is_temporary(&self) -> bool {
        self.option(b"temp").is_some_and(is_true)
    }

    /// Returns whether the collection is clustered.
    pub fn is_clustered(&self) -> bool {
        self.option(b"clusteredIndex").is_some()
    }

    /// Returns whether the collection holds the buckets of a time-series collection, or (from 8.3
    /// on) is itself a time-series collection.
    pub fn is_timeseries(&self) -> bool {
        self.option(b"timeseries").is_some()
    }

    /// Returns the collation by which the server compares strings of the collection; `None` where
    /// the server compares their bytes, as the history does.
    pub fn collation(&self) -> Option<Doc<'_>> {
        let collation = self.option(b"collation")?.as_doc()?;
        let locale = collation.get(b"locale").ok().flatten().and_then(Element::as_str);
        (locale != Some("simple")).then_some(collation)
    }

    /// Returns the options. The base or the catalog has checked that they are BSON.
    pub fn options(&self) -> Doc<'_> {
        Doc::new(&self.options).unwrap_or(Doc::EMPTY)
    }

    fn option(&self, name: &[u8]) -> Option<Element<'_>> {
        self.options().get(name).ok().flatten()
    }

    /// Checks that every piece of BSON in the state is valid, and that the name is a namespace.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let pieces = self.indexes.iter().chain(&self.id_index).chain([&self.options]);
        for bytes in pieces {
            Doc::new(bytes).and_then(Doc::validate).map_err(|e| format!("{}: {e}", self.ns))?;
        }
        if !self.ns.contains('.') {
            return Err(format!("{:?} is not a namespace", self.ns));
        }
        Ok(())
    }
}

/// Returns the database of a namespace. The name of a database contains no dot.
pub(crate) fn database_of(ns: &str) -> &str {
    ns.split_once('.').map_or(ns, |(database, _)| database)
}

fn is_true(element: Element<'_>) -> bool {
    element.as_bool().unwrap_or_else(|| element.as_integer().is_some_and(|n| n != 0))
}

/// Whether the server writes the documents of this namespace without logging, so that a logged
/// delete may find nothing (O16). The history promises nothing about their content.
pub(crate) fn is_written_unlogged(ns: &str) -> bool {
    matches!(
        ns,
        "config.transactions"
            | "config.image_collection"
            | "config.system.preimages"
            | "config.system.change_collection"
    )
}

/// Encodes the record of a collection: the generation it belongs to, and its state. A dropped
/// collection has no state.
pub(crate) fn encode(generation: u32, state: Option<&CollectionState>) -> Vec<u8> {
    let mut record = DocWriter::with_capacity(256);
    record.int64(b"generation", i64::from(generation));
    if let Some(state) = state {
        let mut uuid = vec![16, 0, 0, 0, 4];
        uuid.extend_from_slice(&state.uuid);
        record.value(kind::BINARY, b"uuid", &uuid).string(b"ns", &state.ns);
        record.value(kind::DOCUMENT, b"options", &state.options);
        if let Some(spec) = &state.id_index {
            record.value(kind::DOCUMENT, b"idIndex", spec);
        }
        record.open(kind::ARRAY, b"indexes");
        for (at, spec) in state.indexes.iter().enumerate() {
            record.value(kind::DOCUMENT, at.to_string().as_bytes(), spec);
        }
        record.close().value(kind::BOOL, b"implicit", &[u8::from(state.implicit)]);
        if state.excluded {
            record.value(kind::BOOL, b"excluded", &[1]);
        }
    }
    record.finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(u32, Option<CollectionState>), HistoryError> {
    decode_known(bytes).ok_or_else(|| HistoryError::corrupt("a collection record it cannot read"))
}

fn decode_known(bytes: &[u8]) -> Option<(u32, Option<CollectionState>)> {
    let record = Doc::new(bytes).ok()?;
    let field = |name: &[u8]| record.get(name).ok().flatten();
    let generation = u32::try_from(field(b"generation")?.as_integer()?).ok()?;
    let Some(uuid) = field(b"uuid") else {
        return Some((generation, None));
    };
    let indexes = field(b"indexes")?.as_array()?.elements();
    let state = CollectionState {
        uuid: uuid.as_uuid()?,
        ns: field(b"ns")?.as_str()?.to_owned(),
        options: field(b"options")?.as_doc()?.as_bytes().to_vec(),
        id_index: field(b"idIndex").and_then(Element::as_doc).map(|spec| spec.as_bytes().to_vec()),
        indexes: indexes
            .map(|spec| Some(spec.ok()?.as_doc()?.as_bytes().to_vec()))
            .collect::<Option<Vec<_>>>()?,
        implicit: field(b"implicit")?.as_bool()?,
        excluded: field(b"excluded").and_then(Element::as_bool).unwrap_or(false),
    };
    Some((generation, Some(state)))
}

pub(crate) fn timestamp(record: Doc<'_>, name: &[u8]) -> Option<Timestamp> {
    record.get(name).ok().flatten()?.as_timestamp()
}
