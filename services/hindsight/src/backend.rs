//! Who answers a command: the process that runs on the data directory, or the files themselves.
//!
//! Both sides are the same service, called over gRPC or directly, so an answer does not depend on
//! who gives it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hindsight_access::{Bearer, Credentials};
use hindsight_api::service::Service;
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
use crate::data_dir::{DataDir, Running};
use crate::exit::{Exit, Failure};
use crate::log_choice::LogChoice;
use crate::open::open_offline;

/// Largest message from the server: a 16 MiB document and its frame. A restore that names many
/// collections is larger than the 4 MiB that clients take by default, too.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How often a process that is starting is looked at.
const POLL: Duration = Duration::from_millis(50);
/// From calling a process until it has taken its directory. Whoever waits at all waits so long for
/// one to come, and no longer: most likely nobody called one.
const FORKED: Duration = Duration::from_secs(1);

/// A server that hangs is given up after twice this: it answers no ping, however long a call may
/// take.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(crate) enum Backend {
    Remote(Box<Remote>),
    Local(Arc<Service>),
}

type Authenticated = InterceptedService<Channel, Bearer>;

/// One connection.
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
    /// Finds who answers. A process that is starting on the data directory is waited for as long as
    /// `patience` says.
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

/// Who runs on the directory once nobody is starting there any more, or patience is at an end.
async fn running(data: &DataDir, patience: Duration) -> Result<Running> {
    let begun = Instant::now();
    let mut looked_again = patience.is_zero();
    loop {
        // A process that starts for the first time holds the lock before there is anything else.
        let found = if data.was_taken() { Some(data.take()?) } else { None };
        match found {
            Some(Running::Somebody { api: None }) if begun.elapsed() < patience => {
                tokio::time::sleep(POLL).await;
            }
            Some(somebody @ Running::Somebody { .. }) => return Ok(somebody),
            free if looked_again => {
                data.require()?;
                return free.map_or_else(|| data.take(), Ok);
            }
            // Let go of the lock in the meantime: whoever comes must have it.
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

/// Calls with one answer.
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

/// Calls with a stream of answers.
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

/// What a status means for the calling process.
pub(crate) fn failure(status: Status) -> anyhow::Error {
    let details = status.get_error_details();
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    Failure::new(exit_of(status.code(), reason), status.message().to_owned()).into()
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
    /// Lets go of the files, if they were ours, once nothing is read from them any more.
    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Remote(_) => Ok(()),
            Self::Local(service) => service.close().await.context("close the data directory"),
        }
    }
}
