//! Accepts connections and carries HTTP/1.1 and HTTP/2 over them, with or without TLS. A peer is a
//! stranger until one of its requests was let through: everything before that is bounded in time
//! and number.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::gate::{Connection, Gate};
use super::tls::Tls;

/// Limit on concurrent connections. Further connections wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;
/// Limit on concurrent handshakes.
const MAX_HANDSHAKES: usize = 256;
/// Limit on the time that the headers of an HTTP/1.1 request may take.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);
/// An HTTP/2 peer that has been silent for this long is asked whether it is still there.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// Limit on concurrent requests over one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// How long the server waits for callers.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a handshake, including its wait for other handshakes.
    pub handshake: Duration,
    /// For the first request that is let through, where a key is needed. Then the connection is
    /// closed.
    pub stranger: Duration,
    /// For the requests that are being answered when shutdown is requested.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            stranger: Duration::from_secs(30),
            stop: Duration::from_secs(30),
        }
    }
}

/// A listener, and who may come in through it.
pub struct Door {
    pub listener: TcpListener,
    pub patience: Patience,
    pub tls: Option<Arc<Tls>>,
    pub gate: Arc<Gate>,
}

/// Serves the routes through every door until shutdown, and then until the requests that are being
/// answered are complete.
pub async fn serve(doors: Vec<Door>, routes: Router, shutdown: CancellationToken) {
    let open = doors.into_iter().map(|door| door.serve(&routes, &shutdown));
    futures_util::future::join_all(open).await;
}

/// What the connections of one door share.
#[derive(Clone)]
struct Porter {
    patience: Patience,
    tls: Option<Arc<Tls>>,
    needs_keys: bool,
    routes: Router,
    http: Builder<TokioExecutor>,
    handshakes: Arc<Semaphore>,
    shutdown: CancellationToken,
    /// Ends the connections that did not end by themselves.
    cut: CancellationToken,
}

impl Door {
    async fn serve(self, routes: &Router, shutdown: &CancellationToken) {
        let porter = Porter {
            patience: self.patience,
            tls: self.tls,
            needs_keys: self.gate.needs_keys(),
            routes: self.gate.guard(routes.clone()),
            http: http(),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            shutdown: shutdown.clone(),
            cut: CancellationToken::new(),
        };
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let next = tokio::select! {
                next = accept(&self.listener, &slots) => next,
                () = shutdown.cancelled() => break,
            };
            let Some((stream, slot)) = next else { continue };
            tokio::spawn(porter.clone().take(stream, graceful.watcher(), slot));
        }
        drop(self.listener);
        let patience = self.patience.stop;
        if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
            warn!("requests took longer than {patience:?} to end: they are cut off");
        }
        porter.cut.cancel();
    }
}

fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_PATIENCE)
        .max_concurrent_streams(MAX_STREAMS);
    http
}

/// Returns the next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        // The connection was closed before it was accepted.
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            // Usually there are too many open files, and others may close some.
            warn!(%error, "no connection can be accepted");
            tokio::time::sleep(Duration::from_secs(1)).await;
            None
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Porter {
    async fn take(self, stream: TcpStream, watcher: Watcher, _slot: OwnedSemaphorePermit) {
        let Ok(peer) = stream.peer_addr() else { return };
        // Without this, the last frame of an answer waits 40 ms for the client's delayed
        // acknowledgement of the frame before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "answers on this connection may be late");
        }
        let connection = Connection { peer, admitted: Arc::new(AtomicBool::new(false)) };
        let Some(tls) = &self.tls else {
            return self.carry(stream, self.http.clone(), connection, watcher).await;
        };
        let patience = self.patience.handshake;
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(patience, self.shake(tls, stream)) => shaken,
            () = self.shutdown.cancelled() => return,
        };
        let failure = match shaken {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let http = self.http.clone();
                let http = if http2 { http.http2_only() } else { http.http1_only() };
                return self.carry(stream, http, connection, watcher).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not finished within {patience:?}"),
        };
        crate::metrics::handshake_failed();
        debug!(%peer, error = failure, "no TLS with this caller");
    }

    async fn shake(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        let _turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
        tls.accept(stream).await
    }

    /// Carries requests and answers until the connection ends.
    async fn carry<Io>(
        &self,
        stream: Io,
        http: Builder<TokioExecutor>,
        connection: Connection,
        watcher: Watcher,
    ) where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, admitted) = (connection.peer, Arc::clone(&connection.admitted));
        let tagged = move |request: axum::http::Request<_>| {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(connection.clone());
            request
        };
        let service = TowerToHyperService::new(self.routes.clone().map_request(tagged));
        let carried = http.serve_connection(TokioIo::new(stream), service).into_owned();
        tokio::select! {
            ended = watcher.watch(carried) => {
                if let Err(error) = ended {
                    debug!(%peer, %error, "a connection ended early");
                }
            }
            () = self.stranger(&admitted) => debug!(%peer, "closed: no request was let through"),
            () = self.cut.cancelled() => {}
        }
    }

    /// Returns once a connection has used up its time without showing a key. Never returns where no
    /// key is needed.
    async fn stranger(&self, admitted: &AtomicBool) {
        if self.needs_keys {
            tokio::time::sleep(self.patience.stranger).await;
            if !admitted.load(Ordering::Relaxed) {
                return;
            }
        }
        std::future::pending().await
    }
}
