//! A caller of the API: gRPC and HTTP/JSON over one connection, optionally with TLS and a token.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use bytes::Bytes;
use hindsight_proto::longrunning::operations_client::OperationsClient;
use hindsight_proto::v1::hindsight_client::HindsightClient;
use serde_json::Value;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic_types::StatusExt;
use tower::ServiceExt;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take. A test that waits longer for an answer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest gRPC message: room for a document of 16 MiB and the message around it.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

type Authenticated = InterceptedService<Channel, Bearer>;

/// Puts the token, if there is one, into each gRPC call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// One caller, with gRPC clients for both services.
#[derive(Clone)]
pub struct Api {
    channel: Channel,
    token: Option<String>,
    /// The gRPC client of the service `Hindsight`.
    pub hindsight: HindsightClient<Authenticated>,
    /// The gRPC client of the service `Operations`.
    pub operations: OperationsClient<Authenticated>,
}

impl Api {
    /// Connects without TLS and without a token.
    pub async fn connect(url: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())?;
        Self::over(endpoint, None).await
    }

    /// Connects with TLS, trusting only the authority `ca` (PEM).
    pub async fn connect_with_tls(url: &str, ca: &str, token: Option<&str>) -> Result<Self> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let endpoint = Endpoint::from_shared(url.to_owned())?.tls_config(tls)?;
        Self::over(endpoint, token).await
    }

    async fn over(endpoint: Endpoint, token: Option<&str>) -> Result<Self> {
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await?;
        let bearer = |token: &str| format!("Bearer {token}").parse().context("a token");
        let bearer = Bearer(token.map(bearer).transpose()?);
        let hindsight = HindsightClient::with_interceptor(channel.clone(), bearer.clone());
        Ok(Self {
            token: token.map(str::to_owned),
            hindsight: hindsight.max_decoding_message_size(MAX_MESSAGE_BYTES),
            operations: OperationsClient::with_interceptor(channel.clone(), bearer),
            channel,
        })
    }

    /// Sends a GET request and asks for JSON.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.get_as(path, "application/json").await
    }

    /// Sends a GET request; `accept` names the wanted format.
    pub async fn get_as(&self, path: &str, accept: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[("accept", accept)], "").await
    }

    /// Sends a POST request with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let json = [("content-type", "application/json")];
        self.send(Method::POST, path, &json, body.to_string()).await
    }

    /// Sends any request and reads the answer to the end.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Result<Answer> {
        let response = self.open(method, path, headers, body).await?;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX);
        let body = tokio::time::timeout(PATIENCE, body).await.context("the answer goes on")??;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Sends any request, without waiting for the body of the answer.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Result<axum::http::Response<Body>> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(tonic::body::Body::new(body.into()))?;
        let response = tokio::time::timeout(PATIENCE, self.channel.clone().oneshot(request));
        let response = response.await.with_context(|| format!("{path} is not answered"))??;
        Ok(response.map(Body::new))
    }
}

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// Returns an error with the body unless the status is `status`.
    pub fn expect(self, status: u16) -> Result<Self> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!(self.status == status, "status {} instead of {status}: {text}", self.status);
        Ok(self)
    }

    /// Parses the body as one JSON value.
    pub fn json(&self) -> Result<Value> {
        let text = || String::from_utf8_lossy(&self.body).into_owned();
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", text()))
    }

    /// Parses the body as one JSON value per line.
    pub fn json_lines(&self) -> Result<Vec<Value>> {
        let lines = self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
    }

    /// Returns a header's value; empty if the header is missing or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the reason of a problem, or an error when the answer is not a well-formed problem.
    pub fn reason(&self) -> Result<String> {
        let kind = self.header("content-type");
        ensure!(kind == "application/problem+json", "{} as {kind:?}: {self:?}", self.status);
        let problem = self.json()?;
        ensure!(problem["status"] == self.status, "{problem} has the status {}", self.status);
        for field in ["type", "title", "detail"] {
            ensure!(problem[field].is_string(), "no {field} in {problem}");
        }
        Ok(problem["reason"].as_str().context("no reason")?.to_owned())
    }
}

/// Returns the reason in a status; empty if the status has none.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map_or_else(String::new, |info| {
        assert_eq!(info.domain, "hindsight", "{status:?}");
        info.reason.clone()
    })
}

/// Encodes text as one segment of a path, or as a value after `?`.
pub fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}
