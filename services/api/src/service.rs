//! The service: what every call is answered with.
//!
//! [`Service`] implements the traits that are generated from the proto files (see `calls`). gRPC,
//! HTTP/JSON (`v1`) and the commands that work on files call the same methods, so an answer does
//! not depend on how it was asked for.
//!
//! - `call`: what the file of a call says about the call
//! - `admission`: what every call goes through, and `about`: the words of the audit file
//! - `page`, `streams`: answers that are too many for one message
//! - `fields`, `collation`, `absent`, `missing`, `whereabouts`: what several calls say about names,
//!   filters and gaps
//! - `live`: the state of the running process

pub(crate) mod about;
pub(crate) mod absent;
mod admission;
mod call;
pub(crate) mod collation;
pub(crate) mod fields;
mod live;
pub(crate) mod missing;
pub(crate) mod page;
pub(crate) mod streams;
pub(crate) mod whereabouts;

use std::any::Any;
use std::pin::Pin;

use futures_util::Stream;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, status_of};
use hindsight_replayer::Engine;
use hindsight_restores::Restores;
use tonic::{Request, Response, Status};

pub use admission::{Admission, Place};
pub use call::{ApiCall, Counted, Streaming, Unary};
pub use live::{Live, SourceLook};

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
    pub(crate) async fn reach(&self, time: Option<api::TimeSpec>) -> Result<Timestamp, Status> {
        let time = time.unwrap_or(api::TimeSpec { text: "latest".into(), exclusive: false });
        let at = self.engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
        self.engine.wait_applied(at).await.map_err(status_of)?;
        Ok(at)
    }

    /// Admits a call that has one answer, and answers it.
    pub(crate) async fn one<C: Unary>(
        &self,
        request: Request<C>,
    ) -> Result<Response<C::Answer>, Status> {
        let call = self.admission.begin(&request)?;
        let place = call.place();
        call.one(request.into_inner().answer(self, place)).await
    }

    /// Admits a call that has a stream of answers, and answers it.
    pub(crate) async fn many<C: Streaming>(
        &self,
        request: Request<C>,
    ) -> Result<Response<Answers<C::Answer>>, Status> {
        let call = self.admission.begin(&request)?;
        call.many(request.into_inner().answers(self)).await
    }
}

/// Runs work that reads the store for a long time on a blocking thread, where it delays no other
/// call. The work holds the place of its call.
pub(crate) async fn apart<T: Send + 'static>(
    place: Place,
    work: impl FnOnce(&Place) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let worked = tokio::task::spawn_blocking(move || work(&place)).await;
    worked.unwrap_or_else(|error| Err(Reason::Internal.status(error.to_string())))
}
