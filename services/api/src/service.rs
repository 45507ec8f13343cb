//! The service: translates the engine's answers into the messages of the API.
//!
//! [`Service`] implements the traits that are generated from the proto files. gRPC, HTTP/JSON
//! (`v1`) and the commands that work on files call the same methods, so an answer does not
//! depend on how it was asked for.

mod about;
mod absent;
mod admission;
mod collation;
mod collections;
mod diff;
mod documents;
mod entries;
mod filter_version;
mod missing;
mod operations;
mod page;
mod reason;
mod restores;
mod scan;
mod status;
mod streams;
mod time;
mod timeline;
mod verify;
mod whereabouts;

use std::any::Any;
use std::pin::Pin;

use futures_util::Stream;
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, Element};
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::hindsight_server::Hindsight;
use hindsight_replayer::Engine;
use tonic::{Request, Response, Status};

use admission::Place;
use hindsight_access::Call;
use reason::status_of;

pub use admission::Admission;
pub use reason::{REMEDIES, Reason, invalid};
pub use restores::Restores;
pub use status::{Live, SourceLook};

pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The one implementation behind gRPC, HTTP/JSON and the offline commands.
pub struct Service {
    pub engine: Engine,
    pub restores: Restores,
    pub admission: Admission,
    /// The state of the running process; `None` when a command works on the files.
    pub live: Option<Live>,
    /// The hold on the data directory while a command works on the files.
    pub hold: Option<Box<dyn Any + Send + Sync>>,
}

impl Service {
    /// Ends the running restores, and lets the history finish the writes that it has begun.
    pub async fn close(&self) -> anyhow::Result<()> {
        self.restores.stop().await;
        let Some(history) = self.engine.history.clone() else { return Ok(()) };
        tokio::task::spawn_blocking(move || history.flush()).await??;
        Ok(())
    }

    /// Resolves a time (`None`: latest), and waits until the history has applied it.
    async fn reach(&self, time: Option<api::TimeSpec>) -> Result<Timestamp, Status> {
        let time = time.unwrap_or(api::TimeSpec { text: "latest".into(), exclusive: false });
        let at = self.engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
        self.engine.wait_applied(at).await.map_err(status_of)?;
        Ok(at)
    }
}

/// Runs work that reads the store for a long time on a blocking thread, where it delays no other
/// call. The work holds the place of its call.
async fn apart<T: Send + 'static>(
    place: Place,
    work: impl FnOnce(&Place) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let worked = tokio::task::spawn_blocking(move || work(&place)).await;
    worked.unwrap_or_else(|error| Err(Reason::Internal.status(error.to_string())))
}

