//! What handlers extract from a request. Anything that cannot be understood is answered with a
//! [`Problem`], never with bare text.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{self, FromRequest, FromRequestParts, Json, Path, Query};
use axum::http::Extensions;
use axum::http::request::Parts;
use bson::RawDocumentBuf;
use bytes::Bytes;
use hindsight_proto::v1::TimeSpec;
use hindsight_refusal::{Reason, invalid};
use serde::de::DeserializeOwned;
use tonic::Request;
use tonic::metadata::MetadataMap;

use super::answer::Format;
use super::problem::Problem;
use crate::service::{Answers, Service, Streaming, Unary};
use crate::{document_id, extended_json};

/// The most documents or changes in one JSON object.
const MAX_IN_OBJECT: u64 = 10_000;
const DEFAULT_IN_OBJECT: u64 = 1_000;

/// The query parameters, after `?`.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let query = query.map_err(|error: QueryRejection| refused(&error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// The variable parts of the path, percent-decoded.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let path = path.map_err(|error: PathRejection| refused(&error.body_text()))?;
        Ok(Self(path.0))
    }
}

/// The JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: extract::Request, state: &S) -> Result<Self, Problem> {
        let body = Json::<T>::from_request(request, state).await;
        let body = body.map_err(|error: JsonRejection| refused(&error.body_text()))?;
        Ok(Self(body.0))
    }
}

fn refused(text: &str) -> Problem {
    Reason::InvalidArgument.status(text).into()
}

/// Who asks, and who answers: makes calls as gRPC would make them.
pub(crate) struct Asker {
    service: Arc<Service>,
    /// The caller, and everything else that is known about the connection.
    extensions: Extensions,
}

impl FromRequestParts<Arc<Service>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        Ok(Self { service: Arc::clone(service), extensions: parts.extensions.clone() })
    }
}

impl Asker {
    /// Makes a call that has one answer.
    pub(crate) async fn one<C: Unary>(self, message: C) -> Result<C::Answer, Problem> {
        let request = Request::from_parts(MetadataMap::new(), self.extensions, message);
        Ok(self.service.one(request).await?.into_inner())
    }

    /// Makes a call that has a stream of answers.
    pub(crate) async fn many<C: Streaming>(
        self,
        message: C,
    ) -> Result<Answers<C::Answer>, Problem> {
        let request = Request::from_parts(MetadataMap::new(), self.extensions, message);
        Ok(self.service.many(request).await?.into_inner())
    }
}

/// Returns the `TimeSpec` of a time that is itself included.
pub(crate) fn time(text: Option<String>) -> Option<TimeSpec> {
    text.map(|text| TimeSpec { text, exclusive: false })
}

/// Returns the limit to ask for: one JSON object holds at most [`MAX_IN_OBJECT`] items, a stream
/// any number.
pub(crate) fn limit_of(wanted: Option<u64>, format: Format) -> Result<u64, Problem> {
    match wanted {
        None if format == Format::Json => Ok(DEFAULT_IN_OBJECT),
        Some(limit) if format == Format::Json && !(1..=MAX_IN_OBJECT).contains(&limit) => {
            let text = format!(
                "a JSON object holds 1 to {MAX_IN_OBJECT} items: for more, ask for a stream (Accept: application/x-ndjson)"
            );
            Err(invalid("limit", text).into())
        }
        wanted => Ok(wanted.unwrap_or(0)),
    }
}

/// Returns `{_id: …}` for an id as people write it.
pub(crate) fn id(text: &str) -> Result<Bytes, Problem> {
    let id = document_id::parse(text).map_err(|error| invalid("id", error))?;
    Ok(id.into_bytes().into())
}

/// Parses Extended JSON into BSON. Returns no bytes when there is no text.
pub(crate) fn document(field: &str, text: Option<&str>) -> Result<Bytes, Problem> {
    let Some(text) = text else { return Ok(Bytes::new()) };
    let document: Result<RawDocumentBuf, _> = extended_json::parse_document(text);
    let document = document.map_err(|error| invalid(field, format!("{error:#}")))?;
    Ok(document.into_bytes().into())
}
