//! Errors as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hindsight_refusal::{REMEDIES, Reason};
use hindsight_remedy::{Remedy, from_json};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use utoipa::ToSchema;

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Problem(Box<ProblemJson>);

/// Why a call failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemJson {
    /// Always `about:blank`: `status` says which kind of problem this is, `reason` which problem it
    /// is.
    r#type: String,
    title: String,
    status: u16,
    /// An explanation for people.
    detail: String,
    /// The reason, for programs: GAP, OUT_OF_WINDOW, TARGET_NOT_EMPTY, …
    reason: String,
    /// The field of the request that is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    field: Option<String>,
    /// What can be done about it: names, or objects with a name and its values. What a field of the
    /// request does has the field's name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>, required = false)]
    remedies: Vec<Remedy>,
}

impl ProblemJson {
    fn of(code: StatusCode, reason: &str, detail: String) -> Self {
        Self {
            r#type: "about:blank".into(),
            title: code.canonical_reason().unwrap_or("error").to_owned(),
            status: code.as_u16(),
            detail,
            reason: reason.to_owned(),
            field: None,
            remedies: Vec::new(),
        }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let reason = info.map_or("", |info| info.reason.as_str());
        let code = http_status(status.code(), reason);
        let mut problem = ProblemJson::of(code, reason, status.message().to_owned());
        let metadata = |name| info.and_then(|info| info.metadata.get(name));
        problem.field = metadata("field").cloned();
        problem.remedies = metadata(REMEDIES).map_or_else(Vec::new, |json| from_json(json));
        Self(Box::new(problem))
    }
}

/// Returns the HTTP status that google.rpc.Code documents for a code, except that errors that the
/// caller can fix are never 5xx.
fn http_status(code: Code, reason: &str) -> StatusCode {
    match (code, reason) {
        (_, "TOO_LARGE") => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "TARGET_UNAVAILABLE" | "TARGET_REFUSED") => StatusCode::FAILED_DEPENDENCY,
        (Code::Ok, _) => StatusCode::OK,
        (Code::InvalidArgument, _) => StatusCode::BAD_REQUEST,
        (Code::OutOfRange, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (Code::NotFound, _) => StatusCode::NOT_FOUND,
        (Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition, _) => StatusCode::CONFLICT,
        (Code::ResourceExhausted, _) => StatusCode::TOO_MANY_REQUESTS,
        (Code::DeadlineExceeded | Code::Cancelled, _) => StatusCode::REQUEST_TIMEOUT,
        (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
        (Code::PermissionDenied, _) => StatusCode::FORBIDDEN,
        (Code::Unimplemented, _) => StatusCode::NOT_IMPLEMENTED,
        (Code::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Code::Internal | Code::Unknown | Code::DataLoss, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).expect("a problem is plain data");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.0.status == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Returns the problem for held bytes that are not BSON.
pub(crate) fn unshowable(error: anyhow::Error) -> Problem {
    Reason::Internal.status(format!("{error:#}. Accept: application/bson returns the bytes")).into()
}

pub(super) async fn no_such_path(uri: Uri) -> Response {
    if is_grpc_path(uri.path()) {
        return Status::unimplemented("there is no such method").into_http::<Body>();
    }
    let path: String = uri.path().chars().take(200).collect();
    Problem(Box::new(ProblemJson::of(
        StatusCode::NOT_FOUND,
        "NO_SUCH_PATH",
        format!("there is nothing at {path}: /openapi.json lists the paths"),
    )))
    .into_response()
}

/// Answers a request whose method the path does not have. The `Allow` header of the answer lists
/// the methods that the path has.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let method: String = method.as_str().chars().take(20).collect();
    Problem(Box::new(ProblemJson::of(
        StatusCode::METHOD_NOT_ALLOWED,
        "NO_SUCH_METHOD",
        format!("{path} has no method {method}: /openapi.json lists the methods"),
    )))
    .into_response()
}

/// Returns whether a path has the form `/package.Service/Method`.
fn is_grpc_path(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    parts.next().is_some_and(|service| service.contains('.')) && parts.count() == 1
}
