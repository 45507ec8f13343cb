//! Decides who answers a command: the process that runs on the data directory, or this process,
//! from the files.
//!
//! Either way, a command calls the same service through the same client, so an answer does not
//! depend on the side that produces it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::http;
use hindsight_access::Credentials;
use hindsight_api::http::calls;
use hindsight_api::service::Service;
use hindsight_holdings::{DataDir, LogChoice, Running};
use hindsight_proto::longrunning::operations_client::OperationsClient;
use hindsight_proto::v1::hindsight_client::HindsightClient;
use hindsight_refusal::Reason;
use tonic::body::Body;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status};
use tower::util::{BoxCloneSyncService, ServiceExt};
use tower::{BoxError, Service as Tower};

use crate::exit::{Context, Failure, Result};
use crate::global::Global;
use crate::open::open_offline;
use crate::remedies::of_status;

/// Limit on a message from the server: a 16 MiB document and its framing. The description of a
/// restore that names many collections may also exceed the 4 MiB that clients accept by default.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How often to look at a process that is starting.
const POLL: Duration = Duration::from_millis(50);
/// The time from starting a process until it has taken its directory. A caller that waits at all
/// waits this long for a process to appear, and no longer: most likely nobody started one.
const FORKED: Duration = Duration::from_secs(1);

/// A server that hangs is given up after twice this time, because it answers no ping. A call itself
/// may take any time.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Takes a call to whoever answers it.
type Connection = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>;

/// Who answers a command.
pub(crate) struct Backend {
    connection: Connection,
    /// The service of this process. None when another process answers.
    own: Option<Arc<Service>>,
}

/// Whether a command can be answered from the files when no process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Files,
    /// A process must run. Waits at most `patience` for a process that is starting.
    Process {
        patience: Duration,
    },
}

impl Backend {
    /// Finds who answers.
    pub(crate) async fn locate(global: &Global, needs: Needs) -> Result<Self> {
        if let Some(address) = &global.server {
            return connect(address, Credentials::for_server(address, &global.client)?).await;
        }
        let data = DataDir::new(&global.data);
        data.check()?;
        let patience = match needs {
            Needs::Files => Duration::ZERO,
            Needs::Process { patience } => patience,
        };
        match running(&data, patience).await? {
            Running::Somebody { api: Some(address) } => {
                let credentials = Credentials::for_process(&address, &data.api_token())?;
                connect(&address, credentials).await
            }
            Running::Somebody { api: None } => Err(Failure::ServerUnavailable(format!(
                "another process is starting (or working) on {}, and does not listen yet. Try again in a moment",
                data.root().display()
            ))),
            Running::Nobody(_) if needs != Needs::Files => {
                Err(Failure::ServerUnavailable(format!(
                    "no process runs on {}. Start one with `hindsight up`, or name a server with --server",
                    data.root().display()
                )))
            }
            Running::Nobody(owner) => {
                let choice = LogChoice::of(&global.log, &data)?;
                let bases = global.bases.as_deref();
                let service = open_offline(&data, &choice, bases, global.skipped(), owner).await?;
                Ok(Self::of_service(Arc::new(service)))
            }
        }
    }

    fn of_service(service: Arc<Service>) -> Self {
        let connection = connection(calls(Arc::clone(&service)).prepare());
        Self { connection, own: Some(service) }
    }

    /// Returns a client for the calls of `hindsight.proto`.
    pub(crate) fn hindsight(&self) -> HindsightClient<Connection> {
        let client = HindsightClient::new(self.connection.clone());
        client.max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Returns a client for the calls about restores that were started.
    pub(crate) fn operations(&self) -> OperationsClient<Connection> {
        let client = OperationsClient::new(self.connection.clone());
        client.max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Returns whether this process answers. What it has begun ends with the command.
    pub(crate) fn is_own_process(&self) -> bool {
        self.own.is_some()
    }

    /// Releases the files, if this process holds them, once nothing reads from them any more.
    pub(crate) async fn close(self) -> Result<()> {
        let Some(service) = self.own else { return Ok(()) };
        service.close().await.context("close the data directory")
    }
}

/// Returns who runs on the directory, once no process is starting there any more or `patience` has
/// run out.
async fn running(data: &DataDir, patience: Duration) -> Result<Running> {
    let begun = Instant::now();
    let mut looked_again = patience.is_zero();
    loop {
        // A process that starts for the first time takes the lock before it creates anything else.
        let found = if data.was_taken() { Some(data.take()?) } else { None };
        match found {
            Some(Running::Somebody { api: None }) if begun.elapsed() < patience => {
                tokio::time::sleep(POLL).await;
            }
            Some(somebody @ Running::Somebody { .. }) => return Ok(somebody),
            free if looked_again => {
                data.require()?;
                return Ok(free.map_or_else(|| data.take(), Ok)?);
            }
            // Release the lock in the meantime, so that a process that starts can take it.
            free => {
                drop(free);
                tokio::time::sleep(FORKED.min(patience)).await;
                looked_again = true;
            }
        }
    }
}

async fn connect(address: &str, credentials: Credentials) -> Result<Backend> {
    let Credentials { endpoint, bearer } = credentials;
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let channel = endpoint.connect().await.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |it| format!(": {it}"));
        Failure::ServerUnavailable(format!("no server answers at {address}{cause}"))
    })?;
    let connection = connection(InterceptedService::new(channel, bearer));
    Ok(Backend { connection, own: None })
}

/// Gives a channel and a server the same type.
fn connection<S, B>(service: S) -> Connection
where
    S: Tower<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = service.map_response(|response| response.map(Body::new));
    Connection::new(service.map_err(Into::into))
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let reason = Reason::of(&status);
        if reason.is_none() && is_broken_connection(&status) {
            let text = "the connection to the server broke before the answer was complete: the server was stopped, or \
                        the network failed. `hindsight restores list` shows what became of a restore";
            return Self::ServerUnavailable(text.to_owned());
        }
        let remedies = of_status(&status);
        Self::Answer { code: status.code(), reason, text: status.message().to_owned(), remedies }
    }
}

/// Returns whether the client itself created this status, because the connection broke in the
/// middle of an answer. A status from the server always has a reason.
fn is_broken_connection(status: &Status) -> bool {
    let is_from_client = std::error::Error::source(status).is_some();
    is_from_client && matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_connection_that_breaks_is_told_from_an_answer() {
        let cut = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "h2 protocol error");
        let broken = Failure::from(Status::from_error(Box::new(cut)));
        assert_eq!(broken.exit(), Exit::ServerUnavailable);
        assert!(!broken.to_string().contains("h2"), "{broken}");
        let answered = Failure::from(Status::internal("a defect"));
        assert_eq!(answered.exit(), Exit::Failed);
        assert_eq!(answered.to_string(), "a defect");
    }
}
