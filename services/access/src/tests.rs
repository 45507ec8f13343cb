//! Tests the whole way in, as strangers and clients see it: listeners, TLS, the gate, and a handler
//! behind it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use hindsight_proto::v1::VerifyRequest;
use hindsight_proto::v1::hindsight_client::HindsightClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::args::{AccessArgs, Doors, Guard};
use super::caller::Caller;
use super::connections::{Patience, serve};
use super::credentials::{ClientArgs, Credentials};
use super::local;
use super::role::{Call, Role};
use super::token::Token;

/// Long enough for what must happen, short enough to wait for.
const SOON: Duration = Duration::from_secs(20);

/// Answers `Verify` as the service does, for the role that it requires.
fn routes() -> axum::Router {
    let call = Call { name: "Verify", role: Role::Operator, reads_documents: false };
    let verify = move |request: Request| async move {
        let answer = Caller::of(request.extensions())
            .and_then(|caller| caller.may(call).map(|()| caller.name.to_string()));
        let status = answer.map_or_else(|refused| refused, Status::unimplemented);
        status.into_http::<axum::body::Body>().into_response()
    };
    let who = |request: Request| async move {
        Caller::of(request.extensions()).map_or("nobody".into(), |caller| caller.name.to_string())
    };
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        "slow\n"
    };
    axum::Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(who))
        .route("/slow", get(slow))
        .route("/hindsight.v1.Hindsight/Verify", any(verify))
}

/// A server and its files. The server ends with the test.
struct Server {
    dir: TempDir,
    guard: Guard,
    address: SocketAddr,
    local_address: String,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(dir: TempDir, access: &AccessArgs, patience: Patience) -> Self {
        let guard = Guard::open(access).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let doors = guard.bind(any, &dir.path().join("api.token")).await.unwrap();
        let Doors { url, local_address, mut doors } = doors;
        let address = url.split_once("://").unwrap().1;
        for door in &mut doors {
            door.patience = patience;
        }
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(doors, routes(), shutdown.clone()));
        Self { dir, guard, address: address.parse().unwrap(), local_address, shutdown, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &str) -> String {
        ask(self.connect().await, path, headers).await
    }

    /// Makes one gRPC call that the role may or may not make.
    async fn verify(&self, client: &ClientArgs, scheme: &str, token: Option<&Token>) -> Status {
        let server = format!("{scheme}://localhost:{}", self.address.port());
        let file = self.dir.path().join("shown.token");
        let mut args = ClientArgs {
            ca: client.ca.clone(),
            client_cert: client.client_cert.clone(),
            client_key: client.client_key.clone(),
            token_file: None,
        };
        if let Some(token) = token {
            fs::write(&file, token.reveal()).unwrap();
            args.token_file = Some(file);
        }
        verify(Credentials::for_server(&server, &args).unwrap()).await
    }

    async fn verify_as_owner(&self) -> Status {
        let token = self.dir.path().join("api.token");
        verify(Credentials::for_process(&self.local_address, &token).unwrap()).await
    }
}

/// Returns the status that the call ends with; UNKNOWN when there is no connection.
async fn verify(credentials: Credentials) -> Status {
    let channel = match credentials.endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return Status::unknown(format!("{error:?}")),
    };
    let mut client = HindsightClient::with_interceptor(channel, credentials.bearer);
    let call = tokio::time::timeout(SOON, client.verify(VerifyRequest { deep: false }));
    call.await.expect("an answer in time").expect_err("no answer is a good one here")
}

/// Sends an HTTP/1.1 request without a `Host`, unless the headers have one.
async fn ask(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    path: &str,
    headers: &str,
) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let all = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await;
    all.expect("an answer in time").unwrap();
    answer
}

/// Tokens of two roles, and an expired token, in a file.
struct Made {
    viewer: Token,
    operator: Token,
    expired: Token,
    file: PathBuf,
}

