//! Decides who answers a command: the process that runs on the data directory, or this process,
//! from the files.
//!
//! Both sides are the same service, called over gRPC or directly, so an answer does not depend on
//! the side that produces it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hindsight_access::{Bearer, Credentials};
use hindsight_api::service::Service;
use hindsight_holdings::{DataDir, LogChoice, Running};
use hindsight_proto::longrunning::operations_client::OperationsClient;
use hindsight_proto::longrunning::operations_server::Operations;
use hindsight_proto::longrunning::{self, Operation};
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_client::HindsightClient;
use hindsight_proto::v1::hindsight_server::Hindsight;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::cli::Global;
use crate::exit::{Exit, Failure};
use crate::open::open_offline;
use crate::remedies::{of_status, with_hints};

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

pub(crate) enum Backend {
    Remote(Box<Remote>),
    Local(Arc<Service>),
}

type Authenticated = InterceptedService<Channel, Bearer>;

/// A connection to a server.
#[derive(Clone)]
pub(crate) struct Remote {
    hindsight: HindsightClient<Authenticated>,
    operations: OperationsClient<Authenticated>,
}

/// Whether a command can be answered from the files when no process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Files,
    Process,
}

impl Backend {
    /// Finds who answers. Waits at most `patience` for a process that is starting on the data
    /// directory.
    pub(crate) async fn locate(global: &Global, needs: Needs, patience: Duration) -> Result<Self> {
        if let Some(address) = &global.server {
            return connect(address, Credentials::for_server(address, &global.client)?).await;
        }
        let data = DataDir::new(&global.data);
        data.check()?;
        match running(&data, patience).await? {
            Running::Somebody { api: Some(address) } => {
                let credentials = Credentials::for_process(&address, &data.api_token())?;
                connect(&address, credentials).await
            }
            Running::Somebody { api: None } => Err(unavailable(format!(
                "another process is starting (or working) on {}, and does not listen yet. Try again in a moment",
                data.root().display()
            ))),
            Running::Nobody(_) if needs == Needs::Process => Err(unavailable(format!(
                "no process runs on {}. Start one with `hindsight up`, or name a server with --server",
                data.root().display()
            ))),
            Running::Nobody(owner) => {
                let choice = LogChoice::of(&global.log, &data)?;
                let bases = global.bases.as_deref();
                let service = open_offline(&data, &choice, bases, global.skipped(), owner).await?;
                Ok(Self::Local(Arc::new(service)))
            }
        }
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

fn unavailable(message: String) -> anyhow::Error {
    Failure::new(Exit::ServerUnavailable, message).into()
}

async fn connect(address: &str, credentials: Credentials) -> Result<Backend> {
    let Credentials { endpoint, bearer } = credentials;
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let channel = endpoint.connect().await.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |it| format!(": {it}"));
        unavailable(format!("no server answers at {address}{cause}"))
    })?;
    let operations = OperationsClient::with_interceptor(channel.clone(), bearer.clone());
    let operations = operations.max_decoding_message_size(MAX_MESSAGE_BYTES);
    let hindsight = HindsightClient::with_interceptor(channel, bearer);
    let hindsight = hindsight.max_decoding_message_size(MAX_MESSAGE_BYTES);
    Ok(Backend::Remote(Box::new(Remote { hindsight, operations })))
}

/// Defines the calls that have one answer.
macro_rules! unary {
    ($client:ident: $($name:ident: $request:ty => $response:ty;)*) => {
        impl Backend { $(
            pub(crate) async fn $name(&self, request: $request) -> Result<$response> {
                let answer = match self {
                    Self::Remote(remote) => remote.clone().$client.$name(request).await,
                    Self::Local(service) => service.$name(Request::new(request)).await,
                };
                Ok(answer.map_err(failure)?.into_inner())
            }
        )* }
    };
}

