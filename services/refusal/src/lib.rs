//! What a refused or failed call says to its caller, the same over gRPC, over HTTP/JSON and on the
//! command line.
//!
//! - `reason`: errors as statuses: a code, a text for people, and a [`Reason`] for programs. Errors
//!   of questions and of restores become statuses here.
//! - [`remedies`]: what the caller can do, as messages of the API

mod reason;
pub mod remedies;

pub use reason::{REMEDIES, Reason, invalid, invalid_unless, status_of, status_of_restore};
