use anyhow::Result;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

use super::texts::{Notation, Text, Texts};
use super::{PositionJson, WindowJson};
use crate::times::from_api;

/// What a time resolves to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResolvedTime)]
pub struct ResolvedTimeJson {
    /// The last position included.
    pub at: Option<PositionJson>,
    /// `at` for people: UTC and the position.
    pub utc: Option<String>,
    pub window: Option<WindowJson>,
    /// The last entry at or before `at`; `null` when no such entry is held.
    #[schema(value_type = Option<Object>)]
    pub last_included: Option<Text>,
    /// The first entry after `at`; `null` when no such entry is held.
    #[schema(value_type = Option<Object>)]
    pub first_excluded: Option<Text>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl ResolvedTimeJson {
    pub fn of(answer: api::ResolveTimeResponse, notation: Notation) -> Result<Self> {
        let utc = answer.at.map(|at| from_api(at).for_people().to_string());
        let mut texts = Texts::new(notation);
        Ok(Self {
            at: answer.at.map(Into::into),
            utc,
            window: answer.window.map(Into::into),
            last_included: texts.some("last_included", Some(&answer.last_included))?,
            first_excluded: texts.some("first_excluded", Some(&answer.first_excluded))?,
            inexact: texts.inexact,
        })
    }
}

/// Entries of the oplog, oldest first.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Entries)]
pub struct EntriesJson {
    #[schema(value_type = Vec<Object>)]
    pub entries: Vec<Text>,
    /// With `before_context`: for each entry, whether it is returned only as context of the match
    /// that follows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub context: Vec<bool>,
    /// Whether the limit was reached. Older entries may then match too.
    pub truncated: bool,
    /// For people: gaps in the range that was searched, and where to look for what a time-series
    /// collection or a view of this name shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
    #[serde(skip)]
    matches: u64,
}

impl EntriesJson {
    /// Adds an answer. `limit` is the number of matches that were asked for. Returns the length of
    /// the text that was added.
    pub fn add(
        &mut self,
        answer: &api::SearchEntriesResponse,
        notation: Notation,
        limit: u64,
    ) -> Result<usize> {
        let mut texts = Texts::new(notation);
        let entries = texts.each("entries", self.entries.len(), &answer.entries)?;
        let context = answer.context.iter().filter(|is_context| **is_context).count();
        self.matches += (entries.len() - context) as u64;
        self.truncated = self.matches >= limit;
        self.entries.extend(entries);
        self.context.extend(&answer.context);
        self.notes.extend_from_slice(&answer.notes);
        self.inexact.extend(texts.inexact);
        Ok(texts.bytes)
    }
}

/// A document as it was at a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DocumentAt)]
pub struct DocumentJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Object)]
    pub document: Text,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl DocumentJson {
    pub fn of(answer: &api::GetDocumentResponse, notation: Notation) -> Result<Self> {
        let mut texts = Texts::new(notation);
        let document = texts.document("document", &answer.document)?;
        Ok(Self { at: answer.at.map(Into::into), document, inexact: texts.inexact })
    }
}

/// Documents as they were at a time, in the order of `_id`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = DocumentsAt)]
pub struct DocumentsJson {
    pub at: Option<PositionJson>,
    #[schema(value_type = Vec<Object>)]
    pub documents: Vec<Text>,
    /// Empty on the last page.
    pub next_page_token: String,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl DocumentsJson {
    /// Adds an answer. Returns the length of the text that was added.
    pub fn add(
        &mut self,
        answer: &api::ScanCollectionResponse,
        notation: Notation,
    ) -> Result<usize> {
        let mut texts = Texts::new(notation);
        let documents = texts.each("documents", self.documents.len(), &answer.documents)?;
        self.at = answer.at.map(Into::into);
        self.documents.extend(documents);
        self.next_page_token.clone_from(&answer.next_page_token);
        self.inexact.extend(texts.inexact);
        Ok(texts.bytes)
    }
}

/// Versions of one document, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Versions)]
pub struct VersionsJson {
    pub versions: Vec<VersionJson>,
    /// Empty on the last page.
    pub next_page_token: String,
}

/// One state of the document, valid from `from` until the next version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionJson {
    pub from: Option<PositionJson>,
    /// `null` when the document was deleted.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Text>,
    /// `base`, `entry`, `collection_named` or `collection_unnamed`.
    pub cause: String,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl VersionJson {
    pub fn of(version: &api::Version, notation: Notation) -> Result<Self> {
        let mut texts = Texts::new(notation);
        Ok(Self {
            from: version.from.map(Into::into),
            document: texts.some("document", version.document.as_ref())?,
            cause: version.cause().as_str_name().to_ascii_lowercase(),
            inexact: texts.inexact,
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

/// The differences between two times.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Changes)]
pub struct ChangesJson {
    pub from: Option<PositionJson>,
    pub to: Option<PositionJson>,
    pub changes: Vec<ChangeJson>,
    /// Whether there are more changes.
    pub truncated: bool,
    /// For people: where to look for what a time-series collection or a view of this name shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
}

/// A document that differs between the two times.
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
    /// For a changed document: the dotted paths of the fields that differ.
    pub fields: Vec<String>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
    #[serde(skip)]
    bytes: usize,
}

impl ChangeJson {
    pub fn of(change: &api::Change, notation: Notation) -> Result<Self> {
        let mut texts = Texts::new(notation);
        Ok(Self {
            change: change.kind().as_str_name().to_ascii_lowercase(),
            ns: change.ns.clone(),
            id: texts.id(&change.id)?,
            before: texts.some("before", change.before.as_ref())?,
            after: texts.some("after", change.after.as_ref())?,
            fields: change.fields.clone(),
            inexact: texts.inexact,
            bytes: texts.bytes,
        })
    }
}

impl ChangesJson {
    /// Adds an answer, and keeps at most `most` changes in all: the request asks for one change
    /// more, which shows whether there are more. Returns the length of the text that was added.
    pub fn add(
        &mut self,
        answer: &api::DiffTimesResponse,
        notation: Notation,
        most: usize,
    ) -> Result<usize> {
        (self.from, self.to) = (answer.from.map(Into::into), answer.to.map(Into::into));
        self.notes.extend_from_slice(&answer.notes);
        let left = most.saturating_sub(self.changes.len());
        self.truncated |= answer.changes.len() > left;
        let mut bytes = 0;
        for change in answer.changes.iter().take(left) {
            let change = ChangeJson::of(change, notation)?;
            bytes += change.bytes;
            self.changes.push(change);
        }
        Ok(bytes)
    }
}

/// Returns a position as `t,i`, a form that every time parameter accepts. Returns an empty string
/// when there is no position.
pub fn spelled(position: Option<api::Timestamp>) -> String {
    position.map_or_else(String::new, |position| Timestamp::to_string(&from_api(position)))
}

#[cfg(test)]
mod tests;
