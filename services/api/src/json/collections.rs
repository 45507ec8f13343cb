use anyhow::Result;
use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

use super::PositionJson;
use super::texts::{Notation, Text, Texts};

/// The collections and views that existed at a time, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collections)]
pub struct CollectionsJson {
    pub at: Option<PositionJson>,
    pub collections: Vec<CollectionJson>,
    /// Empty on the last page.
    pub next_page_token: String,
}

/// A collection or a view.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collection)]
pub struct CollectionJson {
    pub ns: String,
    /// `collection`, `view` or `timeseries`.
    pub r#type: String,
    /// In hexadecimal; `null` for views and time-series collections.
    pub uuid: Option<String>,
    #[schema(value_type = Object)]
    pub options: Text,
    #[schema(value_type = Vec<Object>)]
    pub indexes: Vec<Text>,
    /// The paths within this object whose values JSON cannot carry exactly, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub inexact: Vec<String>,
}

impl CollectionJson {
    pub fn of(collection: &api::Collection, notation: Notation) -> Result<Self> {
        let uuid =
            bson::Uuid::from_bytes(<[u8; 16]>::try_from(&collection.uuid[..]).unwrap_or_default());
        let mut texts = Texts::new(notation);
        Ok(Self {
            ns: collection.ns.clone(),
            r#type: collection.r#type.clone(),
            uuid: (collection.uuid.len() == 16).then(|| uuid.to_string()),
            options: texts.document("options", &collection.options)?,
            indexes: texts.each("indexes", 0, &collection.indexes)?,
            inexact: texts.inexact,
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
