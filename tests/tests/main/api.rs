//! Tests the API of a real process, over gRPC and over HTTP/JSON.

mod access;
mod answers;
mod cancellation;
mod errors;
mod fuzz;
mod restores;
mod served;
