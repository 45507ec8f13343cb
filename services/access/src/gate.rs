//! The gate in front of every route, for gRPC and HTTP: it finds out who calls, or refuses the
//! call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use tonic::Code;
use tracing::warn;

use super::caller::{Caller, error};
use super::complaints::Complaints;
use super::hosts::{self, Foreign};
use super::token::{Digest, Token};
use super::tokens::{NoAccess, Tokens};

/// Paths that are open to everybody: that this process lives, whether it works, and which calls
/// exist.
const OPEN: [&str; 4] = ["/healthz", "/readyz", "/grpc.health.v1.Health/Check", "/openapi.json"];
/// The page that shows the API description in a browser, which could not send a token to load it.
const OPEN_PAGE: &str = "/docs";

/// How the gate recognizes a caller.
pub enum Keys {
    /// A loopback address without tokens: everybody on this machine may call, but no foreign web
    /// page.
    NotNeeded,
    /// A token from the tokens file, or the token in the data directory.
    Needed { tokens: Option<Arc<Tokens>>, local: Option<Digest> },
}

pub struct Gate {
    keys: Keys,
    complaints: Complaints,
}

/// What is known about the connection that a request came over.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    /// Set once a request of this connection was let through.
    pub(super) admitted: Arc<AtomicBool>,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NoToken,
    NotAToken,
    Token(NoAccess),
    Foreign(Foreign),
}

impl Gate {
    pub fn new(keys: Keys) -> Self {
        Self { keys, complaints: Complaints::new() }
    }

    /// Returns whether a connection must show a key to be kept open.
    pub(super) fn needs_keys(&self) -> bool {
        matches!(self.keys, Keys::Needed { .. })
    }

    /// Puts the gate in front of all routes.
    pub fn guard(self: &Arc<Self>, routes: axum::Router) -> axum::Router {
        routes.layer(axum::middleware::from_fn_with_state(Arc::clone(self), pass))
    }

    fn caller(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let Keys::Needed { tokens, local } = &self.keys else {
            hosts::check(uri, headers).map_err(Refusal::Foreign)?;
            return Ok(Caller::local(Some(peer)));
        };
        let token = bearer(headers)?;
        if *local == Some(token.digest()) {
            return Ok(Caller::local(Some(peer)));
        }
        let tokens = tokens.as_ref().ok_or(Refusal::Token(NoAccess::Unknown))?;
        let entry = tokens.find(&token, now).map_err(Refusal::Token)?;
        Ok(Caller { name: entry.name, role: entry.role, peer: Some(peer) })
    }

    /// Logs a refusal, but never the token, and not more lines than the log can take.
    fn complain(&self, refusal: Refusal, peer: SocketAddr) {
        if !matches!(refusal, Refusal::Foreign(_)) {
            crate::metrics::caller_refused();
        }
        if let Some(held_back) = self.complaints.may_log() {
            warn!(%peer, reason = refusal.reason(), held_back, "a call was refused");
        }
    }
}

async fn pass(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    let Some(connection) = request.extensions().get::<Connection>().cloned() else {
        // This is a defect of the program, and it must not let anybody in.
        return answer(&request, Refusal::NoToken);
    };
    let now = Timestamp::now();
    match gate.caller(request.uri(), request.headers(), connection.peer, now) {
        Ok(caller) => {
            connection.admitted.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => {
            gate.complain(refusal, connection.peer);
            answer(&request, refusal)
        }
    }
}

fn is_open(path: &str) -> bool {
    let of_page = |rest: &str| rest.is_empty() || rest.starts_with('/');
    OPEN.contains(&path) || path.strip_prefix(OPEN_PAGE).is_some_and(of_page)
}

/// Returns the single token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Result<Token, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoToken)?;
    if values.next().is_some() {
        return Err(Refusal::NotAToken);
    }
    let (scheme, token) =
        value.to_str().ok().and_then(|it| it.split_once(' ')).ok_or(Refusal::NotAToken)?;
    let token = Token::parse(token.trim()).ok_or(Refusal::NotAToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(Refusal::NotAToken) }
}

impl Refusal {
    /// Returns the reason for the log.
    fn reason(self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::NotAToken => "not a bearer token",
            Self::Token(NoAccess::Unknown) => "unknown token",
            Self::Token(NoAccess::Expired) => "expired token",
            Self::Foreign(Foreign::Host) => "foreign host name",
            Self::Foreign(Foreign::Origin) => "foreign origin",
        }
    }

    /// Returns the text for the caller. It does not reveal whether a token was ever valid.
    fn text(self) -> &'static str {
        match self {
            Self::NoToken => "a token is needed: `Authorization: Bearer TOKEN`",
            Self::NotAToken | Self::Token(_) => {
                "this token is not known here, or not valid any more"
            }
            Self::Foreign(Foreign::Host) => {
                "without tokens only localhost, 127.0.0.1 and [::1] are answered to: this is not the host asked for"
            }
            Self::Foreign(Foreign::Origin) => {
                "without tokens no page of another origin is answered"
            }
        }
    }
}

fn answer(request: &Request, refusal: Refusal) -> Response {
    let (code, reason, http) = match refusal {
        Refusal::Foreign(_) => (Code::PermissionDenied, "PERMISSION_DENIED", StatusCode::FORBIDDEN),
        _ => (Code::Unauthenticated, "UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
    };
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/grpc") {
        return error(code, reason, refusal.text(), None).into_http();
    }
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": http.canonical_reason(),
        "status": http.as_u16(),
        "detail": refusal.text(),
        "reason": reason,
    });
    let mut response = Response::new(Body::from(problem.to_string()));
    *response.status_mut() = http;
    let problem_json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, problem_json);
    if http == StatusCode::UNAUTHORIZED {
        let challenge = match refusal {
            Refusal::NoToken => "Bearer realm=\"hindsight\"",
            _ => "Bearer realm=\"hindsight\", error=\"invalid_token\"",
        };
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_what_tells_nothing_is_open() {
        for open in ["/healthz", "/openapi.json", "/docs", "/docs/", "/docs/index.html"] {
            assert!(is_open(open), "{open}");
        }
        for closed in ["/metrics", "/", "/docsx", "/v1/status", "/healthz/", "/x/docs", "//docs"] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        let token = Token::parse("abc").unwrap();
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(&headers(&[good])).as_ref(), Ok(&token), "{good}");
        }
        assert_eq!(bearer(&headers(&[])), Err(Refusal::NoToken));
        for bad in ["", "Bearer", "Bearer ", "abc", "Basic abc", "Bearer a b", "Bearer tök"] {
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            assert_eq!(bearer(&headers), Err(Refusal::NotAToken), "{bad}");
        }
        let two = headers(&["Bearer abc", "Bearer abc"]);
        assert_eq!(bearer(&two), Err(Refusal::NotAToken));
    }

    #[test]
    fn the_token_of_the_data_directory_is_a_local_caller_where_it_is_known() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let local = Some(Token::parse("abc").unwrap().digest());
        let ask = |local, header| {
            let gate = Gate::new(Keys::Needed { tokens: None, local });
            gate.caller(&Uri::from_static("/x"), &headers(&[header]), peer, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(ask(local, "Bearer abc"), Ok(Caller::local(Some(peer))));
        let unknown = Err(Refusal::Token(NoAccess::Unknown));
        assert_eq!(ask(local, "Bearer abd"), unknown);
        assert_eq!(ask(None, "Bearer abc"), unknown);
    }
}