fn tokens(dir: &TempDir) -> Made {
    let [viewer, operator, expired] = [(); 3].map(|()| Token::random().unwrap());
    let entry = |name: &str, role: Role, token: &Token, more: &str| {
        let (role, digest) = (role.name(), token.digest());
        format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{digest}\"\n{more}\n")
    };
    let text = entry("vera", Role::Viewer, &viewer, "")
        + &entry("otto", Role::Operator, &operator, "expires = 2999-01-01T00:00:00Z")
        + &entry("old", Role::Restorer, &expired, "expires = 2001-01-01T00:00:00Z");
    let file = dir.path().join("tokens.toml");
    fs::write(&file, text).unwrap();
    Made { viewer, operator, expired, file }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for localhost and its key: `NAME.pem`, `NAME.key`.
fn certify(dir: &TempDir, name: &str, by: &Authority) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    let (pem, key_pem) =
        (dir.path().join(format!("{name}.pem")), dir.path().join(format!("{name}.key")));
    fs::write(&pem, certificate.pem()).unwrap();
    fs::write(&key_pem, key.serialize_pem()).unwrap();
    (pem, key_pem)
}

/// Returns a server with TLS and tokens, and a client that trusts the server's authority.
async fn secured(patience: Patience) -> (Server, Made, ClientArgs, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let made = tokens(&dir);
    let by = authority("ours");
    let (cert, key) = certify(&dir, "server", &by);
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, by.pem()).unwrap();
    let access = AccessArgs {
        tokens: Some(made.file.clone()),
        tls_cert: Some(cert),
        tls_key: Some(key),
        ..AccessArgs::default()
    };
    let server = Server::start(dir, &access, patience).await;
    (server, made, ClientArgs { ca: Some(ca), ..ClientArgs::default() }, by)
}

#[tokio::test]
async fn without_tokens_this_machine_is_let_in_and_web_pages_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let stale = dir.path().join("api.token");
    fs::write(&stale, "left by an earlier process").unwrap();
    let server = Server::start(dir, &AccessArgs::default(), Patience::default()).await;
    assert!(!stale.exists());
    let host = format!("Host: 127.0.0.1:{}\r\n", server.address.port());
    assert!(server.get("/metrics", &host).await.ends_with("local"));
    let own = format!("{host}Origin: http://127.0.0.1:{}\r\n", server.address.port());
    assert!(server.get("/metrics", &own).await.ends_with("local"));
    let foreign =
        ["Host: evil.example\r\n".to_owned(), format!("{host}Origin: http://evil.example\r\n")];
    for headers in &foreign {
        let refused = server.get("/metrics", headers).await;
        assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
        assert!(refused.contains("application/problem+json"), "{refused}");
        assert!(server.get("/healthz", headers).await.ends_with("ok\n"));
    }
    let owner = server.verify_as_owner().await;
    assert_eq!((owner.code(), owner.message()), (Code::Unimplemented, "local"));
    let by_name = server.verify(&ClientArgs::default(), "http", None).await;
    assert_eq!((by_name.code(), by_name.message()), (Code::Unimplemented, "local"));
}

