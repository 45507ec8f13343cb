//! `ListCollections`: the collections and views that existed at a time.

use std::sync::Arc;

use anyhow::Result;
use axum::response::Response;
use bson::RawDocument;
use bson::raw::cstr;
use hindsight_access::Role;
use hindsight_history::CollectionState;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, status_of};
use hindsight_replayer::find::NamespacePattern;
use hindsight_replayer::{Engine, QueryError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::json::texts::{Text, Texts};
use crate::json::{Notation, PositionJson};
use crate::service::absent::BUCKETS;
use crate::service::page::{Page, PageKey};
use crate::service::{ApiCall, Counted, Place, Service, Unary, about, apart};
use crate::times::to_api;
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Params, time};

const VIEWS: &str = ".system.views";

impl ApiCall for api::ListCollectionsRequest {
    const NAME: &'static str = "ListCollections";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::ListCollectionsResponse;

    fn about(&self) -> Value {
        about::given([("ns", self.ns.as_str().into()), ("at", about::time(&self.at))])
    }
}

impl Unary for api::ListCollectionsRequest {
    async fn answer(self, service: &Service, place: Place) -> Result<Self::Answer, Status> {
        answer(service, place, self).await
    }
}

async fn answer(
    service: &Service,
    place: Place,
    request: api::ListCollectionsRequest,
) -> Result<api::ListCollectionsResponse, Status> {
    let key = PageKey::new("collections", &[request.ns.as_bytes()]);
    let (at, after) = match key.position_and_time(&request.page_token)? {
        // Later pages show the same time as the first page.
        Some((at, after)) => {
            service.engine.check(at).map_err(status_of)?;
            (at, after)
        }
        None => (service.reach(request.at).await?, Vec::new()),
    };
    let pattern = (!request.ns.is_empty()).then(|| NamespacePattern::parse(&request.ns));
    let engine = service.engine.clone();
    let all = apart(place, move |_| all_at(&engine, at)).await?;
    let wanted = all.into_iter().filter(|collection| {
        collection.ns.as_bytes() > &after[..]
            && pattern.as_ref().is_none_or(|it| it.matches(&collection.ns))
    });
    let mut page = Page::of(request.page_size);
    for collection in wanted {
        let bytes =
            collection.options.len() + collection.indexes.iter().map(|it| it.len()).sum::<usize>();
        if !page.take(collection, bytes) {
            break;
        }
    }
    let last = page.items.last().map(|collection| collection.ns.as_str()).unwrap_or_default();
    let next_page_token =
        if page.is_cut { key.token_at(at, last.as_bytes())? } else { String::new() };
    let at = Some(to_api(at));
    Ok(api::ListCollectionsResponse { collections: page.items, at, next_page_token })
}

/// Returns the collections and views, sorted by name. A view whose definition cannot be read is an
/// error: it is not left out.
fn all_at(engine: &Engine, at: Timestamp) -> Result<Vec<api::Collection>, Status> {
    let view = engine.view(at).map_err(status_of)?;
    let states = view.collections();
    let mut all = Vec::with_capacity(states.len());
    for state in &states {
        if state.ns.ends_with(VIEWS) {
            let documents = view.scan(&state.ns).map_err(QueryError::from).map_err(status_of)?;
            for document in documents {
                let document =
                    document.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
                all.push(view_of(&document, &states)?);
            }
        }
        all.push(collection_of(state)?);
    }
    all.sort_by(|a, b| a.ns.cmp(&b.ns));
    Ok(all)
}

fn collection_of(state: &CollectionState) -> Result<api::Collection, Status> {
    let clustered = clustered_index(&state.options).map_err(|detail| {
        Reason::Corrupt.status(format!("the options of {}: {detail}", state.ns))
    })?;
    let indexes = state.id_index.iter().chain(&state.indexes);
    let indexes = indexes.map(|index| index.clone().into());
    Ok(api::Collection {
        ns: state.ns.clone(),
        r#type: "collection".into(),
        uuid: state.uuid.to_vec().into(),
        options: state.options.clone().into(),
        indexes: clustered.into_iter().chain(indexes).collect(),
        excluded: state.excluded,
    })
}

