//! The service: the engine's answers in the API's words.

mod restore;
mod scan;
mod status;
mod streams;
mod timeline;

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, Element};
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use hindsight_replayer::{Engine, QueryError};
use tonic::{Request, Response, Status};

use crate::times::to_api;
use scan::Selection;

pub use status::{CopyBoard, Live, SourceLook, headroom};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The one implementation behind the network API and the offline commands.
pub struct Service {
    pub engine: Engine,
    /// The running process's own state; none when a command works on the files.
    pub live: Option<Live>,
    /// Held while a command works on the files.
    pub _owner: Option<crate::data_dir::Owner>,
}

impl Service {
    /// Lets the history finish what it has begun to write.
    pub async fn close(&self) -> anyhow::Result<()> {
        let Some(history) = self.engine.history.clone() else { return Ok(()) };
        tokio::task::spawn_blocking(move || history.flush()).await??;
        Ok(())
    }

    /// Resolves a time, and waits until the history has it.
    async fn reach(&self, time: Option<api::TimeSpec>) -> Result<Timestamp, Status> {
        let time = time.unwrap_or(api::TimeSpec { text: "latest".into(), exclusive: false });
        let at = self.engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
        self.engine.wait_applied(at).await.map_err(status_of)?;
        Ok(at)
    }
}

/// What a failed question means in the API's terms.
pub(crate) fn status_of(error: QueryError) -> Status {
    let text = error.to_string();
    match error {
        QueryError::Invalid(_) => Status::invalid_argument(text),
        QueryError::NotRestorable(_) | QueryError::NotYet { .. } => Status::out_of_range(text),
        QueryError::NotFound(_) => Status::not_found(text),
        QueryError::Corrupt(_) => Status::data_loss(text),
        QueryError::TooLarge(_) => Status::resource_exhausted(text),
        QueryError::Unavailable(_) => Status::unavailable(text),
    }
}

/// The element `_id` of a document `{_id: …}`.
pub(crate) fn id_of(document: &[u8]) -> Result<Element<'_>, Status> {
    let bad = |detail: &str| {
        Status::invalid_argument(format!("id is not a document {{_id: …}}: {detail}"))
    };
    let document = Doc::new(document).map_err(|error| bad(&error.to_string()))?;
    document.validate().map_err(|error| bad(&error.to_string()))?;
    document.get(b"_id").map_err(|error| bad(&error.to_string()))?.ok_or_else(|| bad("no _id"))
}

pub(crate) fn check_ns(ns: &str) -> Result<(), Status> {
    match ns.split_once('.') {
        Some((db, collection)) if !db.is_empty() && !collection.is_empty() => Ok(()),
        _ => {
            Err(Status::invalid_argument(format!("{ns:?} is not a namespace: write db.collection")))
        }
    }
}

#[tonic::async_trait]
impl Hindsight for Service {
    type FindStream = Answers<api::FindResponse>;
    type HistoryStream = Answers<api::HistoryResponse>;
    type ScanStream = Answers<api::ScanResponse>;
    type RestoreStream = Answers<api::RestoreResponse>;

    async fn status(
        &self,
        _request: Request<api::StatusRequest>,
    ) -> Result<Response<api::StatusResponse>, Status> {
        let json = status::status(self).map_err(status_of)?.to_string();
        Ok(Response::new(api::StatusResponse { json }))
    }

    async fn windows(
        &self,
        _request: Request<api::WindowsRequest>,
    ) -> Result<Response<api::WindowsResponse>, Status> {
        let windows = self.engine.windows().map_err(status_of)?;
        let gaps = self.engine.gaps().map_err(status_of)?;
        Ok(Response::new(api::WindowsResponse {
            windows: windows
                .iter()
                .map(|window| api::Window {
                    from: Some(to_api(window.from)),
                    through: Some(to_api(window.through)),
                })
                .collect(),
            gaps: gaps
                .iter()
                .map(|gap| api::Gap {
                    after: Some(to_api(gap.after.ts)),
                    before: Some(to_api(gap.before.ts)),
                    reason: gap.reason.clone(),
                })
                .collect(),
        }))
    }