#[tokio::test]
async fn with_tokens_only_who_shows_a_good_one_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let made = tokens(&dir);
    let access = AccessArgs { tokens: Some(made.file.clone()), ..AccessArgs::default() };
    let server = Server::start(dir, &access, Patience::default()).await;
    let bearer = |token: &str| format!("Host: any.example\r\nAuthorization: Bearer {token}\r\n");

    let good = server.get("/metrics", &bearer(made.viewer.reveal())).await;
    assert!(good.starts_with("HTTP/1.1 200 ") && good.ends_with("vera"), "{good}");
    let wrong = Token::random().unwrap();
    for headers in ["".to_owned(), bearer(wrong.reveal()), bearer(made.expired.reveal())] {
        for path in ["/metrics", "/v1/status", "/nowhere"] {
            let refused = server.get(path, &headers).await;
            assert!(refused.starts_with("HTTP/1.1 401 "), "{path}: {refused}");
            assert!(refused.contains("\r\nwww-authenticate: Bearer "), "{refused}");
            assert!(refused.contains("application/problem+json"), "{refused}");
            assert!(refused.contains("\"reason\":\"UNAUTHENTICATED\""), "{refused}");
        }
        assert!(server.get("/healthz", &headers).await.ends_with("ok\n"));
    }

    let client = ClientArgs::default();
    for token in [None, Some(&wrong), Some(&made.expired)] {
        let refused = server.verify(&client, "http", token).await;
        assert_eq!(refused.code(), Code::Unauthenticated);
        let details = refused.get_error_details();
        let info = details.error_info().expect("an ErrorInfo");
        assert_eq!((&*info.reason, &*info.domain), ("UNAUTHENTICATED", "hindsight"));
    }
    let viewer = server.verify(&client, "http", Some(&made.viewer)).await;
    assert_eq!(viewer.code(), Code::PermissionDenied);
    assert_eq!(viewer.get_error_details().error_info().unwrap().metadata["role"], "operator");
    let operator = server.verify(&client, "http", Some(&made.operator)).await;
    assert_eq!((operator.code(), operator.message()), (Code::Unimplemented, "otto"));
    let owner = server.verify_as_owner().await;
    assert_eq!((owner.code(), owner.message()), (Code::Unimplemented, "local"));
}

#[tokio::test]
async fn a_token_that_is_taken_out_of_the_file_opens_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let made = tokens(&dir);
    let access = AccessArgs { tokens: Some(made.file.clone()), ..AccessArgs::default() };
    let server = Server::start(dir, &access, Patience::default()).await;
    let header = format!("Host: a\r\nAuthorization: Bearer {}\r\n", made.viewer.reveal());
    assert!(server.get("/metrics", &header).await.ends_with("vera"));
    fs::write(&made.file, "[[token]] broken").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(server.get("/metrics", &header).await.ends_with("vera"));
    fs::write(&made.file, "# nobody").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(server.get("/metrics", &header).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn tls_carries_grpc_and_http_and_the_owner_needs_neither() {
    let (server, made, client, _) = secured(Patience::default()).await;
    let operator = server.verify(&client, "https", Some(&made.operator)).await;
    assert_eq!((operator.code(), operator.message()), (Code::Unimplemented, "otto"));
    let nobody = server.verify(&client, "https", None).await;
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let stranger = ClientArgs::default();
    let untrusted = server.verify(&stranger, "https", Some(&made.operator)).await;
    assert!(untrusted.message().contains("UnknownIssuer"), "{untrusted:?}");

    let header = format!("Host: a\r\nAuthorization: Bearer {}\r\n", made.viewer.reveal());
    let stream = tls_client(&server, &client, b"http/1.1").await;
    assert!(ask(stream, "/metrics", &header).await.ends_with("vera"));

    let owner = server.verify_as_owner().await;
    assert_eq!((owner.code(), owner.message()), (Code::Unimplemented, "local"));
    // On the local port, only the owner's token counts; on the main port, the owner's token does
    // not count.
    let side = TcpStream::connect(&server.local_address).await.unwrap();
    assert!(ask(side, "/metrics", &header).await.starts_with("HTTP/1.1 401 "));
    let local = local::read(&server.dir.path().join("api.token")).unwrap().unwrap();
    let elsewhere = server.verify(&client, "https", Some(&local)).await;
    assert_eq!(elsewhere.code(), Code::Unauthenticated);
}

async fn tls_client(
    server: &Server,
    client: &ClientArgs,
    alpn: &[u8],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(client.ca.as_ref().unwrap()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, server.connect().await).await.unwrap()
}

#[tokio::test]
async fn who_does_not_speak_tls_or_never_finishes_keeps_nobody_else_out() {
    let patience = Patience { handshake: Duration::from_secs(2), ..Patience::default() };
    let (server, made, client, _) = secured(patience).await;
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..50 {
        silent.push(server.connect().await);
    }
    // The first bytes of a handshake, and no more.
    let mut begun = server.connect().await;
    begun.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    let mut plain = server.connect().await;
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();

    let served = server.verify(&client, "https", Some(&made.operator)).await;
    assert_eq!(served.message(), "otto");
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(SOON, plain.read_to_end(&mut answer)).await.expect("it is closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    for stream in silent.iter_mut().chain([&mut begun]) {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.expect("closed");
    }
}

#[tokio::test]
async fn who_shows_no_token_is_not_kept() {
    let patience = Patience { stranger: Duration::from_millis(300), ..Patience::default() };
    let (server, made, client, _) = secured(patience).await;
    let mut rest = Vec::new();
    // The client agrees on HTTP/2, and then sends nothing.
    let mut silent = tls_client(&server, &client, b"h2").await;
    let _ = tokio::time::timeout(SOON, silent.read_to_end(&mut rest)).await.expect("it is closed");

    let mut known = tls_client(&server, &client, b"http/1.1").await;
    let header = format!("Host: a\r\nAuthorization: Bearer {}\r\n", made.viewer.reveal());
    let request = format!("GET /metrics HTTP/1.1\r\n{header}\r\n");
    known.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 1024];
    assert!(known.read(&mut first).await.unwrap() > 0);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(ask(known, "/metrics", &header).await.ends_with("vera"));
}

