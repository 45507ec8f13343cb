//! The service: the engine's answers in the API's words.
//!
//! [`Service`] implements the traits that are generated from the proto files. gRPC, HTTP/JSON (`serve/http`) and the
//! commands that work on files call the same methods, so an answer does not depend on how it was asked for.

mod collections;
mod documents;
mod entries;
mod operations;
mod page;
mod reason;
mod restores;
mod scan;
mod status;
mod streams;
mod time;
mod timeline;

use std::pin::Pin;

use futures_util::Stream;
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, Element};
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use hindsight_replayer::Engine;
use tonic::{Request, Response, Status};

use crate::times::to_api;
use reason::status_of;

pub use reason::{Reason, invalid};
pub use restores::Restores;
pub use status::{CopyBoard, Live, SourceLook, headroom};

pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The one implementation behind gRPC, HTTP/JSON and the offline commands.
pub struct Service {
    pub engine: Engine,
    pub restores: Restores,
    /// The running process's own state; none when a command works on the files.
    pub live: Option<Live>,
    /// Held while a command works on the files.
    pub _owner: Option<crate::data_dir::Owner>,
}

impl Service {
    /// Ends the restores that run, and lets the history finish what it has begun to write.
    pub async fn close(&self) -> anyhow::Result<()> {
        self.restores.stop().await;
        let Some(history) = self.engine.history.clone() else { return Ok(()) };
        tokio::task::spawn_blocking(move || history.flush()).await??;
        Ok(())
    }

    /// Resolves a time (absent: latest), and waits until the history has it.
    async fn reach(&self, time: Option<api::TimeSpec>) -> Result<Timestamp, Status> {
        let time = time.unwrap_or(api::TimeSpec { text: "latest".into(), exclusive: false });
        let at = self.engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
        self.engine.wait_applied(at).await.map_err(status_of)?;
        Ok(at)
    }
}

/// The element `_id` of a document `{_id: …}`.
fn id_of(document: &[u8]) -> Result<Element<'_>, Status> {
    let bad = |detail: &str| invalid("id", format!("not a BSON document {{_id: …}}: {detail}"));
    let document = Doc::new(document).map_err(|error| bad(&error.to_string()))?;
    document.validate().map_err(|error| bad(&error.to_string()))?;
    document.get(b"_id").map_err(|error| bad(&error.to_string()))?.ok_or_else(|| bad("no _id"))
}

fn check_ns(ns: &str) -> Result<(), Status> {
    match ns.split_once('.') {
        Some((db, collection)) if !db.is_empty() && !collection.is_empty() => Ok(()),
        _ => Err(invalid("ns", format!("{ns:?} is not a namespace: write db.collection"))),
    }
}

#[tonic::async_trait]
impl Hindsight for Service {
    type SearchEntriesStream = Answers<api::SearchEntriesResponse>;
    type ScanCollectionStream = Answers<api::ScanCollectionResponse>;
    type DiffTimesStream = Answers<api::DiffTimesResponse>;
    type WatchRestoreStream = Answers<Operation>;

    async fn get_status(
        &self,
        _request: Request<api::GetStatusRequest>,
    ) -> Result<Response<api::GetStatusResponse>, Status> {
        let json = status::status(self).map_err(status_of)?.to_string();
        Ok(Response::new(api::GetStatusResponse { json }))
    }

    async fn list_windows(
        &self,
        _request: Request<api::ListWindowsRequest>,
    ) -> Result<Response<api::ListWindowsResponse>, Status> {
        time::windows(&self.engine).map(Response::new)
    }

    async fn list_bases(
        &self,
        _request: Request<api::ListBasesRequest>,
    ) -> Result<Response<api::ListBasesResponse>, Status> {
        let bases = self.engine.index.view().bases();
        let bases = bases.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
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

    async fn wait_restorable(
        &self,
        request: Request<api::WaitRestorableRequest>,
    ) -> Result<Response<api::WaitRestorableResponse>, Status> {
        let live = self.live.as_ref();
        let live = live.ok_or_else(|| Reason::Unavailable.status("no process captures here"))?;
        let through = live.wait(&self.engine, request.into_inner()).await?;
        let restorable_through = Some(to_api(through));
        Ok(Response::new(api::WaitRestorableResponse { restorable_through }))
    }

    async fn resolve_time(
        &self,
        request: Request<api::ResolveTimeRequest>,
    ) -> Result<Response<api::ResolveTimeResponse>, Status> {
        time::resolve(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn get_timeline(
        &self,
        request: Request<api::GetTimelineRequest>,
    ) -> Result<Response<api::GetTimelineResponse>, Status> {
        timeline::timeline(&self.engine, request.into_inner()).map(Response::new)
    }

    async fn search_entries(
        &self,
        request: Request<api::SearchEntriesRequest>,
    ) -> Result<Response<Self::SearchEntriesStream>, Status> {
        entries::search(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_document(
        &self,
        request: Request<api::GetDocumentRequest>,
    ) -> Result<Response<api::GetDocumentResponse>, Status> {
        documents::get(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_versions(
        &self,
        request: Request<api::ListVersionsRequest>,
    ) -> Result<Response<api::ListVersionsResponse>, Status> {
        documents::versions(&self.engine, request.into_inner()).map(Response::new)
    }

    async fn scan_collection(
        &self,
        request: Request<api::ScanCollectionRequest>,
    ) -> Result<Response<Self::ScanCollectionStream>, Status> {
        scan::scan(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_collections(
        &self,
        request: Request<api::ListCollectionsRequest>,
    ) -> Result<Response<api::ListCollectionsResponse>, Status> {
        collections::list(self, request.into_inner()).await.map(Response::new)
    }

    async fn diff_times(
        &self,
        _request: Request<api::DiffTimesRequest>,
    ) -> Result<Response<Self::DiffTimesStream>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn plan_restore(
        &self,
        request: Request<api::PlanRestoreRequest>,
    ) -> Result<Response<api::RestorePlan>, Status> {
        let restore = request.into_inner().restore;
        restores::plan(self, restore).await.map(Response::new)
    }

    async fn create_restore(
        &self,
        request: Request<api::CreateRestoreRequest>,
    ) -> Result<Response<Operation>, Status> {
        restores::create(self, request.into_inner(), "local").await.map(Response::new)
    }

    async fn watch_restore(
        &self,
        request: Request<api::WatchRestoreRequest>,
    ) -> Result<Response<Self::WatchRestoreStream>, Status> {
        self.restores.watch(&request.into_inner().name).map(Response::new)
    }

    async fn verify(
        &self,
        request: Request<api::VerifyRequest>,
    ) -> Result<Response<api::VerifyResponse>, Status> {
        let deep = request.into_inner().deep;
        let report = hindsight_replayer::verify(self.engine.log.as_ref(), &self.engine.bases, deep)
            .await
            .map_err(status_of)?;
        let json = serde_json::to_string(&report)
            .map_err(|error| Reason::Internal.status(error.to_string()))?;
        Ok(Response::new(api::VerifyResponse { json, sound: report.sound }))
    }
}
