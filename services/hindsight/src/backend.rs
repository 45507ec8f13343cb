//! Who answers a command: the process that runs on the data directory, or the files themselves.
//!
//! Both sides are the same service, called over gRPC or directly, so an answer does not depend on who gives
//! it.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hindsight_proto::v1::hindsight_client::HindsightClient;
use hindsight_proto::v1::hindsight_server::Hindsight;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::access::{Bearer, Credentials};
use crate::api::Service;
use crate::cli::Global;
use crate::data_dir::{DataDir, Running};
use crate::exit::{Exit, Failure};
use crate::log_choice::LogChoice;
use crate::open::open_offline;

/// Largest message from the server: a 16 MiB document and its frame.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

pub enum Backend {
    Remote(HindsightClient<InterceptedService<Channel, Bearer>>),
    Local(Arc<Service>),
}

/// Whether a command can be answered from the files when no process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Files,
    Process,
}

impl Backend {
    /// Finds who answers.
    pub async fn locate(global: &Global, needs: Needs) -> Result<Self> {
        if let Some(address) = &global.server {
            return connect(address, Credentials::for_server(address, &global.client)?).await;
        }
        let data = DataDir::new(&global.data);
        data.require()?;
        match data.take()? {
            Running::Somebody { api: Some(address) } => {
                let credentials = Credentials::for_process(&address, &data.api_token())?;
                connect(&address, credentials).await
            }
            Running::Somebody { api: None } => Err(unavailable(format!(
                "another process is starting (or working) on {}. Try again in a moment",
                data.root().display()
            ))),
            Running::Nobody(_) if needs == Needs::Process => Err(unavailable(format!(
                "no process runs on {}. Start one with `hindsight up`, or name a server with --server",
                data.root().display()
            ))),
            Running::Nobody(owner) => {
                let choice = LogChoice::of(&global.log, &data)?;
                let service = open_offline(&data, &choice, global.bases.as_deref(), owner).await?;
                Ok(Self::Local(Arc::new(service)))
            }
        }
    }
}

fn unavailable(message: String) -> anyhow::Error {
    Failure::new(Exit::ServerUnavailable, message).into()
}

async fn connect(address: &str, credentials: Credentials) -> Result<Backend> {
    let Credentials { endpoint, bearer } = credentials;
    let channel =
        endpoint.connect_timeout(std::time::Duration::from_secs(5)).connect().await.map_err(
            |error| {
                let cause =
                    std::error::Error::source(&error).map_or(String::new(), |it| format!(": {it}"));
                unavailable(format!("no server answers at {address}{cause}"))
            },
        )?;
    let client = HindsightClient::with_interceptor(channel, bearer);
    Ok(Backend::Remote(client.max_decoding_message_size(MAX_MESSAGE_BYTES)))
}

/// Calls with one answer.
macro_rules! unary {
    ($($name:ident: $request:ty => $response:ty;)*) => {
        impl Backend { $(
            pub async fn $name(&self, request: $request) -> Result<$response> {
                let answer = match self {
                    Self::Remote(client) => client.clone().$name(request).await,
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
            pub async fn $name(
                &self,
                request: $request,
            ) -> Result<BoxStream<'static, Result<$response>>> {
                let convert = |item: Result<$response, Status>| item.map_err(failure);
                Ok(match self {
                    Self::Remote(client) => {
                        let answer = client.clone().$name(request).await.map_err(failure)?;
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

use hindsight_proto::v1 as api;

unary! {
    status: api::StatusRequest => api::StatusResponse;
    windows: api::WindowsRequest => api::WindowsResponse;
    wait: api::WaitRequest => api::WaitResponse;
    timeline: api::TimelineRequest => api::TimelineResponse;
    get: api::GetRequest => api::GetResponse;
    list_bases: api::ListBasesRequest => api::ListBasesResponse;
    verify: api::VerifyRequest => api::VerifyResponse;
}

streaming! {
    find: api::FindRequest => api::FindResponse;
    history: api::HistoryRequest => api::HistoryResponse;
    scan: api::ScanRequest => api::ScanResponse;
    restore: api::RestoreRequest => api::RestoreResponse;
}

/// What a status means for the calling process.
fn failure(status: Status) -> anyhow::Error {
    let exit = match status.code() {
        Code::InvalidArgument => Exit::Usage,
        Code::OutOfRange | Code::NotFound | Code::DeadlineExceeded => Exit::NotRestorable,
        Code::DataLoss => Exit::VerificationFailed,
        Code::FailedPrecondition => Exit::NeedsConfirmation,
        Code::Unavailable => Exit::ServerUnavailable,
        _ => Exit::Failed,
    };
    Failure::new(exit, status.message().to_owned()).into()
}

impl Backend {
    /// Lets go of the files, if they were ours, once nothing is read from them any more.
    pub async fn close(self) -> Result<()> {
        match self {
            Self::Remote(_) => Ok(()),
            Self::Local(service) => service.close().await.context("close the data directory"),
        }
    }
}