#[tokio::test]
async fn with_mutual_tls_a_certificate_is_needed_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let made = tokens(&dir);
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let (cert, key) = certify(&dir, "server", &ours);
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, ours.pem()).unwrap();
    let identity = |name: &str, by: &Authority| {
        let (cert, key) = certify(&dir, name, by);
        ClientArgs {
            ca: Some(ca.clone()),
            client_cert: Some(cert),
            client_key: Some(key),
            token_file: None,
        }
    };
    let (known, unknown) = (identity("known", &ours), identity("unknown", &theirs));
    let none = ClientArgs { ca: Some(ca.clone()), ..ClientArgs::default() };
    let access = AccessArgs {
        tokens: Some(made.file.clone()),
        tls_cert: Some(cert),
        tls_key: Some(key),
        client_ca: Some(ca),
        ..AccessArgs::default()
    };
    let server = Server::start(dir, &access, Patience::default()).await;
    let let_in = server.verify(&known, "https", Some(&made.operator)).await;
    assert_eq!(let_in.message(), "otto");
    let no_token = server.verify(&known, "https", None).await;
    assert_eq!(no_token.code(), Code::Unauthenticated);
    for client in [&none, &unknown] {
        let refused = server.verify(client, "https", Some(&made.operator)).await;
        assert!(!["otto", "local"].contains(&refused.message()), "{refused:?}");
        assert_ne!(refused.code(), Code::Unimplemented, "{refused:?}");
    }
    assert_eq!(server.verify_as_owner().await.message(), "local");
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart() {
    let (server, made, client, _) = secured(Patience::default()).await;
    let other = authority("another");
    certify(&server.dir, "server", &other);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let old = server.verify(&client, "https", Some(&made.operator)).await;
    assert_ne!(old.message(), "otto");
    fs::write(client.ca.as_ref().unwrap(), other.pem()).unwrap();
    let new = server.verify(&client, "https", Some(&made.operator)).await;
    assert_eq!(new.message(), "otto");
    // When the new files cannot be read, the last readable ones stay in force.
    fs::write(server.dir.path().join("server.key"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(server.verify(&client, "https", Some(&made.operator)).await.message(), "otto");
    drop(server.guard);
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_answered_and_idle_callers_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir, &AccessArgs::default(), Patience::default()).await;
    let idle = server.connect().await;
    let slow = tokio::spawn(ask(server.connect().await, "/slow", "Host: localhost\r\n"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.shutdown.cancel();
    tokio::time::timeout(SOON, server.serving).await.expect("it ends in time").unwrap();
    assert!(slow.await.unwrap().ends_with("slow\n"));
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn at_the_end_nobody_is_waited_for_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let patience = Patience { stop: Duration::from_millis(100), ..Patience::default() };
    let server = Server::start(dir, &AccessArgs::default(), patience).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.cancel();
    server.serving.await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, slow.read_to_end(&mut rest)).await.expect("it is cut off");
    assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
}
