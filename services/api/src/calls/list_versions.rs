//! `ListVersions`: every version of one document.

use std::ops::ControlFlow;

use anyhow::Result;
use axum::response::Response;
use bytes::Bytes;
use hindsight_access::Role;
use hindsight_history::{Cause, ReadError, Version};
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, status_of};
use hindsight_replayer::{Engine, QueryError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::json::texts::{Text, Texts};
use crate::json::{Notation, PositionJson};
use crate::service::fields::{check_ns, id_of};
use crate::service::page::{Page, PageKey, not_ours};
use crate::service::{
    ApiCall, Counted, Place, Service, Unary, about, apart, collation, whereabouts,
};
use crate::times::to_api;
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson, unshowable};
use crate::v1::question::{Asker, Params, Segments, id};

impl ApiCall for api::ListVersionsRequest {
    const NAME: &'static str = "ListVersions";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = Some(|answer| answer.versions.len() as u64);
    type Answer = api::ListVersionsResponse;

    fn about(&self) -> Value {
        about::given([("ns", self.ns.as_str().into()), ("id", about::id(&self.id))])
    }
}

impl Unary for api::ListVersionsRequest {
    async fn answer(self, service: &Service, place: Place) -> Result<Self::Answer, Status> {
        let engine = service.engine.clone();
        apart(place, move |place| answer(&engine, &self, &|| place.is_wanted())).await
    }
}

fn answer(
    engine: &Engine,
    request: &api::ListVersionsRequest,
    is_wanted: &dyn Fn() -> bool,
) -> Result<api::ListVersionsResponse, Status> {
    check_ns(&request.ns)?;
    let id = id_of(&request.id)?;
    let key = PageKey::new("versions", &[request.ns.as_bytes(), &request.id]);
    let earlier = key.position_in(&request.page_token)?;
    let earlier = earlier.as_deref().map(Reached::decode).transpose()?.unwrap_or_default();
    let history = engine.history().map_err(status_of)?;
    let (mut page, mut reached) = (Page::of(request.page_size), Reached::default());
    let mut visit = |version: Version<'_>| {
        let here = Reached::at(&version);
        if !is_wanted() {
            return ControlFlow::Break(());
        }
        if here > earlier
            && !page.take(version_of(version), version.document.map_or(0, <[u8]>::len))
        {
            return ControlFlow::Break(());
        }
        reached = here;
        ControlFlow::Continue(())
    };
    let since = (earlier.generation, earlier.visible);
    let found = history.versions_since(&request.ns, id, since, &mut visit);
    found.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
    let states = history.states_named(&request.ns);
    let is_partly_excluded = states.iter().any(|state| state.excluded);
    if reached == Reached::default() && earlier == Reached::default() {
        if is_partly_excluded {
            let error = ReadError::Excluded { ns: request.ns.clone() };
            return Err(status_of(QueryError::from(error)));
        }
        collation::check_absent(id, states.iter().map(|state| &**state))?;
        let never = format!(
            "{} never held a document with this _id, as far as the history reaches",
            request.ns
        );
        let forgotten = forgotten_note(engine.horizon());
        let notes = forgotten.into_iter().chain(whereabouts::notes(engine, &request.ns));
        let text: Vec<String> = std::iter::once(never).chain(notes).collect();
        return Err(Reason::NoSuchDocument.status(text.join(". ")));
    }
    let next_page_token = if page.is_cut { key.token(&reached.encode()) } else { String::new() };
    let excluded = is_partly_excluded.then(|| {
        format!(
            "a collection that is left out of this history was named {} for some time: what it held is not shown",
            request.ns
        )
    });
    let notes = forgotten_note(engine.horizon()).into_iter().chain(excluded);
    let notes = notes.filter(|_| earlier == Reached::default()).collect();
    Ok(api::ListVersionsResponse { versions: page.items, next_page_token, notes })
}

/// Returns a note that versions before the horizon are gone; `None` while nothing was forgotten.
fn forgotten_note(horizon: Timestamp) -> Option<String> {
    (horizon > Timestamp::ZERO)
        .then(|| format!("versions that ended before {} are no longer kept", horizon.for_people()))
}

/// How far the pages have come. A count of all versions would be wrong as soon as the oldest are
/// forgotten between two pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Reached {
    generation: u32,
    visible: Timestamp,
    /// A collection that takes another's name makes two versions at one time: 0 for the end of
    /// what the other held, 1 for everything else.
    kind: u8,
}

impl Reached {
    fn at(version: &Version<'_>) -> Self {
        let kind = u8::from(version.cause != Cause::Unnamed);
        Self { generation: version.generation, visible: version.visible, kind }
    }

    fn encode(self) -> Vec<u8> {
        let (generation, visible) = (self.generation, self.visible.as_u64());
        [&generation.to_be_bytes()[..], &visible.to_be_bytes(), &[self.kind]].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Status> {
        let known = || {
            let (generation, rest) = bytes.split_first_chunk::<4>()?;
            let (visible, rest) = rest.split_first_chunk::<8>()?;
            let [kind] = <[u8; 1]>::try_from(rest).ok()?;
            Some(Self {
                generation: u32::from_be_bytes(*generation),
                visible: Timestamp::from_u64(u64::from_be_bytes(*visible)),
                kind,
            })
        };
        known().ok_or_else(not_ours)
    }
}

fn version_of(version: Version<'_>) -> api::Version {
    api::Version {
        from: Some(to_api(version.visible)),
        document: version.document.map(Bytes::copy_from_slice),
        cause: cause(version.cause).into(),
    }
}

fn cause(cause: Cause) -> api::VersionCause {
    match cause {
        Cause::Base => api::VersionCause::Base,
        Cause::Entry => api::VersionCause::Entry,
        Cause::Named => api::VersionCause::CollectionNamed,
        Cause::Unnamed => api::VersionCause::CollectionUnnamed,
    }
}

/// Versions of one document, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Versions)]
pub struct VersionsJson {
    pub versions: Vec<VersionJson>,
    /// Empty on the last page.
    pub next_page_token: String,
    /// What the answer cannot show, such as versions that are older than what is kept. Only on the
    /// first page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
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
        Ok(Self { versions, next_page_token: answer.next_page_token, notes: answer.notes })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionsParams {
    /// Limit on the number of versions. Default: 1,000; at most 10,000.
    page_size: Option<u32>,
    /// `next_page_token` of the previous page.
    page_token: Option<String>,
    #[serde(default)]
    #[param(inline)]
    notation: Notation,
}

/// Lists every version of one document, oldest first.
#[utoipa::path(get, path = "/v1/collections/{ns}/documents/{id}/versions", tag = "data",
    params(
        ("ns" = String, Path, description = "`db.collection`"),
        ("id" = String, Path, description = "`_id`, percent-encoded"),
        VersionsParams),
    responses(
        (status = 200, body = VersionsJson),
        (status = 404, body = ProblemJson, content_type = "application/problem+json", description = "the document never existed"),
        (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn versions(
    asker: Asker,
    Segments((ns, wanted)): Segments<(String, String)>,
    Params(params): Params<VersionsParams>,
) -> Result<Response, Problem> {
    let request = api::ListVersionsRequest {
        ns,
        id: id(&wanted)?,
        page_size: params.page_size.unwrap_or_default(),
        page_token: params.page_token.unwrap_or_default(),
    };
    let answer = asker.one(request).await?;
    Ok(json(&VersionsJson::of(answer, params.notation).map_err(unshowable)?))
}