/// Returns the element `_id` of a document `{_id: …}`.
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
        request: Request<api::GetStatusRequest>,
    ) -> Result<Response<api::GetStatusResponse>, Status> {
        let call = self.admission.begin(Call::GetStatus, &request)?;
        call.one(async { status::answer(self) }).await
    }

    async fn list_windows(
        &self,
        request: Request<api::ListWindowsRequest>,
    ) -> Result<Response<api::ListWindowsResponse>, Status> {
        let call = self.admission.begin(Call::ListWindows, &request)?;
        call.one(async { time::windows(&self.engine) }).await
    }

    async fn list_bases(
        &self,
        request: Request<api::ListBasesRequest>,
    ) -> Result<Response<api::ListBasesResponse>, Status> {
        let call = self.admission.begin(Call::ListBases, &request)?;
        call.one(async { time::bases(&self.engine) }).await
    }

    async fn wait_restorable(
        &self,
        request: Request<api::WaitRestorableRequest>,
    ) -> Result<Response<api::WaitRestorableResponse>, Status> {
        let call = self.admission.begin(Call::WaitRestorable, &request)?;
        call.one(time::wait(self, request.into_inner())).await
    }

    async fn resolve_time(
        &self,
        request: Request<api::ResolveTimeRequest>,
    ) -> Result<Response<api::ResolveTimeResponse>, Status> {
        let call = self.admission.begin(Call::ResolveTime, &request)?;
        call.one(time::resolve(&self.engine, request.into_inner())).await
    }

    async fn get_timeline(
        &self,
        request: Request<api::GetTimelineRequest>,
    ) -> Result<Response<api::GetTimelineResponse>, Status> {
        let call = self.admission.begin(Call::GetTimeline, &request)?;
        let (place, engine) = (call.place(), self.engine.clone());
        call.one(apart(place, move |_| timeline::timeline(&engine, request.into_inner()))).await
    }

    async fn search_entries(
        &self,
        request: Request<api::SearchEntriesRequest>,
    ) -> Result<Response<Self::SearchEntriesStream>, Status> {
        let call = self.admission.begin(Call::SearchEntries, &request)?;
        call.many(async { entries::search(self, request.get_ref()) }).await
    }

    async fn get_document(
        &self,
        request: Request<api::GetDocumentRequest>,
    ) -> Result<Response<api::GetDocumentResponse>, Status> {
        let call = self.admission.begin(Call::GetDocument, &request)?;
        call.one(documents::get(self, request.into_inner())).await
    }

    async fn list_versions(
        &self,
        request: Request<api::ListVersionsRequest>,
    ) -> Result<Response<api::ListVersionsResponse>, Status> {
        let call = self.admission.begin(Call::ListVersions, &request)?;
        let (place, engine) = (call.place(), self.engine.clone());
        let versions = move |place: &Place| {
            let is_wanted = || place.is_wanted();
            documents::versions(&engine, &request.into_inner(), &is_wanted)
        };
        call.one(apart(place, versions)).await
    }

    async fn scan_collection(
        &self,
        request: Request<api::ScanCollectionRequest>,
    ) -> Result<Response<Self::ScanCollectionStream>, Status> {
        let call = self.admission.begin(Call::ScanCollection, &request)?;
        call.many(scan::scan(self, request.into_inner())).await
    }

    async fn list_collections(
        &self,
        request: Request<api::ListCollectionsRequest>,
    ) -> Result<Response<api::ListCollectionsResponse>, Status> {
        let call = self.admission.begin(Call::ListCollections, &request)?;
        let place = call.place();
        call.one(collections::list(self, place, request.into_inner())).await
    }

    async fn diff_times(
        &self,
        request: Request<api::DiffTimesRequest>,
    ) -> Result<Response<Self::DiffTimesStream>, Status> {
        let call = self.admission.begin(Call::DiffTimes, &request)?;
        call.many(diff::diff(self, request.into_inner())).await
    }

    async fn plan_restore(
        &self,
        request: Request<api::PlanRestoreRequest>,
    ) -> Result<Response<api::RestorePlan>, Status> {
        let call = self.admission.begin(Call::PlanRestore, &request)?;
        call.one(restores::plan(self, request.into_inner().restore)).await
    }

    async fn create_restore(
        &self,
        request: Request<api::CreateRestoreRequest>,
    ) -> Result<Response<Operation>, Status> {
        let call = self.admission.begin(Call::CreateRestore, &request)?;
        let caller = call.caller().clone();
        call.one(restores::create(self, request.into_inner(), &caller.name)).await
    }

    async fn watch_restore(
        &self,
        request: Request<api::WatchRestoreRequest>,
    ) -> Result<Response<Self::WatchRestoreStream>, Status> {
        let call = self.admission.begin(Call::WatchRestore, &request)?;
        call.many(async { self.restores.watch(&request.get_ref().name) }).await
    }

    async fn verify(
        &self,
        request: Request<api::VerifyRequest>,
    ) -> Result<Response<api::VerifyResponse>, Status> {
        let call = self.admission.begin(Call::Verify, &request)?;
        let (place, engine) = (call.place(), self.engine.clone());
        let runtime = tokio::runtime::Handle::current();
        let verify = move |place: &Place| {
            runtime.block_on(verify::verify(&engine, request.get_ref(), place.stop()))
        };
        call.one(apart(place, verify)).await
    }
}
