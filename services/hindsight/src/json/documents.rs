use anyhow::Result;
use bytes::Bytes;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{PositionJson, WindowJson};
use crate::extended_json;
use crate::times::from_api;

/// How documents are written: both are Extended JSON v2 with fields in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Notation {
    /// Every type is kept: `{"$numberInt":"42"}`.
    #[default]
    Canonical,
    /// Easier to read: `42`; numbers lose their types.
    Relaxed,
}

impl Notation {
    /// # Errors
    /// Bytes that JSON cannot carry.
    pub fn of(self, bytes: &[u8]) -> Result<Value> {
        match self {
            Self::Canonical => extended_json::of(bytes),
            Self::Relaxed => extended_json::relaxed(bytes),
        }
    }

    fn of_each(self, all: &[Bytes]) -> Result<Vec<Value>> {
        all.iter().map(|bytes| self.of(bytes)).collect()
    }

    fn of_some(self, bytes: Option<&Bytes>) -> Result<Option<Value>> {
        bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| self.of(bytes)).transpose()
    }

    /// The value of `_id` in `{_id: …}`.
    fn of_id(self, bytes: &[u8]) -> Result<Value> {
        Ok(self.of(bytes)?.get_mut("_id").map(Value::take).unwrap_or_default())
    }
}

/// What a time means.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResolvedTime)]
pub struct ResolvedTimeJson {
    /// The last position included.
    pub at: Option<PositionJson>,
    /// The same for people.
    pub utc: Option<String>,
    pub window: Option<WindowJson>,
    /// The last entry at or before it.
    #[schema(value_type = Option<Object>)]
    pub last_included: Option<Value>,
    /// The first entry after it.
    #[schema(value_type = Option<Object>)]
    pub first_excluded: Option<Value>,
}

impl ResolvedTimeJson {
    pub fn of(answer: api::ResolveTimeResponse, notation: Notation) -> Result<Self> {
        let utc = answer.at.map(|at| from_api(at).for_people().to_string());
        Ok(Self {
            at: answer.at.map(Into::into),
            utc,
            window: answer.window.map(Into::into),
            last_included: notation.of_some(Some(&answer.last_included))?,
            first_excluded: notation.of_some(Some(&answer.first_excluded))?,
        })
    }
}

/// Entries of the oplog, oldest first.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Entries)]
pub struct EntriesJson {
    #[schema(value_type = Vec<Object>)]
    pub entries: Vec<Value>,
    /// With `before_context`: for each entry whether it is there only because of the one that follows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub context: Vec<bool>,
}

impl EntriesJson {
    pub fn add(&mut self, answer: &api::SearchEntriesResponse, notation: Notation) -> Result<()> {
        self.entries.extend(notation.of_each(&answer.entries)?);
        self.context.extend(&answer.context);
        Ok(())
    }
}

/// A document as it was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DocumentAt)]
pub struct DocumentJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Object)]
    pub document: Value,
}

impl DocumentJson {
    pub fn of(answer: &api::GetDocumentResponse, notation: Notation) -> Result<Self> {
        Ok(Self { at: answer.at.map(Into::into), document: notation.of(&answer.document)? })
    }
}

/// Documents as they were, in the order of `_id`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = DocumentsAt)]
pub struct DocumentsJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Vec<Object>)]
    pub documents: Vec<Value>,
    /// Empty: these were the last ones.
    pub next_page_token: String,
}

impl DocumentsJson {
    pub fn add(&mut self, answer: &api::ScanCollectionResponse, notation: Notation) -> Result<()> {
        self.at = answer.at.map(Into::into);
        self.documents.extend(notation.of_each(&answer.documents)?);
        self.next_page_token.clone_from(&answer.next_page_token);
        Ok(())
    }
}

/// Versions of one document, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Versions)]
pub struct VersionsJson {
    pub versions: Vec<VersionJson>,
    /// Empty: these were the last ones.
    pub next_page_token: String,
}

