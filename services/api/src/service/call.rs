//! What the file of a call says about the call, in `calls/`.

use hindsight_access::{Call, Role};
use serde_json::Value;
use tonic::Status;

use super::{Answers, Place, Service};

/// Counts the documents, versions, changes or entries in an answer. `None` for a call whose answers
/// hold none.
pub type Counted<A> = Option<fn(&A) -> u64>;

/// A call of the API. The message of its request implements this.
pub trait ApiCall: Send + Sync + 'static {
    /// The name in the proto file.
    const NAME: &'static str;
    /// The lowest role that may make the call.
    const ROLE: Role;
    /// Counts for the audit file what an answer shows.
    const DOCUMENTS: Counted<Self::Answer>;
    /// What is admitted, counted and recorded.
    const CALL: Call =
        Call { name: Self::NAME, role: Self::ROLE, reads_documents: Self::DOCUMENTS.is_some() };

    /// The message of the answer, or of each answer of a stream.
    type Answer: Send + 'static;

    /// Describes the request for the audit file. The description never holds a connection string,
    /// because connection strings may hold passwords.
    fn about(&self) -> Value;
}

/// A call that has one answer.
pub trait Unary: ApiCall {
    /// Answers the request. Work on another thread takes the `place` along.
    ///
    /// # Errors
    /// Returns the reason why there is no answer.
    fn answer(
        self,
        service: &Service,
        place: Place,
    ) -> impl Future<Output = Result<Self::Answer, Status>> + Send;
}

/// A call whose answers come one after the other.
pub trait Streaming: ApiCall {
    /// Begins to answer the request.
    ///
    /// # Errors
    /// Returns the reason why there are no answers. A failure after the first answer ends the
    /// stream.
    fn answers(
        self,
        service: &Service,
    ) -> impl Future<Output = Result<Answers<Self::Answer>, Status>> + Send;
}