/// Returns the index that listIndexes shows for a clustered collection. Such a collection has no
/// index of `_id`: it is one, and its options describe it. The buckets of a time-series collection
/// only have the option `true`, and listIndexes shows no index for them.
fn clustered_index(options: &[u8]) -> Result<Option<bytes::Bytes>, String> {
    let raw = RawDocument::from_bytes(options).map_err(|error| error.to_string())?;
    let found = raw.get("clusteredIndex").map_err(|error| error.to_string())?;
    let Some(described) = found.and_then(|found| found.as_document()) else { return Ok(None) };
    let mut index = described.to_owned();
    index.append(cstr!("clustered"), true);
    Ok(Some(index.into_bytes().into()))
}

/// Reads a document of `system.views`: `{_id, viewOn, pipeline, …}`, in which all fields but `_id`
/// are options.
fn view_of(document: &[u8], states: &[Arc<CollectionState>]) -> Result<api::Collection, Status> {
    let corrupt = |detail: String| Reason::Corrupt.status(format!("a view's definition: {detail}"));
    let raw = RawDocument::from_bytes(document).map_err(|error| corrupt(error.to_string()))?;
    let text = |name: &str| raw.get_str(name).map_err(|error| corrupt(error.to_string()));
    let (ns, view_on) = (text("_id")?.to_owned(), text("viewOn")?);
    let database = ns.split('.').next().unwrap_or_default();
    let buckets = format!("{database}.{view_on}");
    if let Some(name) = view_on.strip_prefix(BUCKETS)
        && ns == format!("{database}.{name}")
        && let Some(state) = states.iter().find(|state| state.ns == buckets)
    {
        let options = time_series_options(&state.options).map_err(corrupt)?;
        return Ok(api::Collection {
            ns,
            r#type: "timeseries".into(),
            options,
            ..Default::default()
        });
    }
    let mut options = bson::RawDocumentBuf::new();
    for field in raw {
        let (name, value) = field.map_err(|error| corrupt(error.to_string()))?;
        if name.as_str() != "_id" {
            options.append(name, bson::RawBson::from(value));
        }
    }
    let options = options.into_bytes().into();
    Ok(api::Collection { ns, r#type: "view".into(), options, ..Default::default() })
}

/// Returns those options of the buckets that belong to the time-series collection.
fn time_series_options(buckets: &[u8]) -> Result<bytes::Bytes, String> {
    let raw = RawDocument::from_bytes(buckets).map_err(|error| error.to_string())?;
    let mut options = bson::RawDocumentBuf::new();
    for field in raw {
        let (name, value) = field.map_err(|error| error.to_string())?;
        if ["timeseries", "expireAfterSeconds", "collation"].contains(&name.as_str()) {
            options.append(name, bson::RawBson::from(value));
        }
    }
    Ok(options.into_bytes().into())
}

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
    /// Present and true when its documents are left out of the history.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub excluded: bool,
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
            excluded: collection.excluded,
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

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Default: latest.
    at: Option<String>,
    /// `db.collection`, or `db.*`. Default: all.
    ns: Option<String>,
    /// Limit on the number of collections. Default: 1,000; at most 10,000.
    page_size: Option<u32>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Lists the collections and views that existed at a time, with options and indexes, by name.
#[utoipa::path(get, path = "/v1/collections", tag = "data", params(ListParams), responses(
    (status = 200, body = CollectionsJson),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn list_collections(
    asker: Asker,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let request = api::ListCollectionsRequest {
        at: time(params.at),
        ns: params.ns.unwrap_or_default(),
        page_size: params.page_size.unwrap_or_default(),
        page_token: params.page_token.unwrap_or_default(),
    };
    let answer = asker.one(request).await?;
    Ok(json(&CollectionsJson::of(answer, params.notation).map_err(unshowable)?))
}
