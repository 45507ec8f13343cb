//! What handlers extract from a request. Anything that cannot be understood is answered with a
//! [`Problem`], never with bare text.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use bson::RawDocumentBuf;
use bytes::Bytes;
use hindsight_proto::v1::TimeSpec;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::service::{Reason, invalid};
use crate::{document_id, extended_json};

/// The query parameters, after `?`.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let query = query.map_err(|error: QueryRejection| refused(&error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// The variable parts of the path, percent-decoded.
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let path = path.map_err(|error: PathRejection| refused(&error.body_text()))?;
        Ok(Self(path.0))
    }
}

/// The JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Json::<T>::from_request(request, state).await;
        let body = body.map_err(|error: JsonRejection| refused(&error.body_text()))?;
        Ok(Self(body.0))
    }
}

fn refused(text: &str) -> Problem {
    Reason::InvalidArgument.status(text).into()
}

/// The caller, and everything else that is known about the connection.
pub(super) struct Asker(Extensions);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.clone()))
    }
}

impl Asker {
    /// Returns the call as gRPC would make it.
    pub(super) fn asks<T>(self, message: T) -> tonic::Request<T> {
        tonic::Request::from_parts(tonic::metadata::MetadataMap::new(), self.0, message)
    }
}

/// Returns the `TimeSpec` of a time that is itself included.
pub(super) fn time(text: Option<String>) -> Option<TimeSpec> {
    text.map(|text| TimeSpec { text, exclusive: false })
}

/// Returns `{_id: …}` for an id as people write it.
pub(super) fn id(text: &str) -> Result<Bytes, Problem> {
    let id = document_id::parse(text).map_err(|error| invalid("id", error))?;
    Ok(id.into_bytes().into())
}

/// Parses Extended JSON into BSON. Returns no bytes when there is no text.
pub(super) fn document(field: &str, text: Option<&str>) -> Result<Bytes, Problem> {
    let Some(text) = text else { return Ok(Bytes::new()) };
    let document: Result<RawDocumentBuf, _> = extended_json::parse_document(text);
    let document = document.map_err(|error| invalid(field, format!("{error:#}")))?;
    Ok(document.into_bytes().into())
}