/// A document from `from` on, until the next version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionJson {
    pub from: Option<PositionJson>,
    /// `null`: it was deleted.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// `base`, `entry`, `collection_named` or `collection_unnamed`.
    pub cause: String,
}

impl VersionJson {
    pub fn of(version: &api::Version, notation: Notation) -> Result<Self> {
        Ok(Self {
            from: version.from.map(Into::into),
            document: notation.of_some(version.document.as_ref())?,
            cause: version.cause().as_str_name().to_ascii_lowercase(),
        })
    }
}

impl VersionsJson {
    pub fn of(answer: api::ListVersionsResponse, notation: Notation) -> Result<Self> {
        let versions = answer.versions.iter().map(|version| VersionJson::of(version, notation));
        let versions = versions.collect::<Result<_>>()?;
        Ok(Self { versions, next_page_token: answer.next_page_token })
    }
}

/// The collections and views there were, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collections)]
pub struct CollectionsJson {
    pub at: Option<PositionJson>,
    pub collections: Vec<CollectionJson>,
    /// Empty: these were the last ones.
    pub next_page_token: String,
}

/// A collection or a view.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collection)]
pub struct CollectionJson {
    pub ns: String,
    /// `collection`, `view` or `timeseries`.
    pub r#type: String,
    /// In hexadecimal; `null` for views.
    pub uuid: Option<String>,
    #[schema(value_type = Object)]
    pub options: Value,
    #[schema(value_type = Vec<Object>)]
    pub indexes: Vec<Value>,
}

impl CollectionJson {
    pub fn of(collection: &api::Collection, notation: Notation) -> Result<Self> {
        let uuid =
            bson::Uuid::from_bytes(<[u8; 16]>::try_from(&collection.uuid[..]).unwrap_or_default());
        Ok(Self {
            ns: collection.ns.clone(),
            r#type: collection.r#type.clone(),
            uuid: (collection.uuid.len() == 16).then(|| uuid.to_string()),
            options: notation.of(&collection.options)?,
            indexes: notation.of_each(&collection.indexes)?,
        })
    }
}

impl CollectionsJson {
    pub fn of(answer: api::ListCollectionsResponse, notation: Notation) -> Result<Self> {
        let all = answer.collections.iter().map(|it| CollectionJson::of(it, notation));
        let collections = all.collect::<Result<_>>()?;
        let next_page_token = answer.next_page_token;
        Ok(Self { at: answer.at.map(Into::into), collections, next_page_token })
    }
}

/// What is different between two times.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Changes)]
pub struct ChangesJson {
    pub from: Option<PositionJson>,
    pub to: Option<PositionJson>,
    pub changes: Vec<ChangeJson>,
}

/// A document that is different.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeJson {
    /// `added`, `removed` or `changed`.
    pub change: String,
    pub ns: String,
    #[schema(value_type = Object)]
    pub id: Value,
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// Of a changed document: dotted paths of what is different.
    pub fields: Vec<String>,
}

impl ChangeJson {
    pub fn of(change: &api::Change, notation: Notation) -> Result<Self> {
        Ok(Self {
            change: change.kind().as_str_name().to_ascii_lowercase(),
            ns: change.ns.clone(),
            id: notation.of_id(&change.id)?,
            before: notation.of_some(change.before.as_ref())?,
            after: notation.of_some(change.after.as_ref())?,
            fields: change.fields.clone(),
        })
    }
}

impl ChangesJson {
    pub fn add(&mut self, answer: &api::DiffTimesResponse, notation: Notation) -> Result<()> {
        (self.from, self.to) = (answer.from.map(Into::into), answer.to.map(Into::into));
        for change in &answer.changes {
            self.changes.push(ChangeJson::of(change, notation)?);
        }
        Ok(())
    }
}

/// `t,i`, as every time may be written.
pub fn spelled(position: Option<api::Timestamp>) -> String {
    position.map_or_else(String::new, |position| Timestamp::to_string(&from_api(position)))
}