    async fn wait(
        &self,
        request: Request<api::WaitRequest>,
    ) -> Result<Response<api::WaitResponse>, Status> {
        let request = request.into_inner();
        let patience = Duration::from_millis(request.timeout_ms);
        let live =
            self.live.as_ref().ok_or_else(|| Status::unavailable("no process captures here"))?;
        let through = live.wait(&self.engine, request.time, patience).await?;
        Ok(Response::new(api::WaitResponse { restorable_through: Some(to_api(through)) }))
    }

    async fn find(
        &self,
        request: Request<api::FindRequest>,
    ) -> Result<Response<Self::FindStream>, Status> {
        let stream = streams::find(self.engine.clone(), request.into_inner()).await?;
        Ok(Response::new(stream))
    }

    async fn timeline(
        &self,
        request: Request<api::TimelineRequest>,
    ) -> Result<Response<api::TimelineResponse>, Status> {
        timeline::timeline(&self.engine, request.into_inner()).map(Response::new)
    }

    async fn get(
        &self,
        request: Request<api::GetRequest>,
    ) -> Result<Response<api::GetResponse>, Status> {
        let request = request.into_inner();
        check_ns(&request.ns)?;
        let id = id_of(&request.id)?;
        let at = self.reach(request.at).await?;
        let view = self.engine.view(at).map_err(status_of)?;
        let found = view.get(&request.ns, id).map_err(QueryError::from).map_err(status_of)?;
        let document = found.ok_or_else(|| {
            Status::not_found(format!("{} holds no document with this _id at {at}", request.ns))
        })?;
        Ok(Response::new(api::GetResponse { document: document.into(), at: Some(to_api(at)) }))
    }

    async fn history(
        &self,
        request: Request<api::HistoryRequest>,
    ) -> Result<Response<Self::HistoryStream>, Status> {
        Ok(Response::new(streams::history(&self.engine, &request.into_inner())?))
    }

    async fn scan(
        &self,
        request: Request<api::ScanRequest>,
    ) -> Result<Response<Self::ScanStream>, Status> {
        let request = request.into_inner();
        check_ns(&request.ns)?;
        let selection = Selection::parse(&request)?;
        let at = self.reach(request.at).await?;
        Ok(Response::new(scan::scan(&self.engine, request.ns, at, selection)?))
    }

    async fn list_bases(
        &self,
        _request: Request<api::ListBasesRequest>,
    ) -> Result<Response<api::ListBasesResponse>, Status> {
        let bases = self.engine.index.view().bases();
        let bases = bases.map_err(|error| Status::data_loss(error.to_string()))?;
        let bases = bases.into_iter().map(|base| api::Base {
            name: base.name,
            start: Some(to_api(base.start)),
            exact_from: Some(to_api(base.exact_from.ts)),
            created_ms: base.created_wall_ms,
            documents: base.documents,
            bytes: base.bytes,
        });
        Ok(Response::new(api::ListBasesResponse { bases: bases.collect() }))
    }

    async fn restore(
        &self,
        request: Request<api::RestoreRequest>,
    ) -> Result<Response<Self::RestoreStream>, Status> {
        let request = request.into_inner();
        let at = self.reach(request.time.clone()).await?;
        Ok(Response::new(restore::restore(&self.engine, request, at)))
    }

    async fn verify(
        &self,
        request: Request<api::VerifyRequest>,
    ) -> Result<Response<api::VerifyResponse>, Status> {
        let deep = request.into_inner().deep;
        let report = hindsight_replayer::verify(self.engine.log.as_ref(), &self.engine.bases, deep)
            .await
            .map_err(status_of)?;
        let json =
            serde_json::to_string(&report).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(api::VerifyResponse { json, sound: report.sound }))
    }
}