/// Defines the calls that have a stream of answers.
macro_rules! streaming {
    ($($name:ident: $request:ty => $response:ty;)*) => {
        impl Backend { $(
            pub(crate) async fn $name(
                &self,
                request: $request,
            ) -> Result<BoxStream<'static, Result<$response>>> {
                let convert = |item: Result<$response, Status>| item.map_err(failure);
                Ok(match self {
                    Self::Remote(remote) => {
                        let mut client = remote.hindsight.clone();
                        let answer = client.$name(request).await.map_err(failure)?;
                        answer.into_inner().map(convert).boxed()
                    }
                    Self::Local(service) => {
                        let answer = service.$name(Request::new(request)).await.map_err(failure)?;
                        answer.into_inner().map(convert).boxed()
                    }
                })
            }
        )* }
    };
}

unary! { hindsight:
    get_status: api::GetStatusRequest => api::GetStatusResponse;
    list_windows: api::ListWindowsRequest => api::ListWindowsResponse;
    list_bases: api::ListBasesRequest => api::ListBasesResponse;
    wait_restorable: api::WaitRestorableRequest => api::WaitRestorableResponse;
    resolve_time: api::ResolveTimeRequest => api::ResolveTimeResponse;
    get_timeline: api::GetTimelineRequest => api::GetTimelineResponse;
    get_document: api::GetDocumentRequest => api::GetDocumentResponse;
    list_versions: api::ListVersionsRequest => api::ListVersionsResponse;
    list_collections: api::ListCollectionsRequest => api::ListCollectionsResponse;
    create_restore: api::CreateRestoreRequest => Operation;
    verify: api::VerifyRequest => api::VerifyResponse;
}

unary! { operations:
    list_operations: longrunning::ListOperationsRequest => longrunning::ListOperationsResponse;
    get_operation: longrunning::GetOperationRequest => Operation;
    cancel_operation: longrunning::CancelOperationRequest => ();
    delete_operation: longrunning::DeleteOperationRequest => ();
}

streaming! {
    search_entries: api::SearchEntriesRequest => api::SearchEntriesResponse;
    scan_collection: api::ScanCollectionRequest => api::ScanCollectionResponse;
    diff_times: api::DiffTimesRequest => api::DiffTimesResponse;
    watch_restore: api::WatchRestoreRequest => Operation;
}

/// Converts a status into the failure that the calling process sees.
pub(crate) fn failure(status: Status) -> anyhow::Error {
    let details = status.get_error_details();
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    if reason.is_empty() && is_broken_connection(&status) {
        let text = "the connection to the server broke before the answer was complete: the server was stopped, or the \
                    network failed. `hindsight restores list` shows what became of a restore";
        return Failure::new(Exit::ServerUnavailable, text).into();
    }
    let message = with_hints(status.message(), &of_status(&status));
    Failure::new(exit_of(status.code(), reason), message).into()
}

/// Returns whether the client itself created this status, because the connection broke in the
/// middle of an answer. A status from the server always has a reason.
fn is_broken_connection(status: &Status) -> bool {
    let is_from_client = std::error::Error::source(status).is_some();
    is_from_client && matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled)
}

fn exit_of(code: Code, reason: &str) -> Exit {
    match (code, reason) {
        (_, "TARGET_UNSUITABLE" | "TARGET_UNAVAILABLE") => Exit::Failed,
        (Code::InvalidArgument, _) => Exit::Usage,
        (Code::OutOfRange | Code::NotFound | Code::DeadlineExceeded, _) => Exit::NotRestorable,
        (Code::DataLoss, _) => Exit::VerificationFailed,
        (Code::FailedPrecondition, _) => Exit::NeedsConfirmation,
        (Code::Unavailable, _) => Exit::ServerUnavailable,
        _ => Exit::Failed,
    }
}

impl Backend {
    /// Releases the files, if this process holds them, once nothing reads from them any more.
    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Remote(_) => Ok(()),
            Self::Local(service) => service.close().await.context("close the data directory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of as exit_of_error;

    #[test]
    fn a_connection_that_breaks_is_told_from_an_answer() {
        let cut = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "h2 protocol error");
        let broken = failure(Status::from_error(Box::new(cut)));
        assert_eq!(exit_of_error(&broken), Exit::ServerUnavailable);
        assert!(!broken.to_string().contains("h2"), "{broken}");
        let answered = failure(Status::internal("a defect"));
        assert_eq!(exit_of_error(&answered), Exit::Failed);
        assert_eq!(answered.to_string(), "a defect");
    }
}
