//! Answers in the format that the caller asked for.

use std::convert::Infallible;

use anyhow::Result;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use hindsight_proto::v1::Timestamp;
use hindsight_refusal::Reason;
use serde::Serialize;
use tonic::Status;

use super::problem::{Problem, unshowable};
use crate::service::Answers;
use crate::times::from_api;

/// Limit on the text of one JSON object. The first answer is always included, however long it is.
const MAX_OBJECT_BYTES: usize = 64 << 20;
const NDJSON: &str = "application/x-ndjson";
const BSON: &str = "application/bson";

/// The format that `Accept` asks for, among the formats that the API has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One object.
    Json,
    /// One object per line, each sent when it is ready.
    Lines,
    /// BSON documents one after the other, each sent when it is ready.
    Bson,
}

impl<S: Send + Sync> FromRequestParts<S> for Format {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Format {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter();
        let wanted = values.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
        for kind in wanted {
            match kind.split(';').next().unwrap_or_default().trim() {
                NDJSON => return Self::Lines,
                BSON => return Self::Bson,
                "application/json" => return Self::Json,
                _ => {}
            }
        }
        Self::Json
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Lines => NDJSON,
            Self::Bson => BSON,
        })
    }
}

pub(crate) fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers are plain data");
    ([(header::CONTENT_TYPE, Format::Json.content_type())], body).into_response()
}

/// Answers with the document's own bytes.
pub(crate) fn raw(document: Bytes, at: Option<Timestamp>) -> Response {
    let mut response = Response::new(Body::from(document));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, Format::Bson.content_type());
    if let Ok(at) = HeaderValue::from_str(&spelled(at)) {
        headers.insert("hindsight-at", at);
    }
    response
}

/// Returns a position as `t,i`, a form that every time parameter accepts. Returns an empty string
/// when there is no position.
fn spelled(position: Option<Timestamp>) -> String {
    position.map_or_else(String::new, |position| from_api(position).to_string())
}

/// Gathers all answers in one object. `add` adds an answer and returns the length of its text.
pub(crate) async fn object<T, J: Default + Serialize>(
    mut answers: Answers<T>,
    mut add: impl FnMut(&mut J, &T) -> Result<usize>,
) -> Result<Response, Problem> {
    let (mut object, mut bytes) = (J::default(), 0);
    while let Some(answer) = answers.next().await {
        let before = bytes;
        bytes += add(&mut object, &answer?).map_err(unshowable)?;
        if before > 0 && bytes > MAX_OBJECT_BYTES {
            let text = format!(
                "the answer is larger than {MAX_OBJECT_BYTES} bytes: ask for fewer items at a time, or for a stream \
                 (Accept: {NDJSON})"
            );
            return Err(Reason::TooLarge.status(text).into());
        }
    }
    Ok(json(&object))
}

/// Streams all answers as they come, each written by `write`. A failure after the first answer
/// breaks off the connection, so that no caller mistakes some of the answers for all of them.
pub(crate) fn stream<T: Send + 'static>(
    format: Format,
    answers: Answers<T>,
    write: impl Fn(&T, &mut BytesMut) -> Result<()> + Send + 'static,
) -> Response {
    let chunks = answers.map(move |answer| -> Result<Bytes, Status> {
        let mut chunk = BytesMut::new();
        write(&answer?, &mut chunk).map_err(|error| Status::internal(format!("{error:#}")))?;
        Ok(chunk.freeze())
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, format.content_type());
    response
}

/// Writes one line of a stream.
pub(crate) fn line(value: &impl Serialize, to: &mut BytesMut) -> Result<()> {
    serde_json::to_writer((&mut *to).writer(), value)?;
    to.put_u8(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_kind_is_taken() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Format::of(&headers)
        };
        assert_eq!(Format::of(&HeaderMap::new()), Format::Json);
        assert_eq!(of("*/*"), Format::Json);
        assert_eq!(of("text/html, application/bson;q=0.9, application/json"), Format::Bson);
        assert_eq!(of("application/x-ndjson"), Format::Lines);
    }
}
