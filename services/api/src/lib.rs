//! The API: one service, reached over gRPC, over HTTP/JSON, or by a command that works on the
//! files.
//!
//! ```text
//! connections ─ gate ─┬─ gRPC ────────────┐
//!                     └─ HTTP/JSON (v1) ──┴─▶ Service ─▶ admission ─▶ the engine
//! ```
//!
//! - [`calls`]: every call, one file each, and the table of all calls
//! - [`service`]: what the calls share to answer: admission, audit, pages
//! - [`v1`](crate::http): what the calls share as HTTP/JSON, with their description
//! - [`json`], [`extended_json`]: answers in formats that programs read
//! - [`times`], [`document_id`]: positions and ids as people type them

pub mod calls;
pub mod document_id;
pub mod extended_json;
mod health;
pub mod http;
pub mod json;
pub mod metrics;
pub mod service;
pub mod times;
mod v1;
