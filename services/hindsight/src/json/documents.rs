use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bytes::Bytes;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::{PositionJson, WindowJson};
use crate::extended_json::Written;
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

/// A document's JSON: text, which takes as much memory as it is long.
pub type Text = Box<RawValue>;

impl Notation {
    /// # Errors
    /// Bytes that JSON cannot carry.
    pub fn of(self, bytes: &[u8]) -> Result<Text> {
        Ok(to_raw_value(&Written::of(bytes, self)?)?)
    }

    fn of_each(self, all: &[Bytes]) -> Result<Vec<Text>> {
        all.iter().map(|bytes| self.of(bytes)).collect()
    }

    fn of_some(self, bytes: Option<&Bytes>) -> Result<Option<Text>> {
        bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| self.of(bytes)).transpose()
    }

    /// The value of `_id` in `{_id: …}`.
    fn of_id(self, bytes: &[u8]) -> Result<Text> {
        let fields: BTreeMap<String, Text> = serde_json::from_str(self.of(bytes)?.get())?;
        fields.into_iter().find(|(name, _)| name == "_id").map(|(_, id)| id).context("no _id")
    }
}

fn length<'a>(of: impl IntoIterator<Item = &'a Text>) -> usize {
    of.into_iter().map(|text| text.get().len()).sum()
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
    pub last_included: Option<Text>,
    /// The first entry after it.
    #[schema(value_type = Option<Object>)]
    pub first_excluded: Option<Text>,
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
    pub entries: Vec<Text>,
    /// With `before_context`: for each entry whether it is there only because of the one that follows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub context: Vec<bool>,
    /// The limit was reached: there may be older entries that match.
    pub truncated: bool,
    #[serde(skip)]
    matches: u64,
}

impl EntriesJson {
    /// `limit` is how many matches were asked for. Gives the length of the text that came to it.
    pub fn add(
        &mut self,
        answer: &api::SearchEntriesResponse,
        notation: Notation,
        limit: u64,
    ) -> Result<usize> {
        let texts = notation.of_each(&answer.entries)?;
        let bytes = length(&texts);
        let context = answer.context.iter().filter(|is_context| **is_context).count();
        self.matches += (texts.len() - context) as u64;
        self.truncated = self.matches >= limit;
        self.entries.extend(texts);
        self.context.extend(&answer.context);
        Ok(bytes)
    }
}

/// A document as it was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DocumentAt)]
pub struct DocumentJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Object)]
    pub document: Text,
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
    pub documents: Vec<Text>,
    /// Empty: these were the last ones.
    pub next_page_token: String,
}

impl DocumentsJson {
    /// Gives the length of the text that came to it.
    pub fn add(
        &mut self,
        answer: &api::ScanCollectionResponse,
        notation: Notation,
    ) -> Result<usize> {
        let texts = notation.of_each(&answer.documents)?;
        let bytes = length(&texts);
        self.at = answer.at.map(Into::into);
        self.documents.extend(texts);
        self.next_page_token.clone_from(&answer.next_page_token);
        Ok(bytes)
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
    pub document: Option<Text>,
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
    pub options: Text,
    #[schema(value_type = Vec<Object>)]
    pub indexes: Vec<Text>,
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
    /// There are more changes.
    pub truncated: bool,
}

/// A document that is different.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeJson {
    /// `added`, `removed` or `changed`.
    pub change: String,
    pub ns: String,
    #[schema(value_type = Object)]
    pub id: Text,
    #[schema(value_type = Option<Object>)]
    pub before: Option<Text>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<Text>,
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
    /// Keeps the first `most`, of one more that were asked for. Gives the length of the text that came to it.
    pub fn add(
        &mut self,
        answer: &api::DiffTimesResponse,
        notation: Notation,
        most: usize,
    ) -> Result<usize> {
        (self.from, self.to) = (answer.from.map(Into::into), answer.to.map(Into::into));
        let left = most.saturating_sub(self.changes.len());
        self.truncated |= answer.changes.len() > left;
        let mut bytes = 0;
        for change in answer.changes.iter().take(left) {
            let change = ChangeJson::of(change, notation)?;
            bytes += length(change.before.iter().chain(&change.after));
            self.changes.push(change);
        }
        Ok(bytes)
    }
}

/// `t,i`, as every time may be written.
pub fn spelled(position: Option<api::Timestamp>) -> String {
    position.map_or_else(String::new, |position| Timestamp::to_string(&from_api(position)))
}

#[cfg(test)]
mod tests;
